"""Rules for alpha: each against its formula by other means, none looks at the target's labels, none guesses in silence."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as scipy_entropy
from scipy.stats import norm
from sklearn.metrics import log_loss, mutual_info_score

from wiseft_nb.analyse import estimates
from wiseft_nb.analyse.estimates import average_confidence, calibrated
from wiseft_nb.analyse.regret import judge, regret, two_way_interval
from wiseft_nb.analyse.tables import load_results
from wiseft_nb.analyse.views import Transformed, rotated
from wiseft_nb.benchmarks import ImageSet, load_benchmark
from wiseft_nb.benchmarks.asked import asked_of, source_of
from wiseft_nb.choose_alpha import RULES, choose_alpha
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def path(n=200, seed=0, **how):
    return path_of(ALPHAS, n, seed, **how)


def path_of(alphas, n=200, seed=0, sharpness=2.0, growth=0.0, right=0.7):
    """Predictions along alpha that are right by chance, and surer the larger alpha is."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    found = {}
    for alpha in alphas:
        logits = rng.normal(size=(n, 5))
        logits[np.arange(n), np.where(rng.random(n) < right, labels, rng.integers(0, 5, n))] += 2
        found[alpha] = Predictions(torch.tensor(logits * (sharpness + growth * alpha)).float(), torch.tensor(labels))
    return found


def probabilities(said):
    return softmax(said.logits.double().numpy(), axis=1)


def sweep_of(*accuracies, error=0.001, alphas=ALPHAS):
    return pd.DataFrame({"dataset": "val", "alpha": alphas, "accuracy": accuracies, "chord_error": error})


EASY = {alpha: Predictions(9 * torch.eye(5)[torch.arange(50) % 5], torch.arange(50) % 5) for alpha in ALPHAS}

# Estimates


def test_confidence_and_entropies_are_those_of_scipy():
    target = path()
    for alpha, said in target.items():
        p = probabilities(said)
        assert average_confidence(target)[alpha] == pytest.approx(p.max(1).mean())
        mean_entropy = scipy_entropy(p, axis=1).mean()
        assert estimates.negative_entropy(target)[alpha] == pytest.approx(-mean_entropy)
        assert estimates.mutual_information(target)[alpha] == pytest.approx(scipy_entropy(p.mean(0)) - mean_entropy)


def test_information_is_that_of_the_labels_where_predictions_are_sure():
    labels = torch.tensor([0, 0, 1, 2])
    said = {0.0: Predictions(1e4 * torch.eye(3)[labels], labels)}
    assert estimates.mutual_information(said)[0.0] == pytest.approx(mutual_info_score(labels, labels))


def test_each_alpha_has_its_own_temperature():
    hard, target = path(seed=1, growth=4), path(seed=2, growth=4)
    cooled = calibrated(target, hard)
    for alpha, said in target.items():
        grid = np.exp(np.linspace(-2, 4, 400))
        at = np.arange(hard[alpha].n), hard[alpha].labels.numpy()
        losses = [-log_softmax(hard[alpha].logits.double().numpy() / t, axis=1)[at].mean() for t in grid]
        wanted = said.logits.double() / grid[np.argmin(losses)]
        assert torch.allclose(cooled[alpha].logits.double(), wanted, rtol=0.02, atol=0.02)


def test_calibration_takes_away_confidence_that_grows_along_the_path():
    hard, target = path(4000, seed=1, growth=6), path(4000, seed=2, growth=6)
    raw, mended = average_confidence(target), average_confidence(calibrated(target, hard))
    true = estimates.along(target, Predictions.accuracy)
    assert np.ptp(raw - true) > 0.05
    assert np.ptp(mended - true) < 0.025  # its level is off (no temperature mends random labels), but not its slope


def test_a_threshold_leaves_as_many_of_validation_as_are_right():
    validation = path(1000, seed=3)
    found = estimates.threshold_confidence(validation, validation)
    assert np.allclose(found, [said.accuracy() for said in validation.values()], atol=0.002)


def test_agreement_on_the_line_orders_alphas_as_validation_does():
    validation, target = ({a: path(2000, seed, right=0.5 + 0.4 * a)[a] for a in ALPHAS} for seed in (4, 5))
    found = estimates.agreement_on_the_line(target, validation)
    assert found.rank().equals(estimates.along(validation, Predictions.accuracy).rank())
    x, y = [], []
    for i, a in enumerate(ALPHAS):
        for b in ALPHAS[i + 1 :]:
            for of, into in ((validation, x), (target, y)):
                into.append(norm.ppf((of[a].logits.argmax(1) == of[b].logits.argmax(1)).float().mean().item()))
    line = np.poly1d(np.polyfit(x, y, 1))
    assert found[1.0] == pytest.approx(norm.cdf(line(norm.ppf(validation[1.0].accuracy()))), abs=1e-5)


