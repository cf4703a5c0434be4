"""Exercises of notebook 09_choose_alpha: regret, confidence with a temperature for each alpha, and how many labels.

Explained in notebook 09_choose_alpha.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Exercise


def points_lost(accuracy: pd.DataFrame, chosen: dict) -> tuple[float, float]:
    """Mean regret over the columns: against each column's best alpha, and against the best single alpha."""
    reached = np.mean([accuracy.loc[alpha, shift] for shift, alpha in chosen.items()])
    shifts = accuracy[list(chosen)]
    return shifts.max().mean() - reached, shifts.mean(axis=1).max() - reached


CURVES = pd.DataFrame(
    {"a": [0.90, 0.80, 0.50], "b": [0.60, 0.70, 0.90], "c": [0.50, 0.80, 0.70], "reference": [0.8, 0.95, 0.97]},
    index=[0.0, 0.5, 1.0],
)


def examine_points_lost(answer: Callable) -> None:
    # best: 0.9, 0.9, 0.8, mean 0.8667; single: means of rows 0.6667, 0.7667, 0.7
    chosen = {"a": 0.0, "b": 0.5, "c": 1.0}  # 0.9, 0.7, 0.7, mean 0.7667
    found = answer(CURVES.copy(), dict(chosen))
    assert isinstance(found, tuple) and len(found) == 2, (
        "two numbers are expected: (against each best, against one alpha)"
    )
    each, single = found
    assert not math.isclose(each, 0.9 - 2.3 / 3, abs_tol=1e-6), (
        "the best alpha differs from column to column: take each column's maximum, then the mean"
    )
    assert math.isclose(each, 2.6 / 3 - 2.3 / 3, abs_tol=1e-6), f"against each best the loss is 0.1, not {each:.3f}"
    assert not math.isclose(single, each, abs_tol=1e-6), "the best single alpha is one row for all columns"
    with_reference = CURVES.mean(axis=1).max() - 2.3 / 3
    assert not math.isclose(single, with_reference, abs_tol=1e-6), (
        "only the columns in `chosen` count; you took the reference in"
    )
    assert math.isclose(single, 0.0, abs_tol=1e-6), f"against the best single alpha the loss is 0, not {single:.3f}"
    each, single = answer(CURVES.copy(), {"a": 0.0, "b": 1.0, "c": 0.5})
    assert math.isclose(each, 0, abs_tol=1e-6), "who chooses every column's best alpha loses nothing"
    assert math.isclose(single, -0.1, abs_tol=1e-6), (
        "who chooses for each column may beat every single alpha: it is below 0"
    )


def lost_to_maximum(accuracy: pd.DataFrame, chosen: dict) -> tuple[float, float]:
    reached = np.mean([accuracy.loc[alpha, shift] for shift, alpha in chosen.items()])
    shifts = accuracy[list(chosen)]
    return shifts.to_numpy().max() - reached, shifts.mean(axis=1).max() - reached


def lost_with_reference(accuracy: pd.DataFrame, chosen: dict) -> tuple[float, float]:
    each, _ = points_lost(accuracy, chosen)
    reached = np.mean([accuracy.loc[alpha, shift] for shift, alpha in chosen.items()])
    return each, accuracy.mean(axis=1).max() - reached


def lost_twice_the_same(accuracy: pd.DataFrame, chosen: dict) -> tuple[float, float]:
    each, _ = points_lost(accuracy, chosen)
    return each, each


def lost_never_below_zero(accuracy: pd.DataFrame, chosen: dict) -> tuple[float, float]:
    return tuple(max(0.0, lost) for lost in points_lost(accuracy, chosen))


def most_confident(target: dict, hard: dict, labels: torch.Tensor) -> float:
    """The alpha of the highest average confidence, each alpha at its own temperature."""
    temperatures = torch.logspace(-1, 1, 61)
    sure = {}
    for alpha, logits in target.items():
        losses = [F.cross_entropy(hard[alpha] / t, labels) for t in temperatures]
        best = temperatures[torch.stack(losses).argmin()]
        sure[alpha] = (logits / best).softmax(dim=1).amax(dim=1).mean().item()
    return max(sure, key=sure.get)


