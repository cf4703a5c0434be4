"""Exercises of notebook A2: the two meanings of "optimal"."""

import numpy as np

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def two_optima(accuracy: np.ndarray) -> tuple[float, float]:
    """Best mean that one alpha has, and mean of each shift's best; accuracy has a row per alpha, a column per shift."""
    return accuracy.mean(axis=1).max(), accuracy.max(axis=0).mean()


def examine_two_optima(answer: Answer) -> None:
    accuracy = np.array([[0.50, 0.80, 0.60], [0.62, 0.74, 0.61], [0.70, 0.60, 0.59]])
    given = np.array(answer(accuracy.copy()), dtype=float)
    assert given.shape == (2,), f"two numbers are expected, not {given.shape}"
    assert not np.allclose(given, given[0]), "both are the same: one alpha for all shifts, or one for each"
    assert not np.allclose(given, [accuracy.mean(axis=0).max(), accuracy.max(axis=1).mean()]), (
        "rows and columns are swapped"
    )
    assert not np.allclose(given, two_optima(accuracy)[::-1]), (
        "the order is turned: the one that a single alpha has comes first"
    )
    assert np.allclose(given, two_optima(accuracy)), (
        f"expected {np.round(two_optima(accuracy), 4)}, not {given.round(4)}"
    )


def rows_for_columns(accuracy: np.ndarray) -> tuple[float, float]:
    return accuracy.mean(axis=0).max(), accuracy.max(axis=1).mean()


def one_for_both(accuracy: np.ndarray) -> tuple[float, float]:
    return accuracy.max(axis=0).mean(), accuracy.max(axis=0).mean()


def order_turned(accuracy: np.ndarray) -> tuple[float, float]:
    return two_optima(accuracy)[::-1]


EXERCISES = {
    "A2.1": Exercise(
        title='two meanings of "optimal"',
        minutes=6,
        difficulty=2,
        task="`accuracy` has a row for each alpha and a column for each shift. Return both figures that a table may print as "
        "the mean of an *optimal* row: the best mean that one alpha has, then the mean of what is best for each shift.",
        hints=("Two operations, in two orders.", "The mean over axis 1 belongs to one alpha."),
        reference=two_optima,
        why="The second is never lower, and no model has it.",
        test=examine_two_optima,
        wrong=(
            (rows_for_columns, "rows and columns are swapped"),
            (one_for_both, "both are the same"),
            (order_turned, "the order is turned"),
        ),
    ),
}
