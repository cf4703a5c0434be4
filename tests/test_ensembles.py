"""Ensembles of outputs and of weights, per image and along a run, against closed forms and other libraries."""

import copy
import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from scipy.stats import entropy as scipy_entropy
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wiseft_nb import WiseftError, evaluate, fine_tune, wise_ft
from wiseft_nb.analyse.averages import (
    Follow,
    average_along,
    beta_weights,
    debias,
    ema_weights,
    running_average,
    with_statistics_of,
)
from wiseft_nb.analyse.bootstrap import accuracy_of, best_at_equal_reference, bootstrapped, over_seeds, seeds_table
from wiseft_nb.analyse.calibration import at_temperature
from wiseft_nb.analyse.cost import inference_cost
from wiseft_nb.analyse.ensembles import SPACES, compare_spaces, departure_from_line, output_ensemble, predict_along
from wiseft_nb.analyse.per_image import (
    FailureSet,
    at_coefficients,
    choose_distance,
    distance_coefficients,
    encode,
    entropy_coefficients,
)
from wiseft_nb.evaluate import Predictions
from wiseft_nb.interpolate import interpolate, random_interpolation
from wiseft_nb.intervals import mean_interval
from wiseft_nb.make import ensembles
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.plots.seeds import add_seeds, plot_band, plot_bands, plot_forest
from wiseft_nb.robustness import by_seed


def some(seed=0, n=40, classes=5, scale=3.0):
    torch.manual_seed(seed)
    return scale * torch.randn(n, classes)


@pytest.fixture
def two():
    labels = torch.arange(40) % 5
    return Predictions(some(0), labels), Predictions(some(1), labels)


