"""Exercises of notebook 08_break_it: a gate on the dip.

Explained in notebook 08_break_it.
"""

from collections.abc import Callable

from wiseft_nb.course.exercises.exercise import Exercise


def choose_by_dip(alphas: list, accuracies: list, gate: float = 0.01) -> float:
    """Alpha 0 where the path dips more than ``gate`` below its chord, 0.5 otherwise."""
    zero_shot, fine_tuned = accuracies[0], accuracies[-1]
    for alpha, accuracy in zip(alphas, accuracies, strict=True):
        chord = (1 - alpha) * zero_shot + alpha * fine_tuned
        if chord - accuracy > gate:
            return 0.0
    return 0.5


PATH = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def examine_choose_by_dip(answer: Callable) -> None:
    cases = (
        ((0.91, 0.93, 0.95, 0.97, 0.98, 0.98), 0.5, "this path never dips"),
        (
            (0.91, 0.13, 0.10, 0.10, 0.11, 0.11),
            0.0,
            "this path falls at alpha 0.1 and stays there: look at every alpha",
        ),
        (
            (0.60, 0.64, 0.55, 0.80, 0.88, 0.95),
            0.0,
            "this one dips at 0.25 alone, though it lies above the chord at 0.5",
        ),
        ((0.60, 0.65, 0.70, 0.70, 0.90, 0.99), 0.0, "above the worse end, and nine points below the chord at 0.5"),
        ((0.90, 0.91, 0.91, 0.91, 0.90, 0.89), 0.5, "the fine-tuned end is the worse one, and nothing dips"),
        ((0.90, 0.90, 0.90, 0.895, 0.90, 0.90), 0.5, "half a point below the chord is less than the gate"),
        ((0.30, 0.362, 0.465, 0.635, 0.805, 0.98), 0.5, "a chord climbs: this path lies within a point of it"),
    )
    for accuracies, expected, why in cases:
        found = answer(PATH, accuracies)
        assert found == expected, f"you chose alpha {found}, expected {expected:g}: {why}"
    assert answer(PATH, cases[5][0], 0.001) == 0, "with gate=0.001 half a point is a dip: use the gate that is given"


def gate_on_worse_end(alphas: list, accuracies: list, gate: float = 0.01) -> float:
    worse = min(accuracies[0], accuracies[-1])
    return 0.0 if min(accuracies) < worse - gate else 0.5


def gate_on_better_end(alphas: list, accuracies: list, gate: float = 0.01) -> float:
    better = max(accuracies[0], accuracies[-1])
    return 0.0 if min(accuracies[1:-1]) < better - gate else 0.5


def gate_in_the_middle(alphas: list, accuracies: list, gate: float = 0.01) -> float:
    middle = accuracies[list(alphas).index(0.5)]
    return 0.0 if (accuracies[0] + accuracies[-1]) / 2 - middle > gate else 0.5


def gate_of_one_point(alphas: list, accuracies: list, gate: float = 0.01) -> float:
    return choose_by_dip(alphas, accuracies)


EXERCISES: dict[str, Exercise] = {
    "08.1": Exercise(
        title="a gate before alpha",
        minutes=10,
        difficulty=2,
        task=(
            "Write `choose_by_dip(alphas, accuracies, gate=0.01)`. `accuracies` are fractions on validation data, one for each "
            "of `alphas`, which run from 0 to 1. Return 0.0 where any point lies more than `gate` below the chord, the "
            "straight line between the accuracies of the two ends; otherwise return 0.5."
        ),
        hints=(
            "The chord at alpha is `(1 - alpha) * accuracies[0] + alpha * accuracies[-1]`.",
            "Walk along the path: a dip may be anywhere, also at 0.1.",
        ),
        reference=choose_by_dip,
        why=(
            "No image of a shift was looked at. What the gate asks for is the paper's own equation 2, on data one has. Where "
            "the answer is 0, mend the fine-tuning: zero-shot is what is left, not what one wanted."
        ),
        test=examine_choose_by_dip,
        wrong=(
            (gate_on_worse_end, "look at every alpha"),
            (gate_on_better_end, "never dips"),
            (gate_in_the_middle, "dips at 0.25 alone"),
            (gate_of_one_point, "use the gate that is given"),
        ),
    ),
}
