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


def rho_interval(xs: np.ndarray, ys: np.ndarray, x: float, y: float, draws: np.ndarray) -> tuple[float, float]:
    """Lowest and highest 2.5 % of rho over the lines through each row of draws (positions of models); logit axes."""
    u, v = np.log(xs / (1 - xs)), np.log(ys / (1 - ys))
    found = []
    for chosen in draws:
        slope, intercept = np.polyfit(u[chosen], v[chosen], deg=1)
        found.append(y - 1 / (1 + np.exp(-slope * np.log(x / (1 - x)) - intercept)))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def examine_rho_interval(answer: Answer) -> None:
    rng = np.random.default_rng(1)
    xs = rng.uniform(0.3, 0.97, size=30)
    z = 0.6 * np.log(xs / (1 - xs)) - 1 + rng.normal(0, 0.5, size=30)
    ys, draws = 1 / (1 + np.exp(-z)), rng.integers(30, size=(200, 30))
    before = xs.copy(), ys.copy(), draws.copy()
    given = np.array(answer(xs, ys, 0.9, 0.8, draws), dtype=float)
    assert all(np.array_equal(a, b) for a, b in zip(before, (xs, ys, draws), strict=True)), "an array was changed"
    expected = np.array(rho_interval(*before[:2], 0.9, 0.8, before[2]))
    assert given.shape == (2,), f"two numbers are expected, low and high, not {given.shape}"
    assert given[0] <= given[1], "the interval is turned round: low first"
    other = np.array(interval_of_the_line(*before[:2], 0.9, 0.8, before[2]))
    assert not np.allclose(given, other), "this is the interval of the line's prediction: rho is y minus it"
    width, wanted = np.ptp(given), np.ptp(expected)
    assert width > 0.8 * wanted, (
        f"{width:.4f} wide, {wanted:.4f} expected: draw models as pairs, a row at a time, and take quantiles, not the "
        "error of a mean"
    )
    assert np.allclose(given, expected), f"the interval should be {expected.round(4)}, not {given.round(4)}"


def interval_of_the_line(xs: np.ndarray, ys: np.ndarray, x: float, y: float, draws: np.ndarray) -> tuple[float, float]:
    low, high = rho_interval(xs, ys, x, y, draws)
    return y - high, y - low


def error_of_the_mean(xs: np.ndarray, ys: np.ndarray, x: float, y: float, draws: np.ndarray) -> tuple[float, float]:
    low, high = rho_interval(xs, ys, x, y, draws)
    middle, half = (low + high) / 2, (high - low) / 2 / len(draws) ** 0.5
    return middle - half, middle + half


def turned_round(xs: np.ndarray, ys: np.ndarray, x: float, y: float, draws: np.ndarray) -> tuple[float, float]:
    return rho_interval(xs, ys, x, y, draws)[::-1]


EXERCISES = {
    "04.3": Exercise(
        title="how sure is rho?",
        minutes=15,
        difficulty=4,
        task="Another choice of standard models would give another line. The bootstrap imitates that: draw the models anew, "
        "with replacement, fit a line to each draw, and look how far rho moves. In: accuracies `xs` (reference) and `ys` "
        "(shift) of the standard models, `x` and `y` of yours, and `draws`, an integer array `(draws, models)` whose every "
        "row names the models of one draw. Out: the 2.5 % and 97.5 % quantiles of rho, low first; lines on logit axes.",
        hints=(
            "A model keeps its two accuracies: the same positions index both arrays.",
            "One `np.polyfit` a row of `draws`, one rho from it, and `np.quantile` over all of them at the end.",
        ),
        reference=rho_interval,
        why="This interval knows how unsure the line is, and takes y as it is. `wiseft_nb.robustness.effective_robustness` "
        "draws the accuracies of your model from their intervals as well. Neither knows whether the line goes on straight "
        "beyond the last standard model.",
        test=examine_rho_interval,
        wrong=(
            (interval_of_the_line, "interval of the line's prediction"),
            (error_of_the_mean, "not the error of a mean"),
            (turned_round, "low first"),
        ),
    ),
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