def test_two_runs_agree_as_often_as_they_do():
    first, second = path(seed=6), path(seed=7)
    both = first[0.5].logits.argmax(1) == second[0.5].logits.argmax(1)
    assert estimates.agreement(first, second)[0.5] == pytest.approx(both.double().mean().item())


def test_likelihood_is_scikit_learns():
    said = path()
    for alpha in ALPHAS:
        assert estimates.likelihood(said)[alpha] == pytest.approx(
            -log_loss(said[alpha].labels, probabilities(said[alpha]))
        )


def linear(*weights):
    layer = torch.nn.Linear(len(weights), 1, bias=False)
    layer.weight.data = torch.tensor([weights])
    return layer


def test_model_stock_of_two_runs_is_the_closed_form():
    zero, a, b = linear(1.0, 1.0), linear(2.0, 1.0), linear(1.0 + 0.6, 1.0 + 0.8)
    assert estimates.model_stock_ratio(zero, [a, b]) == pytest.approx(2 * 0.6 / 1.6)
    assert estimates.model_stock_ratio(zero, [a, a]) == pytest.approx(1)
    assert estimates.model_stock_ratio(zero, [a, linear(0.0, 1.0)]) == 0
    with pytest.raises(WiseftError, match="two or more"):
        estimates.model_stock_ratio(zero, [a])


def test_what_is_asked_of_a_dataset_is_asked_of_its_probabilities():
    """With a class subset the softmax is over its classes alone, in every estimate."""
    logits, labels = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    some = {alpha: Predictions(logits * (1 + alpha), labels, class_subset=(0, 1)) for alpha in ALPHAS}
    alone = {alpha: Predictions(logits[:, :2] * (1 + alpha), labels) for alpha in ALPHAS}
    for estimate in (
        average_confidence,
        estimates.negative_entropy,
        estimates.mutual_information,
        estimates.likelihood,
    ):
        assert np.allclose(estimate(some), estimate(alone))


# Rules


def test_no_rule_but_few_labels_sees_the_targets_labels():
    target, hard = path(seed=8), path(seed=9)
    other = {alpha: dataclasses.replace(said, labels=said.labels.roll(1)) for alpha, said in target.items()}
    chosen = [choose_alpha(of, "confidence", calibration=hard) for of in (target, other)]
    assert chosen[0].alpha == chosen[1].alpha and chosen[0].estimate.equals(chosen[1].estimate)
    seen = [choose_alpha(of, "few labels", calibration=hard).estimate for of in (target, other)]
    assert not seen[0].equals(seen[1])


def test_confidence_chooses_where_calibrated_confidence_is_highest():
    target, hard = path(seed=8, growth=5), path(seed=9, growth=5)
    found = choose_alpha(target, "confidence", calibration=hard)
    assert found.estimate.equals(average_confidence(calibrated(target, hard)))
    assert found.alpha == found.estimate.idxmax()
    far = choose_alpha(target, "confidence", calibration=hard, margin=0.99)
    assert far.alpha == 0.5 and far.estimate.equals(found.estimate)


def test_few_labels_chooses_the_likeliest():
    target, hard = path(40, seed=8), path(seed=9)
    losses = {}
    for alpha in ALPHAS:
        t = estimates.fit_temperature(hard[alpha])
        log_p = log_softmax(target[alpha].logits.double().numpy() / t, axis=1)
        losses[alpha] = -log_p[np.arange(40), target[alpha].labels].mean()
    assert choose_alpha(target, "few labels", calibration=hard).alpha == min(losses, key=losses.get)


@pytest.mark.parametrize(
    ("accuracies", "error", "alpha"),
    [
        ((0.8, 0.85, 0.9, 0.92, 0.95), 0.001, 0.5),
        ((0.8, 0.3, 0.2, 0.4, 0.95), 0.01, 0.0),
        ((0.8, 0.833, 0.87, 0.907, 0.95), 0.001, 0.5),  # half a point: within the gate
        ((0.8, 0.82, 0.85, 0.9, 0.95), 0.015, 0.5),  # two and a half points, but fewer than two standard errors
        ((0.8, 0.82, 0.85, 0.9, 0.95), np.nan, 0.0),  # published: no standard error is known
    ],
)
def test_the_gate_shuts_where_the_path_sags(accuracies, error, alpha):
    assert choose_alpha(sweep_of(*accuracies, error=error), "gate").alpha == alpha


