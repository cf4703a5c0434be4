"""An accuracy and how sure we are of it.

Explained in notebook 04_measure_robustness.
"""

from statsmodels.stats.proportion import proportion_confint

from wiseft_nb.errors import WiseftError

Z = 1.959964  # half the width of a 95 % interval, in standard errors


def accuracy_interval(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of an accuracy, as the paper draws it.

    Parameters
    ----------
    correct, n : int
        Images classified correctly, and all images.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : float
        Fractions.

    Examples
    --------
    >>> low, high = accuracy_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.824, 0.951)

    Explained in notebook 04_measure_robustness.
    """
    check_confidence(confidence)
    if not 0 <= correct <= n or n < 1 or correct % 1 or n % 1:
        raise WiseftError(
            f"{correct} of {n} images correct: expected two whole numbers, 0 <= correct <= n, and n of at least 1"
        )
    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="beta")
    return float(low), float(high)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence, percent above all."""
    if not 0 < confidence < 1:
        hint = f"; for {confidence:g} % give {confidence / 100:g}" if 1 < confidence < 100 else ""
        raise WiseftError(f"confidence is {confidence:g}: expected a number between 0 and 1{hint}")


def accuracy_row(correct: int, n: int) -> dict[str, float]:
    """The columns accuracy, n, low and high of a tidy table."""
    low, high = accuracy_interval(correct, n)
    return {"accuracy": correct / n, "n": n, "low": low, "high": high}