@pytest.fixture(scope="module")
def ends():
    """Two classifiers of one small network that is not linear in its weights, on ready inputs."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh())
    first = ImageClassifier(encoder, nn.Linear(8, 3), class_names=("a", "b", "c")).eval()
    second = copy.deepcopy(first)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    data = [(torch.randn(6), i % 3) for i in range(60)]
    return first, second, data


# Outputs


def test_probabilities_are_averaged_as_numpy_averages_them(two):
    first, second = two
    a, b = (np.exp(p.logits.numpy()) / np.exp(p.logits.numpy()).sum(1, keepdims=True) for p in two)
    found = output_ensemble(first, second, 0.3).logits.exp().numpy()
    assert np.allclose(found, 0.7 * a + 0.3 * b, atol=1e-6)
    assert np.allclose(output_ensemble(first, second, 0.3).logits.softmax(1), found)


def test_logits_are_averaged_as_they_stand(two):
    first, second = two
    assert torch.allclose(
        output_ensemble(first, second, 0.3, "logits").logits.float(), torch.lerp(first.logits, second.logits, 0.3)
    )


@pytest.mark.parametrize("space", ["logits", "probabilities"])
def test_alpha_0_and_1_are_the_ends_and_every_image_may_have_its_own(two, space):
    first, second = two
    assert torch.equal(output_ensemble(first, second, 0.0, space).predicted, first.predicted)
    assert torch.equal(output_ensemble(first, second, 1.0, space).predicted, second.predicted)
    coins = (torch.arange(40) % 2).double()
    mixed = output_ensemble(first, second, coins, space).predicted
    assert torch.equal(mixed, torch.where(coins.bool(), second.predicted, first.predicted))


def test_what_is_asked_of_a_dataset_stays_with_it():
    labels = torch.tensor([0, 2, 0, 2])
    first, second = (Predictions(some(i, n=4), labels, class_subset=(0, 2)) for i in (0, 1))
    assert output_ensemble(first, second, 0.5).class_subset == (0, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": 1.5}, "expected one number in"),
        ({"alpha": torch.zeros(3)}, "one for each of 40"),
        ({"space": "weights"}, "space of an ensemble"),
        ({"second": Predictions(some(1), torch.zeros(40, dtype=torch.int64))}, "one dataset"),
        ({"second": Predictions(some(1, classes=6), torch.arange(40) % 5)}, "one dataset"),
    ],
)
@pytest.mark.filterwarnings("ignore:alpha 1.5")
def test_what_cannot_be_averaged_is_refused_in_a_sentence(two, change, words):
    with pytest.raises(WiseftError, match=words):
        output_ensemble(**({"first": two[0], "second": two[1], "alpha": 0.5} | change))


# Classes that are not asked for have no say


ASKED = {  # four columns; what the dataset asks for, and the columns of its labels
    "subset": (dict(class_subset=(3, 0)), [(3,), (0,)]),
    "groups": (dict(class_groups=((2,), (0, 3))), [(2,), (0, 3)]),
}


@pytest.fixture(params=ASKED, ids=list(ASKED))
def asking(request):
    """Two that were asked for some classes, with loud logits of others; and the same two with those labels alone."""
    asked, columns = ASKED[request.param]
    labels = torch.arange(40) % 2
    whole = [some(i, classes=4) for i in (0, 1)]
    whole[0][:, 1] += 5.0  # nobody asks for class 1
    stays = labels if "class_groups" in asked else torch.tensor(asked["class_subset"])[labels]
    narrow = [torch.stack([logits[:, list(c)].amax(1) for c in columns], dim=1) for logits in whole]
    return [Predictions(x, stays, **asked) for x in whole], [Predictions(x, labels) for x in narrow]


def test_probabilities_are_those_among_the_labels_asked_for(asking):
    """Softmax over classes nobody asks for would take the vote from whoever names them."""
    whole = asking[0]
    found, expected = (output_ensemble(*two, 0.4) for two in asking)
    assert torch.allclose(found.choices, expected.logits, atol=1e-6)
    assert torch.equal(found.correct, expected.correct)
    over_all = torch.lerp(*(p.logits.double().softmax(1) for p in whole), 0.4)
    careless = dataclasses.replace(whole[0], logits=over_all)
    assert not torch.equal(careless.correct, expected.correct), "the test tells the two apart"


def test_entropies_and_the_choice_of_a_and_b_know_the_labels_asked_for(asking):
    whole, narrow = asking
    assert torch.allclose(entropy_coefficients(*whole), entropy_coefficients(*narrow), atol=1e-6)
    distance = torch.linspace(0, 2, 40, dtype=torch.float64)
    assert choose_distance(distance, *whole) == choose_distance(distance, *narrow)


def test_departure_is_that_of_the_classes_asked_for():
    labels = torch.arange(40) % 2
    path = {a: some(i, classes=4) for i, a in enumerate((0.0, 0.5, 1.0))}
    of_subset = departure_from_line({a: Predictions(x, labels, class_subset=(0, 1)) for a, x in path.items()})
    of_groups = departure_from_line({a: Predictions(x, labels, class_groups=((0,), (1,))) for a, x in path.items()})
    alone = departure_from_line({a: Predictions(x[:, :2], labels) for a, x in path.items()})
    for found in (of_subset, of_groups):
        pd.testing.assert_frame_equal(found, alone)


def test_labels_that_share_a_class_have_no_probabilities_of_their_own():
    labels = torch.arange(40) % 2
    two = [Predictions(some(i, classes=4), labels, class_groups=((0, 1), (1, 2))) for i in (0, 1)]
    with pytest.raises(WiseftError, match="share a class"):
        output_ensemble(*two, 0.5)
    assert output_ensemble(*two, 0.5, "logits").class_groups == two[0].class_groups


# Weights against outputs


def test_logits_along_the_path_are_those_of_each_interpolated_classifier(ends):
    first, second, data = ends
    path = predict_along(first, second, data, (0.0, 0.4, 1.0))
    assert list(path) == [0.0, 0.4, 1.0]
    for alpha, predictions in path.items():
        expected = evaluate(wise_ft(first, second, alpha), data, progress=False)
        assert torch.allclose(predictions.logits, expected.logits, atol=1e-5)


def test_linear_classifiers_depart_from_the_line_nowhere_and_others_do(ends):
    first, second, data = ends
    linear = copy.deepcopy(first)
    linear.classification_head.load_state_dict(second.classification_head.state_dict())
    flat = departure_from_line(predict_along(first, linear, data, (0.0, 0.3, 0.5, 1.0)))
    assert flat.departure.max() < 1e-5 and (flat.agreement == 1).all()
    bent = departure_from_line(predict_along(first, second, data, (0.0, 0.5, 1.0)))
    assert bent.departure.iloc[1] > 0.01 and bent.departure.iloc[[0, 2]].max() < 1e-6


def test_departure_is_a_ratio_of_lengths_whatever_is_added_to_all_logits():
    """By hand: ends 0 and 2 in one direction, the middle 1 to the side of the line."""
    labels = torch.zeros(1, dtype=torch.int64)
    logits = {0.0: [0.0, 0.0, 0.0], 0.5: [8.0, 6.0, 7.0], 1.0: [1.0, 1.0, -2.0]}  # 8, 6, 7 is 1, -1, 0 and 7
    path = {alpha: Predictions(torch.tensor([row]), labels) for alpha, row in logits.items()}
    away = np.array([1, -1, 0]) - np.array([0.5, 0.5, -1])
    expected = np.linalg.norm(away) / np.linalg.norm([1, 1, -2])
    assert departure_from_line(path).departure[1] == pytest.approx(expected)


def test_spaces_are_compared_in_pairs(ends):
    first, second, data = ends
    path = predict_along(first, second, data, (0.0, 0.3, 0.5, 1.0))
    table = compare_spaces({"data": path, "again": path})
    assert table.index.tolist() == [(d, a, s) for d in ("data", "again") for a in (0.3, 0.5) for s in SPACES]
    said = {"logits": torch.lerp(path[0.0].logits, path[1.0].logits, 0.5)}
    said["probabilities"] = (path[0.0].logits.softmax(1) + path[1.0].logits.softmax(1)) / 2
    for space, outputs in said.items():
        right = outputs.argmax(1) == path[0.5].labels
        pair = [int((path[0.5].correct & ~right).sum()), int((~path[0.5].correct & right).sum())]
        row = table.loc["data", 0.5, space]
        assert [row.only_weights, row.only_outputs] == pair
        assert row.p == pytest.approx(binomtest(pair[0], sum(pair)).pvalue if sum(pair) else 1)
        assert row.difference == pytest.approx((pair[0] - pair[1]) / 60)
    few = compare_spaces({"data": path}, [0.5])
    assert len(few) == 2 and (few.holm >= few.p).all() and few.holm.max() <= min(1, 2 * few.p.max())


def test_a_path_needs_two_ends_that_differ(ends):
    first, _, data = ends
    with pytest.raises(WiseftError, match="no two ends"):
        departure_from_line(predict_along(first, first, data, (0.5,)))
    with pytest.raises(WiseftError, match="no line"):
        departure_from_line(predict_along(first, first, data, (0.0, 1.0)))


# An alpha for every image


def test_dawin_takes_the_entropies_as_scipy_does(two):
    h0, h1 = (scipy_entropy(p.logits.double().softmax(1).numpy(), axis=1) for p in two)
    assert np.allclose(entropy_coefficients(*two), np.exp(-h1) / (np.exp(-h0) + np.exp(-h1)))


def test_a_certain_answer_has_entropy_0():
    labels = torch.zeros(1, dtype=torch.int64)
    sure = Predictions(torch.tensor([[0.0, -torch.inf]]), labels)
    unsure = Predictions(torch.zeros(1, 2), labels)
    assert entropy_coefficients(unsure, sure).item() == pytest.approx(2 / 3)  # 1 / (1 + exp(-log 2))


def test_each_image_gets_the_nearest_alpha_of_the_path(two):
    path = {0.0: two[0], 0.5: at_temperature(two[0], 2.0), 1.0: two[1]}
    coefficients = torch.tensor([0.1, 0.3, 0.9, 0.74] * 10)
    found = at_coefficients(path, coefficients).logits
    for i, alpha in enumerate([0.0, 0.5, 1.0, 0.5] * 10):
        assert torch.equal(found[i], path[alpha].logits[i].to(found.dtype))
    with pytest.raises(WiseftError, match="one for each"):
        at_coefficients(path, coefficients[:3])


def test_failures_are_found_and_distances_are_scikit_learns():
    torch.manual_seed(0)
    features = nn.functional.normalize(torch.randn(300, 7), dim=1)
    labels = torch.arange(300) % 3
    right = torch.eye(3)[labels]
    wrong = torch.eye(3)[(labels + 1) % 3]
    zero_shot = Predictions(torch.where(torch.arange(300)[:, None] % 2 == 0, right, wrong), labels)
    fine_tuned = Predictions(torch.where(torch.arange(300)[:, None] < 250, right, wrong), labels)
    failures = FailureSet.of(features, zero_shot, fine_tuned, share=0.02)
    expected = features[(torch.arange(300) % 2 == 1) & (torch.arange(300) < 250)]
    assert torch.equal(failures.features, expected) and failures.k == round(0.02 * len(expected)) == 2
    others = nn.functional.normalize(torch.randn(50, 7), dim=1)
    distances, _ = NearestNeighbors(n_neighbors=2).fit(expected.numpy()).kneighbors(others.numpy())
    assert np.allclose(failures.distance(others), distances[:, -1], atol=1e-5)
    assert FailureSet.of(features, zero_shot, fine_tuned).k == 1, "a thousandth, but at least one"
    with pytest.raises(WiseftError, match="nothing to fix"):
        FailureSet.of(features, fine_tuned, fine_tuned)


def test_vrf_trusts_the_fine_tuned_end_near_a_failure():
    coefficients = distance_coefficients(torch.tensor([0.0, 1.5, 9.0], dtype=torch.float64), a=1.5, b=0.6)
    assert np.allclose(coefficients, [1 / (1 + np.exp(-1.5 / 0.6)), 0.5, 1 / (1 + np.exp(7.5 / 0.6))])
    with pytest.raises(WiseftError, match="above 0"):
        distance_coefficients(torch.zeros(2), 1.0, 0.0)


def test_a_and_b_are_chosen_where_they_help():
    """Zero-shot is right far away, fine-tuned near by: a step in between gets all images right."""
    labels = torch.arange(100) % 2
    right, wrong = torch.eye(2)[labels], torch.eye(2)[1 - labels]
    distance = torch.linspace(0, 2, 100, dtype=torch.float64)
    near = (distance < 1)[:, None]
    zero_shot, fine_tuned = (
        Predictions(torch.where(near, wrong, right), labels),
        Predictions(torch.where(near, right, wrong), labels),
    )
    a, b = choose_distance(distance, zero_shot, fine_tuned)
    found = output_ensemble(zero_shot, fine_tuned, distance_coefficients(distance, a, b))
    assert found.accuracy() > 0.98 and 0.8 < a < 1.2


def test_features_have_unit_length(ends):
    first, _, data = ends
    found = encode(first, data)
    with torch.no_grad():
        expected = first.image_encoder(torch.stack([x for x, _ in data]))
    assert torch.allclose(found, expected / expected.norm(dim=1, keepdim=True), atol=1e-6)


# Cost


def test_multiply_adds_and_bytes_are_those_counted_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 64, 5)
    )
    found = inference_cost(network.train(), batch=torch.zeros(10, 3, 8, 8), repetitions=1)
    assert found["multiply_adds"] == 64 * 4 * 3 * 9 + 256 * 5
    assert found["parameters"] == 4 * 27 + 8 + 256 * 5 + 5
    assert found["bytes"] == 4 * (found["parameters"] + 8) + 8, "BatchNorm's statistics and its count of batches too"
    assert network.training and int(network[1].num_batches_tracked) == 0, "as it was"
    twice = inference_cost(network, network, batch=torch.zeros(10, 3, 8, 8), repetitions=1)
    assert all(twice[name] == 2 * found[name] for name in ("parameters", "bytes", "multiply_adds"))
    with pytest.raises(WiseftError, match="nothing to measure"):
        inference_cost(batch=torch.zeros(1, 3))


# Averages along a run


def run(steps=30, decay=0.9):
    torch.manual_seed(0)
    return torch.randn(steps + 1, 4, dtype=torch.float64).cumsum(0)


def test_the_weights_of_ema_are_those_of_the_recursion():
    thetas, decay = run(), 0.9
    average = thetas[0].clone()
    for theta in thetas[1:]:
        average = decay * average + (1 - decay) * theta
    assert torch.allclose(ema_weights(30, decay) @ thetas, average, atol=1e-14)
    assert ema_weights(30, decay).sum().item() == pytest.approx(1)


def test_debiased_ema_and_theta_0_interpolate_to_the_biased_one():
    """The paper's appendix C.3.2, to the last digits of float64."""
    thetas, decay = run(), 0.9
    mu = torch.zeros(4, dtype=torch.float64)
    for theta in thetas[1:]:
        mu = decay * mu + (1 - decay) * theta
    alpha = 1 - decay**30
    mixed = interpolate({"w": thetas[0]}, {"w": mu / (1 - decay**30)}, alpha)["w"]
    biased = ema_weights(30, decay) @ thetas
    assert (mixed - biased).abs().max() < 1e-14
    found = debias({"w": thetas[0], "n": torch.tensor(1)}, {"w": biased, "n": torch.tensor(5)}, decay, 30)
    assert (found["w"] - mu / (1 - decay**30)).abs().max() < 1e-13 and found["n"] == 5