def world(scales: dict, right: dict, seed: int = 0) -> tuple[dict, dict, Tensor]:
    """Logits along alpha on a target and on hard images, with labels; how sure and how often right for each alpha."""
    rng = torch.Generator().manual_seed(seed)
    found, labels = [], torch.randint(5, (400,), generator=rng)
    for _ in range(2):
        of_alpha = {}
        for alpha, scale in scales.items():
            said = torch.where(
                torch.rand(400, generator=rng) < right[alpha], labels, torch.randint(5, (400,), generator=rng)
            )
            of_alpha[alpha] = scale * (2 * F.one_hot(said, 5) + 0.5 * torch.randn(400, 5, generator=rng))
        found.append(of_alpha)
    return found[0], found[1], labels


def examine_most_confident(answer: Callable) -> None:
    # right most often at 0.5, surest at 1
    target, hard, labels = world({0.0: 1.0, 0.5: 1.5, 1.0: 6.0}, {0.0: 0.6, 0.5: 0.9, 1.0: 0.5})
    found = answer(dict(target), dict(hard), labels)
    raw = {alpha: logits.softmax(1).amax(1).mean() for alpha, logits in target.items()}
    assert found in target, f"an alpha is expected, one of {list(target)}, not {found!r}"
    assert found != 0.0, "you took the least sure, or the largest loss: which alpha is surest once calibrated?"
    assert found != max(raw, key=raw.get), (
        "alpha 1 is the surest, and the most often wrong: does each alpha have a temperature of its own, and are logits "
        "divided by it?"
    )
    # the target is harder for alpha 0.5 than the hard images are: labels decide the temperature, the target the choice
    target, _, _ = world({0.0: 1.0, 0.5: 1.5, 1.0: 6.0}, {0.0: 0.9, 0.5: 0.2, 1.0: 0.5}, seed=1)
    target[0.5] = target[0.5] * 0.05
    assert answer(dict(target), dict(hard), labels) != 0.5, (
        "the most likely labels of the hard images decide the temperature alone: the choice is made on the target"
    )


def one_temperature(target: dict, hard: dict, labels: Tensor) -> float:
    temperatures = torch.logspace(-1, 1, 61)
    losses = [sum(F.cross_entropy(logits / t, labels) for logits in hard.values()) for t in temperatures]
    best = temperatures[torch.stack(losses).argmin()]
    return max(target, key=lambda alpha: (target[alpha] / best).softmax(1).amax(1).mean())


def multiplied(target: dict, hard: dict, labels: Tensor) -> float:
    temperatures = torch.logspace(-1, 1, 61)
    sure = {}
    for alpha, logits in target.items():
        best = temperatures[torch.stack([F.cross_entropy(hard[alpha] / t, labels) for t in temperatures]).argmin()]
        sure[alpha] = (logits * best).softmax(1).amax(1).mean()
    return max(sure, key=sure.get)


def not_calibrated(target: dict, hard: dict, labels: Tensor) -> float:
    return max(target, key=lambda alpha: target[alpha].softmax(1).amax(1).mean())


def best_on_hard(target: dict, hard: dict, labels: Tensor) -> float:
    return max(hard, key=lambda alpha: (hard[alpha].argmax(1) == labels).float().mean())


def least_confident(target: dict, hard: dict, labels: Tensor) -> float:
    without = {alpha: logits for alpha, logits in target.items() if alpha != most_confident(target, hard, labels)}
    return min(without, key=lambda alpha: target[alpha].softmax(1).amax(1).mean())


def labels_needed(difference: float, disagree: float) -> int:
    """Labelled images until a difference of two accuracies is two standard errors."""
    return int(np.ceil(4 * (disagree - difference**2) / difference**2))


def examine_labels_needed(answer: Callable) -> None:
    found = answer(0.02, 0.06)
    assert found != answer(0.02, 0.12), "the more images two classifiers disagree on, the more labels it takes"
    assert abs(found - 149) > 1, "that is one standard error: half a coin's toss away from none; two were asked for"
    assert found == 596, f"4 (0.06 - 0.02²) / 0.02² is 596, not {found}: the paired variance is disagree - difference²"
    assert answer(0.03, 0.05) == 219, f"218.2 images are not enough with 218: round up (you have {answer(0.03, 0.05)})"


