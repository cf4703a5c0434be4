"""The exercises of 00_start_here: what an interval shows, and what a mean counts."""

from collections.abc import Mapping, Sequence

import numpy as np

from wiseft_nb.course.exercises.exercise import Answer, Exercise
from wiseft_nb.intervals import accuracy_interval


def verdict(correct: int, n: int, demand: float) -> str:
    """Return "reached", "missed" or "not shown" for the accuracy of correct of n images, at 95 %."""
    low, high = accuracy_interval(correct, n)
    if low > demand:
        return "reached"
    if high < demand:
        return "missed"
    return "not shown"


CASES = ((900, 1000, 0.8), (700, 1000, 0.8), (142, 179, 0.8), (10, 10, 0.9), (81, 100, 0.8), (0, 5, 0.3), (0, 50, 0.3))


def examine_verdict(answer: Answer) -> None:
    for correct, n, demand in CASES:
        given, expected = answer(correct, n, demand), verdict(correct, n, demand)
        low, high = accuracy_interval(correct, n)
        assert given in ("reached", "missed", "not shown"), f'return "reached", "missed" or "not shown", not {given!r}'
        assert {given, expected} != {"reached", "missed"}, f"the two ends are swapped: {correct} of {n} is {expected}"
        assert given == expected, (
            f"{correct} of {n} against {demand:g} is {expected!r}, not {given!r}: the interval goes from {low:.3f} "
            f"to {high:.3f}, and the demand {'lies in it' if expected == 'not shown' else 'lies outside'}"
        )


def by_the_accuracy_alone(correct: int, n: int, demand: float) -> str:
    return "reached" if correct / n > demand else "missed"


def by_swapped_ends(correct: int, n: int, demand: float) -> str:
    low, high = accuracy_interval(correct, n)
    return "missed" if low > demand else "reached" if high < demand else "not shown"


def by_the_normal_interval(correct: int, n: int, demand: float) -> str:
    accuracy = correct / n
    margin = 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
    if accuracy - margin > demand:
        return "reached"
    return "missed" if accuracy + margin < demand else "not shown"


def by_two_words(correct: int, n: int, demand: float) -> str:
    low, _ = accuracy_interval(correct, n)
    return "reached" if low > demand else "missed"


def as_a_bool(correct: int, n: int, demand: float) -> bool:
    low, high = accuracy_interval(correct, n)
    return not low <= demand <= high


def two_means(accuracies: dict[str, float], groups: dict[str, tuple[str, ...]]) -> tuple[float, float]:
    """Return (mean in which each shift of the groups counts once, mean in which each group counts once)."""
    by_group = [[accuracies[shift] for shift in shifts] for shifts in groups.values()]
    by_shift = [accuracy for group in by_group for accuracy in group]
    return float(np.mean(by_shift)), float(np.mean([np.mean(group) for group in by_group]))


def examine_two_means(answer: Answer) -> None:
    accuracies = {"mnist": 0.1, "fog": 0.9, "rain": 0.8, "snow": 0.7, "night": 0.2, "dusk": 0.5}
    groups = {"weather": ("fog", "rain", "snow"), "light": ("night",)}
    given, (by_shift, by_group) = answer(dict(accuracies), dict(groups)), two_means(accuracies, groups)
    assert isinstance(given, tuple | list) and len(given) == 2, f"return two numbers, not {given!r}"
    everything = float(np.mean(list(accuracies.values())))
    assert abs(given[0] - everything) > 1e-6, "only shifts of the groups count: the table has the reference, too"
    assert abs(given[0] - by_group) > 1e-6, (
        f"the first mean counts each shift once ({by_shift:.3f}): a mean of group means counts each group once"
    )
    assert abs(given[0] - by_shift) < 1e-6, (
        f"with each shift counted once the mean is {by_shift:.3f}, not {given[0]:.3f}"
    )
    assert abs(given[1] - by_shift) > 1e-6, (
        f"the second mean counts each group once ({by_group:.3f}): a large group must not weigh more"
    )
    assert abs(given[1] - by_group) < 1e-6, (
        f"with each group counted once the mean is {by_group:.3f}, not {given[1]:.3f}"
    )


def means_of_everything(accuracies: Mapping[str, float], groups: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    return float(np.mean(list(accuracies.values()))), two_means(accuracies, groups)[1]


def the_shift_mean_twice(accuracies: Mapping[str, float], groups: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    mean, _ = two_means(accuracies, groups)
    return mean, mean


def the_group_mean_twice(accuracies: Mapping[str, float], groups: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    _, mean = two_means(accuracies, groups)
    return mean, mean


def one_mean(accuracies: Mapping[str, float], groups: Mapping[str, Sequence[str]]) -> float:
    return two_means(accuracies, groups)[0]


EXERCISES = {
    "00.1": Exercise(
        title="what an interval shows",
        minutes=8,
        difficulty=2,
        task=(
            "Somebody demands an accuracy of, say, 80 % on every dataset. Write a function that says of `correct` of `n` "
            'images whether the demand is shown to be `"reached"` (the whole 95 % interval lies above it), shown to be '
            '`"missed"` (the whole interval lies below it), or `"not shown"`: neither. The demand is a fixed number '
            "between 0 and 1; it was not measured."
        ),
        hints=(
            "The accuracy alone does not decide. You met a function that gives the two ends of its interval.",
            "`low, high = accuracy_interval(correct, n)`; then compare `low` with the demand, and `high` with it.",
        ),
        reference=verdict,
        why=(
            "The interval holds the values that the counts do not contradict. A demand inside it may be met or not: "
            "*not shown* does not mean *missed*, and more images may still decide it."
        ),
        test=examine_verdict,
        wrong=(
            (by_the_accuracy_alone, "lies in it"),
            (by_swapped_ends, "swapped"),
            (by_the_normal_interval, "10 of 10"),
            (by_two_words, "lies in it"),
            (as_a_bool, 'return "reached"'),
        ),
    ),
    "00.2": Exercise(
        title="two means of the same accuracies",
        minutes=8,
        difficulty=3,
        task=(
            "`accuracies` has one accuracy for each dataset by name, the reference among them; `groups` has for each "
            "group the names of its shifts. Return two means: one in which every shift that is in a group counts once, "
            "and one in which every **group** counts once, however many shifts it has. Datasets in no group do not count."
        ),
        hints=(
            "Collect, for each group, the list of its accuracies. Both means follow from these lists.",
            "The first is the mean of all lists joined, the second is the mean of the lists' own means.",
        ),
        reference=two_means,
        why=(
            "A mean over shifts answers *how good is it on a shift drawn from this list*, and the list is somebody's "
            "choice: with seven handwritten shifts and four printed ones, handwriting has the larger say. That is why "
            "this course always shows the groups beside the mean."
        ),
        test=examine_two_means,
        wrong=(
            (means_of_everything, "the reference"),
            (the_shift_mean_twice, "a large group"),
            (the_group_mean_twice, "counts each shift once"),
            (one_mean, "two numbers"),
        ),
    ),
}
