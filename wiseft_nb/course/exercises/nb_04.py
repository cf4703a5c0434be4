"""Exercises of notebook 04: effective robustness, and the line it is measured from."""

import numpy as np

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def effective_robustness(x: float, y: float, slope: float, intercept: float) -> float:
    """Accuracy under shift beyond what the line on logit axes predicts for reference accuracy x."""
    z = slope * np.log(x / (1 - x)) + intercept
    return y - 1 / (1 + np.exp(-z))


def examine_effective_robustness(answer: Answer) -> None:
    for case in ((0.9, 0.8, 1.0, -1.0), (0.6, 0.2, 0.5, 0.3), (0.5, 0.5, 2.0, 0.0)):
        given, expected = float(answer(*case)), effective_robustness(*case)
        assert abs(given + expected) > 1e-6 or abs(expected) < 1e-6, "the sign is turned: above the line is positive"
        assert abs(given - 100 * expected) > 1e-6 or abs(expected) < 1e-6, "rho is a fraction here, not percent"
        assert abs(given - expected) < 1e-6, (
            f"effective_robustness{case} should be {expected:.4f}, not {given:.4f}: follow the line in logit space, and "
            "subtract accuracies, not logits"
        )


def line_on_raw_accuracies(x: float, y: float, slope: float, intercept: float) -> float:
    return y - (slope * x + intercept)


def sign_turned(x: float, y: float, slope: float, intercept: float) -> float:
    return -effective_robustness(x, y, slope, intercept)


def in_logits(x: float, y: float, slope: float, intercept: float) -> float:
    x, y = (np.log(a / (1 - a)) for a in (x, y))
    return y - (slope * x + intercept)


def in_percent(x: float, y: float, slope: float, intercept: float) -> float:
    return 100 * effective_robustness(x, y, slope, intercept)


def fit_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept and R² of the least-squares line through the logits of two arrays of accuracies."""
    x, y = np.log(x / (1 - x)), np.log(y / (1 - y))
    slope, intercept = np.polyfit(x, y, deg=1)
    unexplained = ((y - slope * x - intercept) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    return slope, intercept, 1 - unexplained


def examine_fit_line(answer: Answer) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 0.98, size=40)
    z = 0.6 * np.log(x / (1 - x)) - 1 + rng.normal(0, 0.4, size=40)
    y = 1 / (1 + np.exp(-z))
    before = x.copy(), y.copy()
    given, expected = np.array(answer(x, y), dtype=float), np.array(fit_line(*before))
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1]), "the arrays were changed: make new ones"
    assert given.shape == (3,), f"three numbers are expected, slope, intercept and R², not {given.shape}"
    assert not np.allclose(given[:2], np.polyfit(*before, deg=1)), "this line is on the raw axes: take logits first"
    swapped = np.array(fit_line(*before[::-1]))
    assert not np.allclose(given[:2], swapped[:2]), "the axes are swapped: the reference predicts the shift"
    assert np.allclose(given[:2], expected[:2]), (
        f"slope and intercept should be {expected[:2].round(3)}, not {given[:2].round(3)}: slope first"
    )
    assert abs(given[2] - expected[2]) < 1e-8, (
        f"R² should be {expected[2]:.3f}, not {given[2]:.3f}: the share of the variance of the logits of y that the line "
        "explains"
    )


def on_raw_axes(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    return (*np.polyfit(x, y, deg=1), np.corrcoef(x, y)[0, 1] ** 2)


def axes_swapped(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    return fit_line(y, x)


def correlation_for_r2(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    slope, intercept, r2 = fit_line(x, y)
    return slope, intercept, r2**0.5


def intercept_first(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    slope, intercept, r2 = fit_line(x, y)
    return intercept, slope, r2


EXERCISES = {
    "04.2": Exercise(
        title="fit the line",
        minutes=15,
        difficulty=3,
        task="Fit the line yourself, and say how good it is. In: accuracies of standard models on the reference and under a "
        "shift, fractions strictly between 0 and 1, arrays `(models,)`. Out: slope, intercept, R², on logit axes.",
        hints=(
            "Both axes are transformed first; R² is about the logits, too.",
            "R² is 1 minus the sum of squared residuals, divided by the sum of squared distances from the mean.",
        ),
        reference=fit_line,
        why="R² says how much of the spread of the logits the line explains. Where it is near 0, knowing a model's accuracy "
        "on the reference says nothing about its accuracy under that shift, and there is no line to stand above.",
        test=examine_fit_line,
        wrong=(
            (on_raw_axes, "take logits first"),
            (axes_swapped, "axes are swapped"),
            (correlation_for_r2, "share of the variance"),
            (intercept_first, "slope first"),
        ),
    ),
    "04.1": Exercise(
        title="effective robustness",
        minutes=10,
        difficulty=2,
        task="With beta(x) the accuracy under shift that the line predicts for reference accuracy x, effective robustness is "
        "rho = y - beta(x). The line lives in logit space; rho is a difference of accuracies. Write it for a line on logit "
        "axes. All arguments and the result are Python floats; accuracies are fractions.",
        hints=(
            "Go to logit space, follow the line, come back.",
            "The way back from a logit undoes log(a / (1 - a)): solve it for a.",
        ),
        reference=effective_robustness,
        why="Subtracting in logit space would answer another question: the paper reports rho in percentage points.",
        test=examine_effective_robustness,
        wrong=(
            (line_on_raw_accuracies, "follow the line in logit space"),
            (sign_turned, "sign is turned"),
            (in_logits, "subtract accuracies, not logits"),
            (in_percent, "not percent"),
        ),
    ),
}