def test_torch_averaged_model_that_sees_theta_0_first_is_the_biased_one():
    thetas, network = run(), nn.Linear(4, 1, bias=False).double()
    averages = {
        "ema": AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9)),
        "beta": AveragedModel(network, multi_avg_fn=running_average(beta_weights(30))),
        "mean": AveragedModel(network),
    }
    for theta in thetas:
        with torch.no_grad():
            network.weight.copy_(theta[None])
        for average in averages.values():
            average.update_parameters(network)
    expected = {"ema": ema_weights(30, 0.9), "beta": beta_weights(30), "mean": torch.full((31,), 1 / 31).double()}
    for name, average in averages.items():
        assert torch.allclose(average.module.weight[0], expected[name] @ thetas, atol=1e-12), name


def test_beta_weights_are_a_u_that_is_even():
    weights = beta_weights(99)
    u = (np.arange(100) + 0.5) / 100
    arcsine = 1 / np.sqrt(u * (1 - u))  # the law of Beta(1/2, 1/2)
    assert np.allclose(weights, arcsine / arcsine.sum())
    assert torch.allclose(beta_weights(9, 1.0), torch.full((10,), 0.1).double())
    for bad in (lambda: beta_weights(9, 0.0), lambda: ema_weights(9, 1.0), lambda: debias({}, {}, 0.9, 0)):
        with pytest.raises(WiseftError, match="expected a number"):
            bad()


