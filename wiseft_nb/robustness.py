"""Tidy table + baseline -> effective robustness.

Explained in notebook 04_measure_robustness.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import linregress, norm

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.paths import DATA

SCALES = {"logit": (logit, expit), "probit": (norm.ppf, norm.cdf), "linear": (np.asarray, np.asarray)}


@dataclass(frozen=True)
class Baseline:
    """The line that standard models lie on: scale(y) = slope * scale(x) + intercept.

    Attributes
    ----------
    slope, intercept : float
        On transformed axes.
    r2 : float
        Share of the variance of scale(y) that the line explains.
    n : int
        Models fitted; models at 0 or 1, where the logit is infinite, are left out.
    left_out : tuple of int
        Positions of the models left out.
    scale : str

    Explained in notebook 04_measure_robustness.
    """

    slope: float
    intercept: float
    r2: float
    n: int
    left_out: tuple[int, ...]
    scale: str

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Accuracy under shift expected of a standard model with reference accuracy x (fractions)."""
        forward, backward = SCALES[self.scale]
        return backward(self.slope * forward(check_fractions(x, "x")) + self.intercept)

    def effective_robustness(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """rho = y - beta(x): accuracy under shift beyond the baseline, as a fraction.

        Taori et al. 2020 (arXiv 2007.00644), equation 1; Wortsman et al. 2022, section 2.
        """
        return check_fractions(y, "y") - self.predict(x)


def fit_baseline(x: ArrayLike, y: ArrayLike, scale: str = "logit") -> Baseline:
    """Least squares through standard models, on transformed axes.

    Parameters
    ----------
    x, y : array of float
        Accuracy of each model on the reference and under shift, as fractions.
    scale : {"logit", "probit", "linear"}

    Returns
    -------
    Baseline

    Raises
    ------
    WiseftError
        For values outside [0, 1] or not finite, fewer than three points, or equal x.

    Examples
    --------
    >>> baseline = fit_baseline([0.5, 0.7, 0.9], [0.4, 0.6, 0.8])
    >>> float(baseline.predict(0.7).round(2))
    0.59

    Explained in notebook 04_measure_robustness.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    x, y = np.atleast_1d(check_fractions(x, "x")), np.atleast_1d(check_fractions(y, "y"))
    if x.shape != y.shape:
        raise WiseftError(f"x has {x.size} models and y {y.size}: give both accuracies of every model")
    with np.errstate(divide="ignore"):
        u, v = (SCALES[scale][0](values) for values in (x, y))
    finite = np.isfinite(u) & np.isfinite(v)
    if finite.sum() < 3 or np.ptp(u[finite]) == 0:
        raise WiseftError(
            f"{finite.sum()} models with {len(set(u[finite]))} different reference accuracies make no line: "
            "give at least three models that differ"
        )
    line = linregress(u[finite], v[finite])
    left_out = tuple(int(i) for i in np.flatnonzero(~finite))
    return Baseline(line.slope, line.intercept, line.rvalue**2, int(finite.sum()), left_out, scale)


def check_fractions(values: ArrayLike, name: str) -> np.ndarray:
    """Accuracies as floats; refuses NaN and what lies outside [0, 1], percent above all."""
    values = np.asarray(values, dtype=float)
    if np.isnan(values).any():
        raise WiseftError(f"{name} holds NaN: leave out models that were not evaluated")
    if values.size and (values.min() < 0 or values.max() > 1):
        worst = values.max() if values.max() > 1 else values.min()
        hint = f"{worst:g} read as percent is {worst / 100:g}: divide by 100" if 1 < worst <= 100 else "check the table"
        raise WiseftError(f"{name} holds {worst:g}, but an accuracy is a fraction between 0 and 1; {hint}")
    return values


def load_standard_models(benchmark: str = "digits") -> pd.DataFrame:
    """Committed accuracies of the standard models: trained on the reference only, no CLIP.

    Returns
    -------
    pandas.DataFrame
        A row for each model and dataset: model, family, train_size, augmentation, dataset, accuracy,
        n, low, high. Made by ``python -m wiseft_nb.make.standard_models``.

    Explained in notebook 04_measure_robustness.
    """
    path = DATA / "baselines" / f"{benchmark}.csv"
    if not path.exists():
        raise unknown("table of standard models", benchmark, [p.stem for p in path.parent.glob("*.csv")])
    return pd.read_csv(path)