def test_rules_on_validation_accuracy():
    table = sweep_of(0.5, 0.86, 0.92, 0.93, 0.9)
    assert choose_alpha(table, "reference").alpha == 0.75
    assert choose_alpha(table, "most of the gain").alpha == 0.25  # 0.5 + 0.8 * 0.43 = 0.844
    assert choose_alpha(sweep_of(0.5, 0.9, 0.9, 0.9, 0.9), "reference").alpha == 0.5  # a tie


def test_every_rule_says_what_it_does_not_know():
    assert all(not_known for _, not_known in RULES.values())
    assert choose_alpha().not_known == RULES["half"][1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_alpha(rule="best"), "unknown rule for alpha"),
        (lambda: choose_alpha(sweep_of(0.1, 0.2, 0.3, 0.4, 0.5)), "looks at nothing"),
        (lambda: choose_alpha(path(), "gate"), "sweep of a validation set"),
        (lambda: choose_alpha(None, "confidence"), "predictions along alpha"),
        (lambda: choose_alpha(sweep_of(0, 0, 0, 0, 0), "confidence"), "predictions along alpha"),
        (lambda: choose_alpha(path(), "confidence"), "needs calibration"),
        (lambda: choose_alpha(path(), "confidence", calibration=EASY), "too easy"),
        (lambda: choose_alpha(path(19), "confidence", calibration=path()), "too few"),
        (lambda: choose_alpha({0.5: path()[0.5]}, "confidence", calibration=path()), "nothing to choose among 1"),
        (lambda: choose_alpha(path(), "confidence", calibration={a: path()[a] for a in (0.0, 1.0)}), "same"),
        (lambda: choose_alpha(path(), "few labels", calibration=path(), margin=0.01), "margin is for"),
        (lambda: choose_alpha(path(), "confidence", calibration=path(), margin=1), "0.01 for a point"),
        (lambda: choose_alpha(sweep_of(0, 0, 0, 0, 0), "gate", calibration=path()), "calibrates nothing"),
        (lambda: choose_alpha(pd.concat([sweep_of(0, 0, 0, 0, 0)] * 2), "reference"), "one run"),
        (lambda: choose_alpha(sweep_of(0.1, 0.2, alphas=(0.5, 1.0)), "most of the gain"), "from alpha 0"),
        (lambda: choose_alpha(sweep_of(0.1, 0.2, alphas=(0.0, 0.5)), "gate"), "has no path to judge"),
    ],
)
def test_where_a_rule_does_not_apply_it_is_refused_in_a_sentence(call, words):
    with pytest.raises(WiseftError, match=words):
        call()


def test_what_is_no_accuracy_is_refused():
    odd = {a: dataclasses.replace(said, metric=lambda predicted, labels: {}) for a, said in path().items()}
    with pytest.raises(WiseftError, match="no accuracy"):
        choose_alpha(odd, "confidence", calibration=path())


# Regret


def test_regret_is_what_is_lost_against_the_best_and_the_best_single_alpha():
    curves = pd.DataFrame(
        [("a", 0, 0.5), ("a", 0.5, 0.6), ("a", 1, 0.9), ("b", 0, 0.7), ("b", 0.5, 0.65), ("b", 1, 0.1)],
        columns=["dataset", "alpha", "accuracy"],
    )
    found = regret(pd.DataFrame({"dataset": ["a", "b"], "alpha": [0, 1]}), curves)
    # means: 0.6, 0.625, 0.5, so 0.5 is the best single one
    assert found.regret.tolist() == pytest.approx([0.4, 0.6])
    assert found.regret_single.tolist() == pytest.approx([0.1, 0.55])
    assert found.gain.tolist() == pytest.approx([-0.1, -0.55])
    both = pd.concat([curves.assign(seed=0), curves.assign(seed=1, accuracy=lambda t: 1 - t.accuracy)])
    choices = pd.DataFrame({"dataset": ["a", "a", "b"], "alpha": [0, 0, 0.5], "seed": [1, 0, 1]})
    again = regret(choices, both, ["seed"])
    assert again.accuracy.tolist() == pytest.approx([0.5, 0.5, 0.35])
    assert again.regret.tolist() == pytest.approx([0, 0.4, 0.55])
    # of seed 1 both datasets were chosen for: means 0.4, 0.375, 0.5; of seed 0 one, whose best is 1
    assert again.regret_single.tolist() == pytest.approx([-0.4, 0.4, 0.55])