def test_following_changes_nothing_and_sees_every_step(zero_shot, tiny, quick_config, fine_tuned):
    steps = 4
    windows = {"half": (0, 2), "last": (steps, steps)}
    follow = Follow({"mean": {}, "half": {}, "last": {}}, windows)
    followed = fine_tune(zero_shot, tiny, quick_config, progress=False, objective=follow)
    follow.look(followed)
    again, averages = average_along(zero_shot, tiny, quick_config, follow.averages, windows)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), followed.parameters(), strict=True))
    for name, model in averages.items():
        same = zip(model.parameters(), follow.models[name].module.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in same)
    assert all(torch.equal(a, b) for a, b in zip(fine_tuned.parameters(), followed.parameters(), strict=True))
    seen = {name: int(model.n_averaged) for name, model in follow.models.items()}
    assert seen == {"mean": steps + 1, "half": 3, "last": 1}
    last = follow.models["last"].module
    assert all(torch.equal(a, b) for a, b in zip(fine_tuned.parameters(), last.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(zero_shot.buffers(), last.buffers(), strict=True))
    assert isinstance(follow.models["mean"].module, ImageClassifier)


def test_statistics_are_those_of_the_training_images():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4))
    classifier = ImageClassifier(network, nn.Linear(4, 2), class_names=("a", "b")).eval()
    torch.manual_seed(0)
    data = [(5 + 2 * torch.randn(3), i % 2) for i in range(64)]
    made = with_statistics_of(classifier, data)
    inputs = torch.stack([x for x, _ in data])
    batchnorm = made.image_encoder[0]
    assert torch.allclose(batchnorm.running_mean, inputs.mean(0), atol=1e-5) and not made.training
    assert torch.allclose(batchnorm.running_var, inputs.var(0), atol=1e-4)
    assert (network[0].running_mean == 0).all(), "what was given stays"


