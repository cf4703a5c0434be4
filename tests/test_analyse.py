"""What predictions and weights of two endpoints tell, each checked against another way to compute it."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import cohen_kappa_score, log_loss

from wiseft_nb import ImageClassifier, Predictions, WiseftError, evaluate, load_standard_models, wise_ft
from wiseft_nb.analyse.calibration import (
    at_temperature,
    calibration_error,
    confidence,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from wiseft_nb.analyse.disagreement import margins, outcomes, overrides
from wiseft_nb.analyse.diversity import cka_complement, diversity, kappa_complement, mean_kl, prediction_diversity
from wiseft_nb.analyse.landscape import landscape, moved, plane
from wiseft_nb.analyse.permute import permute_channels
from wiseft_nb.analyse.slices import load_standard_answers, slice_accuracies

N, CLASSES = 400, 5


def some(seed, scale=2.0, **asked):
    """Logits that lean to the label, differently for each seed; labels are the same."""
    labels = torch.randint(CLASSES, (N,), generator=torch.Generator().manual_seed(0))
    noise = torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(seed))
    return Predictions(scale * (noise + torch.eye(CLASSES)[labels]), labels, **asked)


FIRST, SECOND, THIRD = some(1), some(2), some(3)
SUBSET = dict(class_subset=(4, 1, 3, 2, 0))


# ---------------------------------------------------------------------------------------- diversity


def test_prediction_diversity_counts_images_that_one_alone_reads():
    right = np.stack([(found.logits.argmax(1) == found.labels).numpy() for found in (FIRST, SECOND)])
    assert prediction_diversity(FIRST, SECOND) == pytest.approx((right.sum(axis=0) == 1).mean())


def test_kappa_is_scikit_learns():
    expected = 1 - cohen_kappa_score(FIRST.predicted, SECOND.predicted)
    assert kappa_complement(FIRST, SECOND) == pytest.approx(expected)
    assert kappa_complement(FIRST, FIRST) == 0
    same = Predictions(torch.eye(CLASSES)[0].expand(N, CLASSES), FIRST.labels)
    assert kappa_complement(same, same) == 0, "both name one class: no chance to differ, and no difference"


def test_kl_is_scipys_and_has_a_direction():
    p, q = (found.logits.double().softmax(1).numpy() for found in (FIRST, SECOND))
    assert mean_kl(FIRST, SECOND) == pytest.approx(entropy(p, q, axis=1).mean())
    assert mean_kl(SECOND, FIRST) != pytest.approx(mean_kl(FIRST, SECOND), rel=1e-3)


def test_kl_knows_labels_without_any_class():
    groups = dict(class_groups=((0, 1), (2,), (), (3,), (4,)))
    labels = torch.tensor([0, 1, 3, 4])
    found = [
        Predictions(torch.randn(4, 5, generator=torch.Generator().manual_seed(s)), labels, **groups) for s in (0, 1)
    ]
    assert 0 < mean_kl(*found) < 100


def test_cka_is_that_of_gram_matrices():
    """Kornblith et al. define it by HSIC of two n x n kernels; the short formula must agree."""
    x, y = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.randn(40, 3)
    y = y + x[:, :3]
    centre = torch.eye(40) - 1 / 40
    k, m = (centre @ (z @ z.T) @ centre for z in (x, y))
    assert 1 - cka_complement(x, y) == pytest.approx(float((k * m).sum() / (k.norm() * m.norm())), abs=1e-5)


def test_cka_does_not_see_rotation_scale_and_shift():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    assert cka_complement(x, 3 * x @ turn + 7) == pytest.approx(0, abs=1e-6)
    with pytest.raises(WiseftError, match="same outputs for every image"):
        cka_complement(x, torch.ones(50, 2))
    with pytest.raises(WiseftError, match="same images"):
        cka_complement(x, x[:40])


def test_all_measures_are_zero_between_equals_and_refuse_other_images():
    assert all(value == pytest.approx(0, abs=1e-9) for value in diversity(FIRST, FIRST).values())
    assert min(diversity(FIRST, SECOND).values()) > 0.05
    fewer = Predictions(FIRST.logits[:-1], FIRST.labels[:-1])
    with pytest.raises(WiseftError, match="one dataset"):
        diversity(FIRST, fewer)
    with pytest.raises(WiseftError, match="same classes"):
        kappa_complement(FIRST, Predictions(torch.nn.functional.pad(FIRST.logits, (0, 1)), FIRST.labels))


# ------------------------------------------------------------------------------------- disagreement


def test_overrides_image_by_image():
    found = overrides(FIRST, THIRD, SECOND)
    counted = dict.fromkeys(found, 0)
    for a, m, b, y in zip(FIRST.predicted, THIRD.predicted, SECOND.predicted, FIRST.labels, strict=True):
        if a != b:
            counted["disagree"] += 1
            counted["zero_shot"] += int(m == a)
            counted["fine_tuned"] += int(m == b)
            counted["neither"] += int(m != a and m != b)
            counted["zero_shot_right"] += int(m == a == y)
            counted["fine_tuned_right"] += int(m == b == y)
    assert found == counted and min(counted.values()) > 0
    assert found["zero_shot"] + found["fine_tuned"] + found["neither"] == found["disagree"]


def test_margins_are_between_the_two_largest_logits_that_may_be_chosen():
    expected = np.sort(FIRST.logits.numpy(), axis=1)
    assert np.allclose(margins(FIRST), expected[:, -1] - expected[:, -2])
    few = Predictions(torch.tensor([[9.0, 1.0, 3.0]]), torch.tensor([1]), class_subset=(1, 2))
    assert margins(few).item() == 2, "class 0 cannot be chosen"
    grouped = Predictions(torch.tensor([[9.0, 8.0, 3.0]]), torch.tensor([0]), class_groups=((0, 1), (2,), ()))
    assert margins(grouped).item() == 6, "the two largest are of one label"


def test_every_image_has_one_outcome():
    zero, mixed, tuned = (found.correct for found in (FIRST, THIRD, SECOND))
    found = outcomes(FIRST, THIRD, SECOND)
    assert (found == "restored").sum() == int((zero & mixed & ~tuned).sum())
    assert found.isin(["restored", "forgotten"]).sum() == int((zero & ~tuned).sum())
    assert (found == "newly right").sum() == int((~zero & mixed & ~tuned).sum())
    assert (found == "unlearned").sum() == int((~zero & ~mixed & tuned).sum())
    assert found.nunique() == 8 and len(found) == N


# -------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_bin_by_bin(bins):
    p = FIRST.logits.double().softmax(1).numpy()
    sure, right = p.max(axis=1), (p.argmax(axis=1) == FIRST.labels.numpy()).astype(float)
    error = 0.0
    for low in np.arange(bins) / bins:
        inside = (sure >= low) & (sure < low + 1 / bins)
        if inside.any():
            error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    assert calibration_error(FIRST, bins) == pytest.approx(error, abs=1e-9)
    assert reliability(FIRST, bins).n.sum() == N


def test_a_bin_has_the_interval_of_its_accuracy():
    table = reliability(FIRST)
    assert (table.low <= table.accuracy).all() and (table.accuracy <= table.high).all()
    certain = Predictions(torch.tensor([[1e4, 0.0]]), torch.tensor([0]))
    assert reliability(certain).confidence.tolist() == [1.0], "confidence 1 falls into the last bin"
    with pytest.raises(WiseftError, match="at least 1"):
        reliability(FIRST, 0)


def test_the_likelihood_is_scikit_learns():
    p = (FIRST.logits.double() / 2).softmax(1).numpy()
    assert negative_log_likelihood(FIRST, 2.0) == pytest.approx(log_loss(FIRST.labels, p, labels=range(CLASSES)))
    assert negative_log_likelihood(some(1, **SUBSET)) == pytest.approx(negative_log_likelihood(FIRST))


def test_the_temperature_that_made_the_labels_is_found():
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, CLASSES, generator=rng)
    labels = (logits / 2.5).softmax(1).multinomial(1, generator=rng).flatten()
    temperature = fit_temperature(Predictions(logits, labels))
    assert temperature == pytest.approx(2.5, rel=0.05)
    cooled = at_temperature(Predictions(logits, labels), temperature)
    assert calibration_error(cooled) < 0.02 < calibration_error(Predictions(logits, labels))
    assert torch.equal(cooled.predicted, logits.argmax(1)), "no prediction changes"


def test_the_temperature_is_where_the_gradient_vanishes():
    log_t = torch.tensor(np.log(fit_temperature(SECOND)), requires_grad=True)
    torch.nn.functional.cross_entropy(SECOND.logits.double() / log_t.exp(), SECOND.labels).backward()
    assert abs(log_t.grad.item()) < 1e-3


def test_without_an_error_there_is_no_temperature():
    perfect = Predictions(10 * torch.eye(CLASSES)[FIRST.labels], FIRST.labels)
    for hopeless in (perfect, Predictions(-perfect.logits, FIRST.labels)):
        with pytest.raises(WiseftError, match="all right"):
            fit_temperature(hopeless)
    with pytest.raises(WiseftError, match="above 0"):
        at_temperature(FIRST, 0.0)


def test_confidence_is_that_among_the_classes_asked_for():
    few = Predictions(torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([1]), class_subset=(1, 2))
    assert confidence(few).tolist() == [0.5]


# --------------------------------------------------------------------------------- weights, landscape


@pytest.fixture(scope="module")
def other(zero_shot):
    """A second set of weights, apart from the first."""
    torch.manual_seed(5)
    model = copy.deepcopy(zero_shot)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return model


def flat(model):
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def test_the_plane_keeps_all_three_distances(zero_shot, fine_tuned, other):
    corners = plane(zero_shot, fine_tuned, other)
    weights = [flat(model) for model in (zero_shot, fine_tuned, other)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(corners[i] - corners[j]) == pytest.approx(
            float((weights[i] - weights[j]).norm()), rel=1e-6
        )
    assert corners[0].tolist() == [0, 0] and corners[1, 1] == 0 and corners[2, 1] > 0


def test_three_on_a_line_have_no_plane(zero_shot, fine_tuned):
    with pytest.raises(WiseftError, match="one line"):
        plane(zero_shot, fine_tuned, wise_ft(zero_shot, fine_tuned, 0.5))


def test_the_landscape_has_the_models_at_its_corners_and_wise_ft_on_its_edge(zero_shot, fine_tuned, other, tiny):
    before = flat(zero_shot)
    data = {"pose": tiny.shifts["pose"]}
    table = landscape(zero_shot, fine_tuned, other, data, [(0, 0), (1, 0), (0, 1), (0.3, 0)])
    models = (zero_shot, fine_tuned, other, wise_ft(zero_shot, fine_tuned, 0.3))
    assert table.accuracy.tolist() == [evaluate(model, data["pose"]).accuracy() for model in models]
    assert table[["x", "y"]].to_numpy()[:3] == pytest.approx(plane(zero_shot, fine_tuned, other))
    assert torch.equal(before, flat(zero_shot))


def test_every_part_moved_by_its_share(zero_shot, fine_tuned):
    table = moved(zero_shot, fine_tuned)
    tau = flat(fine_tuned) - flat(zero_shot)
    assert table.distance.pow(2).sum() == pytest.approx(float(tau.square().sum()))
    assert table.share.sum() == pytest.approx(1) and table.parameters.sum() == len(tau)
    with torch.no_grad():
        head = (fine_tuned.classification_head.weight - zero_shot.classification_head.weight).double()
        bias = (fine_tuned.classification_head.bias - zero_shot.classification_head.bias).double()
    found = moved(zero_shot, fine_tuned, depth=1).loc["classification_head"]
    assert found.distance == pytest.approx((head.square().sum() + bias.square().sum()).sqrt().item())
    assert found.relative == pytest.approx(found.distance / float(zero_shot.classification_head.weight.double().norm()))


# ---------------------------------------------------------------------------------- twins and slices


def test_permuted_channels_are_the_same_function_from_far_away(zero_shot, fine_tuned, tiny):
    before = flat(fine_tuned)
    twin = permute_channels(fine_tuned, seed=1)
    found, expected = (evaluate(model, tiny.shifts["pose"]).logits for model in (twin, fine_tuned))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    distance, step = ((flat(model) - flat(zero_shot)).norm() for model in (twin, fine_tuned))
    assert distance > 5 * step and torch.equal(before, flat(fine_tuned))
    assert torch.equal(flat(permute_channels(fine_tuned, seed=1)), flat(twin))
    assert flat(twin).sort().values.equal(before.sort().values), "the same numbers in another order"


def test_an_encoder_without_such_blocks_is_refused():
    plain = ImageClassifier(torch.nn.Identity(), torch.nn.Linear(4, 2), class_names=["a", "b"])
    with pytest.raises(WiseftError, match="no bottleneck blocks"):
        permute_channels(plain)


def test_the_answers_of_standard_models_are_those_of_their_table():
    answers, table = load_standard_answers(), load_standard_models().set_index(["model", "dataset"])
    for name, right in answers.items():
        for model, accuracy in right.mean().items():
            assert accuracy == pytest.approx(table.accuracy[model, name], abs=1e-6)
    assert len(answers) == table.index.get_level_values("dataset").nunique() == 12


def test_slices_are_counted_image_by_image():
    right = pd.DataFrame({"a": [True, False, True, True], "b": [False, False, True, False]})
    table = slice_accuracies(right, {"first two": np.array([1, 1, 0, 0], bool), "all": np.ones(4, bool)})
    found = table.set_index(["dataset", "model"])
    assert found.accuracy["first two", "a"] == 0.5 and found.accuracy["first two", "b"] == 0
    assert found.n["first two", "a"] == 2 and found.accuracy["all", "a"] == 0.75
    for bad, message in (
        (np.zeros(4, bool), "no image"),
        (np.ones(3, bool), r"expected bool \(4,\)"),
        ([0, 1], "bool"),
    ):
        with pytest.raises(WiseftError, match=message):
            slice_accuracies(right, {"bad": bad})
