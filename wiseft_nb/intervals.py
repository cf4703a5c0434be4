"""An accuracy and how sure we are of it.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from wiseft_nb.errors import WiseftError

MEAN = "mean of shifts"  # the name of its rows in a tidy table; no shift may have it
DRAWS, DRAWS_AT_ONCE = 1000, 100  # of the bootstrap
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


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test of two classifiers on the same images: the two-sided p of the images in dispute.

    Parameters
    ----------
    only_first, only_second : int
        Images that one of the two alone classified correctly.

    Returns
    -------
    float
        1 where there is none.

    Examples
    --------
    >>> round(mcnemar(3, 8), 2)
    0.23
    """
    disputed = only_first + only_second
    return float(binomtest(only_first, disputed).pvalue) if disputed else 1.0


def mean_interval(
    right: Sequence[np.ndarray], sources: Sequence[np.ndarray | None], seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the mean accuracy over datasets, by the bootstrap over what their images were made of.

    Parameters
    ----------
    right : sequence of arrays
        Of each dataset whether each of its images was right, bool ``(n, columns)``.
    sources : sequence of arrays or None
        Of each dataset the number of the thing that each image was made of, int ``(n,)``: images of one
        number, in all datasets, are drawn together. None where every image stands for itself.
    seed : int

    Returns
    -------
    low, high : array
        ``(columns,)``.
    """
    rng, means = np.random.default_rng(seed), []
    shared = np.unique(np.concatenate([source for source in sources if source is not None] or [np.empty(0, int)]))
    for _ in range(0, DRAWS, DRAWS_AT_ONCE):
        weights = drawn(rng, len(shared))
        of_each = []
        for found, source in zip(right, sources, strict=True):
            own = drawn(rng, len(found)) if source is None else weights[:, np.searchsorted(shared, source)]
            of_each.append(own @ found.astype(np.float32) / own.sum(axis=1, keepdims=True))
        means.append(np.mean(of_each, axis=0))
    low, high = np.nanquantile(np.concatenate(means), [0.025, 0.975], axis=0)
    return low, high


def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    """How often each of n things is drawn when n are, with replacement: ``(draws, n)``."""
    counts = rng.multinomial(n, np.full(n, 1 / n), DRAWS_AT_ONCE) if n else np.zeros((DRAWS_AT_ONCE, 0))
    return counts.astype(np.float32)