# A coin for every weight


def test_each_weight_comes_from_one_end_and_their_share_is_alpha():
    theta_0 = {"w": torch.zeros(200, 50), "n": torch.tensor(3)}
    theta_1 = {"w": torch.ones(200, 50), "n": torch.tensor(9)}
    mixed = random_interpolation(theta_0, theta_1, 0.3)
    assert set(mixed["w"].unique().tolist()) == {0.0, 1.0} and mixed["n"] == 3
    assert mixed["w"].mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 10_000) ** 0.5)
    assert torch.equal(mixed["w"], random_interpolation(theta_0, theta_1, 0.3)["w"])
    assert not torch.equal(mixed["w"], random_interpolation(theta_0, theta_1, 0.3, seed=1)["w"])
    assert torch.equal(random_interpolation(theta_0, theta_1, 0.0)["w"], theta_0["w"])
    assert torch.equal(random_interpolation(theta_0, theta_1, 1.0)["w"], theta_1["w"])
    many = [{str(i): torch.full((3,), value) for i in range(400)} for value in (0.0, 1.0)]
    whole = torch.stack(list(random_interpolation(*many, 0.3, whole_tensors=True).values()))
    assert (whole == whole[:, :1]).all() and whole.mean().item() == pytest.approx(0.3, abs=4 * (0.21 / 400) ** 0.5)
    with pytest.raises(WiseftError, match="probability"):
        random_interpolation(theta_0, theta_1, 1.2)
    with pytest.raises(WiseftError, match="one architecture"):
        random_interpolation(theta_0, {"w": theta_1["w"]}, 0.5)