def test_runs_may_have_been_swept_at_different_alphas():
    curves = pd.DataFrame(
        [("x", 0, 0.1), ("x", 0.5, 0.2), ("x", 1, 0.3), ("y", 0, 0.1), ("y", 0.5, 0.4), ("y", 0.9, 0.2)],
        columns=["seed", "alpha", "accuracy"],
    ).assign(dataset="a")
    found = regret(pd.DataFrame({"seed": ["x", "y"], "dataset": "a", "alpha": [0, 0.9]}), curves, ["seed"])
    assert found.regret.tolist() == pytest.approx([0.2, 0.2])
    with pytest.raises(WiseftError, match="alpha 0.9 is not on the curve"):
        regret(pd.DataFrame({"seed": ["x"], "dataset": "a", "alpha": [0.9]}), curves, ["seed"])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"dataset": "a", "alpha": 0.3}, "0.3 is not on the curve of a"),
        ({"dataset": "c", "alpha": 0}, "no curve for c"),
    ],
)
def test_an_alpha_off_the_curve_is_not_judged(choice, words):
    curves = pd.DataFrame({"dataset": "a", "alpha": [0, 0.5, 1], "accuracy": 0.5})
    with pytest.raises(WiseftError, match=words):
        regret(pd.DataFrame([choice]), curves)


def test_an_interval_over_runs_and_datasets_knows_of_both():
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(9, 1)), rng.normal(size=(1, 11))
    mean, low, high = two_way_interval(pd.DataFrame(rows + columns))
    assert mean == pytest.approx((rows + columns).mean())
    error = (rows.var() / 9 + columns.var() / 11) ** 0.5  # of a mean of effects that add up, bootstrapped
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    with pytest.raises(WiseftError, match="gaps"):
        two_way_interval(pd.DataFrame([[1, np.nan]]))


def test_a_rule_is_judged_by_its_mean_over_runs_and_datasets():
    rows = pd.DataFrame(
        [(rule, recipe, seed, dataset) for rule in "pq" for recipe in "xy" for seed in (0, 1) for dataset in "abc"],
        columns=["rule", "recipe", "seed", "dataset"],
    )
    rng = np.random.default_rng(0)
    rows = rows.assign(gain=rng.normal(size=24), alpha=0.5, regret=0.01, regret_single=-0.02)
    found = judge(rows, ["q"]).loc["q"]
    of_q = rows[rows.rule == "q"]
    assert found.gain == pytest.approx(100 * of_q.gain.mean(), abs=0.01) and found.low < found.gain < found.high
    assert found.y == pytest.approx(100 * of_q[of_q.recipe == "y"].gain.mean(), abs=0.01)
    assert found.regret == 1 and found["against one alpha"] == -2 and found["mean alpha"] == 0.5
    with pytest.raises(WiseftError, match="unknown rule 'r'"):
        judge(rows, ["r"])
    with pytest.raises(WiseftError, match="unknown table 'costs'"):
        load_results("choosing", "costs")


# Harder images


def test_what_is_drawn_for_an_image_depends_on_seed_and_index_alone():
    val = load_benchmark("digits").val
    first, again, other = rotated(val), rotated(val), rotated(val, seed=1)
    backwards = [again[i][0].tobytes() for i in reversed(range(5))][::-1]
    before = torch.random.get_rng_state()
    assert [first[i][0].tobytes() for i in range(5)] == backwards
    assert torch.equal(before, torch.random.get_rng_state())
    assert first[0][0].tobytes() != other[0][0].tobytes() and first[0][0].tobytes() != val[0][0].tobytes()
    assert [first[i][1] for i in range(5)] == [val[i][1] for i in range(5)]


def test_a_changed_dataset_asks_for_what_the_one_within_asks_for():
    images = ImageSet(
        np.zeros((3, 4, 4, 3), np.uint8), np.array([0, 2, 0]), class_subset=(0, 2), source=np.arange(3) + 7
    )
    changed = Transformed(images, lambda image: image)
    assert asked_of(changed).class_subset == (0, 2)
    assert source_of(changed).tolist() == [7, 8, 9]


def test_angles_are_within_bounds():
    with pytest.raises(WiseftError, match="at most 180"):
        rotated(load_benchmark("digits").val, 0)