def one_error(difference: float, disagree: float) -> int:
    return math.ceil((disagree - difference**2) / difference**2)


def unpaired(difference: float, disagree: float) -> int:
    return math.ceil(4 * 2 * 0.9 * 0.1 / difference**2)


def rounded_down(difference: float, disagree: float) -> int:
    return int(4 * (disagree - difference**2) / difference**2)


def without_the_square(difference: float, disagree: float) -> int:
    return math.ceil(4 * disagree / difference**2)


EXERCISES: dict[str, Exercise] = {
    "09.1": Exercise(
        title="points lost",
        minutes=8,
        difficulty=2,
        task=(
            "`accuracy` is a DataFrame of fractions with a row an alpha and a column a dataset; `chosen` gives the alpha that "
            "a rule chose for each shift. Write `points_lost(accuracy, chosen)`: a tuple of the mean regret against the best "
            "alpha of *each* of these shifts, and against the *one* alpha that is best in their mean. Columns that are not in "
            "`chosen` do not count."
        ),
        hints=(
            "`accuracy.loc[alpha, shift]` is what was reached on one shift.",
            "One alpha for all is a row: the mean over columns first, then the maximum. Each its own: the other way round.",
        ),
        reference=points_lost,
        why=(
            "The second number may be below 0: then choosing for each shift has beaten everything that one alpha could do, "
            "even one chosen with all labels."
        ),
        test=examine_points_lost,
        wrong=(
            (lost_to_maximum, "differs from column to column"),
            (lost_with_reference, "took the reference in"),
            (lost_twice_the_same, "one row for all"),
            (lost_never_below_zero, "it is below 0"),
        ),
    ),
    "09.2": Exercise(
        title="an alpha without labels",
        minutes=15,
        difficulty=3,
        task=(
            "Write `most_confident(target, hard, labels)`. `target` and `hard` map each alpha to logits `(n, classes)`: of "
            "images without labels, and of validation images that were made harder, whose `labels` are known. For each alpha "
            "find the temperature, of `torch.logspace(-1, 1, 61)`, at which the labels of the hard images have the lowest "
            "cross-entropy; return the alpha whose average confidence on the target is then the highest."
        ),
        hints=(
            "A temperature divides logits: `F.cross_entropy(hard[alpha] / t, labels)`.",
            "Confidence is the largest probability: `(logits / t).softmax(dim=1).amax(dim=1)`; average it over images.",
        ),
        reference=most_confident,
        why=(
            "No label of the target was used, and no number was tuned: this is the whole of the rule that the rest of the "
            "notebook judges."
        ),
        test=examine_most_confident,
        wrong=(
            (one_temperature, "a temperature of its own"),
            (multiplied, "divided by it"),
            (not_calibrated, "a temperature of its own"),
            (best_on_hard, "made on the target"),
            (least_confident, "least sure"),
        ),
    ),
    "09.3": Exercise(
        title="how many labels would it take?",
        minutes=8,
        difficulty=2,
        task=(
            "Two alphas differ by `difference` in accuracy, and give different answers, one of them right, on a fraction "
            "`disagree` of the images. On n images the variance of the difference is `(disagree - difference ** 2) / n`. Write "
            "`labels_needed(difference, disagree)`: the smallest whole number of labelled images on which the difference is at "
            "least two standard errors."
        ),
        hints=(
            "Two standard errors: `difference >= 2 * sqrt(variance)`. Square both sides.",
            "`np.ceil` rounds up; `int` makes a whole number of it.",
        ),
        reference=labels_needed,
        why="A rule that needs no label competes with hundreds of them, if labels are only counted as right or wrong.",
        test=examine_labels_needed,
        wrong=(
            (one_error, "two were asked for"),
            (unpaired, "the more labels"),
            (rounded_down, "round up"),
            (without_the_square, "paired variance"),
        ),
    ),
}