# Intervals


def test_the_mean_has_the_interval_that_sweep_gives_it():
    rng = np.random.default_rng(0)
    right = {"a": rng.random((200, 2)) < 0.7, "b": rng.random((200, 2)) < 0.8}
    source = np.arange(200)
    value, low, high = bootstrapped(accuracy_of(["a", "b"], 1), right, {"a": source, "b": source})
    lows, highs = mean_interval(list(right.values()), [source, source])
    assert value == pytest.approx((right["a"][:, 1].mean() + right["b"][:, 1].mean()) / 2)
    assert low == pytest.approx(lows[1], abs=1e-6) and high == pytest.approx(highs[1], abs=1e-6)


def test_a_difference_is_a_paired_one():
    """Two classifiers that agree on nearly all images: the closed form of the paired error, not that of two samples."""
    rng = np.random.default_rng(0)
    first = rng.random(2000) < 0.6
    second = first ^ (rng.random(2000) < 0.02)
    value, low, high = bootstrapped(
        lambda found: found["a"][:, 0] - found["a"][:, 1], {"a": np.stack([first, second], axis=1)}
    )
    paired_error = (first.astype(float) - second).std() / 2000**0.5
    assert value == pytest.approx(first.mean() - second.mean())
    assert (high - low) / (2 * 1.96) == pytest.approx(paired_error, rel=0.15)


def test_the_best_of_a_curve_at_equal_reference_by_brute_force():
    rng = np.random.default_rng(1)
    x, y = rng.random((5, 6)), rng.random((5, 6))
    wanted = np.array([0.1, 0.3, 0.5, 0.7, 2.0])
    found = best_at_equal_reference(x, y, wanted)
    for i in range(5):
        grid = np.linspace(0, 5, 101)
        xs, ys = np.interp(grid, range(6), x[i]), np.interp(grid, range(6), y[i])
        allowed = xs >= wanted[i] - 1e-9
        assert found[i] == pytest.approx(ys[allowed].max() if allowed.any() else ys[xs.argmax()])
    with pytest.raises(WiseftError, match="expected"):
        best_at_equal_reference(x, y[:, :3], wanted)


def test_seeds_and_images_both_widen_the_interval():
    rows = pd.DataFrame({"value": [0.01, 0.02, 0.03], "low": np.nan, "high": np.nan})
    mean, _, high = over_seeds(rows)
    assert mean == pytest.approx(0.02) and high - mean == pytest.approx(
        4.30265 * 0.01 / 3**0.5, rel=1e-4
    )  # t, 2 degrees
    wider = over_seeds(rows.assign(low=rows.value - 0.03, high=rows.value + 0.03))
    assert wider[2] - wider[0] == pytest.approx(np.hypot(high - mean, 0.03))
    with pytest.raises(WiseftError, match="no spread"):
        over_seeds(rows[:1])


def test_a_table_over_seeds_has_a_row_a_group():
    rows = pd.DataFrame({"seed": [0, 1] * 2, "alpha": [0.5, 0.5, 1.0, 1.0], "value": [0.1, 0.3, 0.5, 0.5]})
    rows = rows.assign(method="m", low=np.nan, high=np.nan)
    table = seeds_table(rows, "alpha")
    assert table["mean"].tolist() == [pytest.approx(0.2), 0.5] and table.least[0.5] == 0.1 and table.most[0.5] == 0.3
    assert (table.low[1.0], table.high[1.0]) == (0.5, 0.5)
    assert seeds_table(rows, ["method", "alpha"]).index.tolist() == [("m", 0.5), ("m", 1.0)]
    with pytest.raises(WiseftError, match="stands twice"):
        seeds_table(rows, "method")


