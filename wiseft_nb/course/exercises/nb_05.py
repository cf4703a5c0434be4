"""Exercises of notebook 05: what choosing alpha on the reference costs, and where a sweep breaks."""

import numpy as np

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def price_of_choosing(alphas: np.ndarray, reference: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    """The alpha best on the reference, and the accuracy under shift that it loses to the alpha best there."""
    chosen = reference.argmax()
    return alphas[chosen], shift.max() - shift[chosen]


def examine_price_of_choosing(answer: Answer) -> None:
    alphas = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    reference, shift = np.array([0.63, 0.70, 0.75, 0.78, 0.74]), np.array([0.50, 0.54, 0.53, 0.49, 0.40])
    given = answer(alphas.copy(), reference.copy(), shift.copy())
    assert np.size(given) == 2, "two numbers are expected: the alpha, and its price"
    alpha, price = map(float, given)
    assert alpha != 0.25, "this alpha was chosen under shift: nobody has that accuracy when choosing"
    assert alpha != 3, "that is the position of the best alpha: give alpha itself"
    assert alpha == 0.75, f"the alpha best on the reference is 0.75, not {alpha:g}"
    assert abs(price - 0.29) > 1e-9, "both accuracies of the price are those under shift, none is of the reference"
    assert abs(price + 0.05) > 1e-9, "the sign is turned: a price is what one loses, and never negative"
    assert abs(price - 0.05) < 1e-9, (
        f"the price is the best accuracy under shift less the chosen one, 0.05, not {price:g}"
    )


def chosen_under_shift(alphas: np.ndarray, reference: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    return alphas[shift.argmax()], 0.0


def position_for_alpha(alphas: np.ndarray, reference: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    return reference.argmax(), shift.max() - shift[reference.argmax()]


def reference_less_shift(alphas: np.ndarray, reference: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    return alphas[reference.argmax()], reference.max() - shift[reference.argmax()]


def sign_turned(alphas: np.ndarray, reference: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    return alphas[reference.argmax()], shift[reference.argmax()] - shift.max()


def violations(alphas: np.ndarray, accuracy: np.ndarray, tolerance: float = 0.001) -> np.ndarray:
    """The alphas at which accuracy lies more than tolerance below the straight line between the two ends."""
    chord = (1 - alphas) * accuracy[0] + alphas * accuracy[-1]
    return alphas[accuracy < chord - tolerance]


def examine_violations(answer: Answer) -> None:
    alphas = np.array([0.0, 0.1, 0.4, 0.8, 1.0])
    sags = np.array([0.60, 0.61, 0.59, 0.668, 0.70])
    arches = np.array([0.60, 0.68, 0.74, 0.72, 0.55])
    rounded = np.array([0.60, 0.6095, 0.6395, 0.6795, 0.70])
    given = np.atleast_1d(answer(alphas.copy(), sags.copy()))
    assert given.dtype != bool, "a mask was given: pick the alphas with it"
    assert 0.8 in given, "at 0.8 accuracy is above the lower end, and still below the chord: compare with the chord"
    assert 0.1 not in given, "0.1 lies on the chord: weigh the ends by alpha, not half and half or the other way round"
    assert np.allclose(given, [0.4, 0.8]), f"[0.4, 0.8] lie below the chord, not {given}"
    assert np.size(answer(alphas.copy(), arches.copy())) == 0, "a path above its chord has no violation"
    assert np.size(answer(alphas.copy(), rounded.copy())) == 0, "0.0005 below the chord is rounding: mind the tolerance"


def below_both_ends(alphas: np.ndarray, accuracy: np.ndarray, tolerance: float = 0.001) -> np.ndarray:
    return alphas[accuracy < min(accuracy[0], accuracy[-1]) - tolerance]


def below_the_middle(alphas: np.ndarray, accuracy: np.ndarray, tolerance: float = 0.001) -> np.ndarray:
    inside = (alphas > 0) & (alphas < 1)
    low = accuracy < accuracy[[0, -1]].max() - tolerance
    return alphas[inside & low]


def without_tolerance(alphas: np.ndarray, accuracy: np.ndarray, tolerance: float = 0.001) -> np.ndarray:
    chord = (1 - alphas) * accuracy[0] + alphas * accuracy[-1]
    return alphas[accuracy < chord - 1e-9]


EXERCISES = {
    "05.1": Exercise(
        title="find where a path sags",
        minutes=8,
        difficulty=2,
        task="Write the paper's equation 2 as a check: return those alphas at which the accuracy of a sweep lies more than "
        "`tolerance` below its chord, the straight line from the first to the last point. `alphas` goes from 0 to 1.",
        hints=(
            "The chord has a value at every alpha.",
            "`(1 - alphas) * accuracy[0] + alphas * accuracy[-1]`, then a mask.",
        ),
        reference=violations,
        why="Below both ends is a stronger thing, a barrier. A path may sag without having one.",
        test=examine_violations,
        wrong=(
            (below_both_ends, "still below the chord"),
            (below_the_middle, "0.1 lies on the chord"),
            (without_tolerance, "mind the tolerance"),
        ),
    ),
    "05.2": Exercise(
        title="the price of choosing on ImageNet",
        minutes=8,
        difficulty=3,
        task="You have a reference test set and nothing under shift. Return the alpha that you would choose, and what it "
        "costs: how much accuracy under shift it loses to the alpha that is best there. Fractions, price at least 0.",
        hints=(
            "Only one of the two arrays may decide.",
            "`reference.argmax()` is a position in all three arrays.",
        ),
        reference=price_of_choosing,
        why="The price can be computed only by somebody who has the shift. That is why alpha 0.5 was proposed: it needs no choice.",
        test=examine_price_of_choosing,
        wrong=(
            (chosen_under_shift, "chosen under shift"),
            (position_for_alpha, "position of the best alpha"),
            (reference_less_shift, "none is of the reference"),
            (sign_turned, "the sign is turned"),
        ),
    ),
}