def test_bands_and_forests_show_the_table():
    table = pd.DataFrame({"mean": [1.0, 2.0], "low": [0.5, -1.0], "high": [3.0, 4.0]}, index=[0.1, 0.2])
    _, ax = plot_band(table, "some", color="black", marker="o")
    assert ax.lines[0].get_xydata().tolist() == [[0.1, 1.0], [0.2, 2.0]] and ax.lines[0].get_label() == "some"
    assert {tuple(v) for v in ax.collections[0].get_paths()[0].vertices} >= {
        (0.1, 0.5),
        (0.1, 3.0),
        (0.2, -1.0),
        (0.2, 4.0),
    }
    assert plot_band(table, "more", ax=ax)[1] is ax
    _, other = plot_forest(table.set_axis(["first", "second"]))
    assert [text.get_text() for text in other.get_yticklabels()] == ["first", "second"]
    assert other.get_yticks()[0] > other.get_yticks()[1], "the first stands at the top"
    (bars,) = other.containers[0].lines[2]
    assert sorted(seg[:, 0].tolist() for seg in bars.get_segments()) == [[-1.0, 4.0], [0.5, 3.0]]
    both = pd.concat({"one": table, "other": 2 * table})
    _, third = plot_bands(both)
    assert [line.get_label() for line in third.lines] == ["one", "other"]
    assert third.lines[1].get_xydata().tolist() == [[0.1, 2.0], [0.2, 4.0]]
    assert len({(line.get_marker(), line.get_linestyle()) for line in third.lines}) == 2, "not by colour alone"
    plt.close("all")


# The command


def test_the_command_measures_what_is_missing_and_a_named_part_again_in_its_place(tmp_path, monkeypatch):
    told = []

    def part(name):
        def measure(measured, run):
            told.append((measured.seed, name))
            measured.add(name, "m", 0.5, "accuracy", "reference", len(told))

        return measure

    monkeypatch.setattr(ensembles, "TABLE", tmp_path / "ensembles.csv")
    monkeypatch.setattr(ensembles, "PARTS", {name: part(name) for name in ("b", "a")})
    monkeypatch.setattr(ensembles, "load_benchmark", lambda name: None)
    monkeypatch.setattr(ensembles, "Run", lambda benchmark, seed: SimpleNamespace(benchmark=benchmark, seed=seed))
    for arguments in ([], [], ["b"]):
        monkeypatch.setattr("sys.argv", ["ensembles", *arguments])
        ensembles.main()
    assert told == [(s, name) for s in (0, 1, 2) for name in "ba"] + [(s, "b") for s in (0, 1, 2)]
    table = pd.read_csv(ensembles.TABLE)
    assert table[["seed", "part"]].to_numpy().tolist() == [[s, name] for s in (0, 1, 2) for name in "ba"]
    assert table[table.part == "a"].value.tolist() == [2, 4, 6] and table[table.part == "b"].value.min() == 7


def test_seeds_are_laid_out_and_drawn_as_thin_lines():
    rows = [
        {"seed": seed, "alpha": alpha, "dataset": name, "accuracy": 0.1 * seed + 0.2 * alpha + 0.05 * i}
        for seed in (0, 1)
        for alpha in (1.0, 0.0)
        for i, name in enumerate("ab")
    ]
    table = by_seed(pd.DataFrame(rows), {"both": ("a", "b")})
    assert table.index.tolist() == [(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)]
    assert np.allclose(table["both"], [0.025, 0.225, 0.125, 0.325])
    _, ax = plt.subplots()
    add_seeds(ax, table, "a", color="red")
    add_seeds(ax, table, "both", "b")
    first, *_, last = ax.lines
    assert np.allclose(first.get_xydata(), [[0, 0], [1, 20]]) and first.get_color() == "red"
    assert np.allclose(last.get_xydata(), [[0.15, 0.125], [0.35, 0.325]]) and len(ax.lines) == 4
    plt.close("all")
    with pytest.raises(WiseftError, match="sweeps of several seeds"):
        by_seed(pd.DataFrame(rows).drop(columns="seed"), {})
