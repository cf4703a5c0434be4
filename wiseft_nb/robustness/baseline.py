"""The line that standard models lie on, and how sure we are of it.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.intervals import check_confidence
from wiseft_nb.robustness.tidy import check_fractions, matched

HUGE = 1e300  # stands for the logit of 1: infinity times a slope of 0, or less itself, is no number
SCALES = {"logit": (logit, expit), "probit": (norm.ppf, norm.cdf), "linear": (np.asarray, np.asarray)}


@dataclass(frozen=True)
class Baseline:
    """The line that standard models lie on: scale(y) = slope * scale(x) + intercept.

    With a knot it bends there: above, the slope is ``slope + bend``.

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
    slope_se, intercept_se : float
        Standard errors, of least squares.
    left_out_names : tuple of str
    x_min, x_max : float
        Range of the models fitted; beyond it, the line extrapolates.
    knot : float or None
        Reference accuracy at which the line bends.
    bend : float
        What is added to the slope above the knot.
    shift, reference : str
        Names of the two axes, where known.
    draws : array (draws, coefficients), or None
        Coefficients of the bootstrap lines.

    Explained in notebook 04_measure_robustness.
    """

    slope: float
    intercept: float
    r2: float
    n: int
    left_out: tuple[int, ...]
    scale: str
    slope_se: float = float("nan")
    intercept_se: float = float("nan")
    left_out_names: tuple[str, ...] = ()
    x_min: float = 0.0
    x_max: float = 1.0
    knot: float | None = None
    bend: float = 0.0
    shift: str = ""
    reference: str = ""
    draws: np.ndarray | None = field(default=None, repr=False, compare=False)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Accuracy under shift expected of a standard model with reference accuracy x (fractions)."""
        return self.line(check_fractions(x, "x"), self.intercept, self.slope, self.bend)

    def effective_robustness(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """rho = y - beta(x): accuracy under shift beyond the baseline, as a fraction.

        Taori et al. 2020 (arXiv 2007.00644), equation 1; Wortsman et al. 2022, section 2. Two Series are
        matched by their labels, in the order of x.
        """
        x, y = matched(x, y)
        return check_fractions(y, "y") - self.predict(x)

    def predict_draws(self, x: ArrayLike) -> np.ndarray:
        """``predict`` by every bootstrap line: ``(draws, *shape of x)``."""
        x = check_fractions(x, "x")
        return self.line(x, *(c.reshape(-1, *(1,) * x.ndim) for c in self.bootstrap().T))

    def band(self, x: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Pointwise interval of the line, by the percentile bootstrap over models: ``(low, high)``."""
        check_confidence(confidence)
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.predict_draws(x), [tail, 1 - tail], axis=0)
        return low, high

    def extrapolates(self, x: ArrayLike) -> np.ndarray:
        """Whether x lies outside the range of the models that were fitted."""
        x = check_fractions(x, "x")
        return (x < self.x_min) | (x > self.x_max)

    def bootstrap(self) -> np.ndarray:
        """Coefficients of the bootstrap lines; says how to get them where there are none."""
        if self.draws is None:
            raise WiseftError(
                "this baseline has no bootstrap draws, so no interval: make it with fit_baseline(draws=1000)"
            )
        return self.draws

    def line(self, x: np.ndarray, intercept: ArrayLike, slope: ArrayLike, bend: ArrayLike = 0.0) -> np.ndarray:
        """Accuracies on the lines of these coefficients, on this one's scale and with its knot."""
        forward, backward = SCALES[self.scale]
        with np.errstate(divide="ignore"):
            u = np.clip(forward(x), -HUGE, HUGE)
        if self.knot is None:
            return backward(intercept + slope * u)
        k = forward(self.knot)
        return backward(intercept + slope * np.minimum(u, k) + (slope + bend) * np.maximum(u - k, 0))


def fit_baseline(
    x: ArrayLike,
    y: ArrayLike,
    scale: str = "logit",
    knot: float | None = None,
    names: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    shift: str = "",
    reference: str = "",
) -> Baseline:
    """Least squares through standard models, on transformed axes.

    Parameters
    ----------
    x, y : array of float
        Accuracy of each model on the reference and under shift, as fractions. Two Series are matched by
        their labels.
    scale : {"logit", "probit", "linear"}
    knot : float, optional
        Reference accuracy at which the line may bend: two pieces that meet there. ImageNet-A needs it,
        because its images were kept for fooling one model.
    names : sequence of str, optional
        Names of the models, to say which are left out; by default the index of x where it is a Series.
    draws, seed : int
        Bootstrap: how many times the models are drawn anew; with 0 the line has no band.
    shift, reference : str
        Names of the axes.

    Returns
    -------
    Baseline

    Raises
    ------
    WiseftError
        For values outside [0, 1] or not finite, fewer than three points, equal x, or Series of different
        models.

    Examples
    --------
    >>> baseline = fit_baseline([0.5, 0.7, 0.9], [0.4, 0.6, 0.8])
    >>> float(baseline.predict(0.7).round(2))
    0.58

    Explained in notebook 04_measure_robustness.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    if draws < 0:
        raise WiseftError(f"draws is {draws}: expected 0 or more")
    x, y = matched(x, y)
    names = x.index if names is None and isinstance(x, pd.Series) else names
    x, y = np.atleast_1d(check_fractions(x, "x")), np.atleast_1d(check_fractions(y, "y"))
    if x.shape != y.shape:
        raise WiseftError(f"x has {x.size} models and y {y.size}: give both accuracies of every model")
    if names is not None and len(names := list(names)) != x.size:
        raise WiseftError(f"there are {len(names)} names for {x.size} models: give one for each, in the order of x")
    forward = SCALES[scale][0]
    with np.errstate(divide="ignore"):
        u, v = forward(x), forward(y)
    finite = np.isfinite(u) & np.isfinite(v)
    if finite.sum() < 3 or np.ptp(u[finite]) == 0:
        raise WiseftError(
            f"{finite.sum()} models with {len(set(u[finite]))} different reference accuracies make no line: "
            "give at least three models that differ"
        )
    kept, v = x[finite], v[finite]
    columns = [np.ones(len(kept)), u[finite]]
    if knot is not None:
        if (kept < knot).sum() < 2 or (kept > knot).sum() < 2:
            raise WiseftError(f"a bend at {knot:g} needs two models on each side, and a third: move the knot")
        columns.append(np.maximum(u[finite] - forward(knot), 0))
    design = np.stack(columns, axis=1)
    coefficients, errors, r2 = least_squares(design, v)
    left_out = tuple(int(i) for i in np.flatnonzero(~finite))
    return Baseline(
        slope=float(coefficients[1]),
        intercept=float(coefficients[0]),
        r2=r2,
        n=int(finite.sum()),
        left_out=left_out,
        scale=scale,
        slope_se=float(errors[1]),
        intercept_se=float(errors[0]),
        left_out_names=tuple(str(names[i]) for i in left_out) if names is not None else (),
        x_min=float(kept.min()),
        x_max=float(kept.max()),
        knot=knot,
        bend=float(coefficients[2]) if knot is not None else 0.0,
        shift=shift,
        reference=reference,
        draws=bootstrap_lines(design, v, draws, seed) if draws else None,
    )


def least_squares(design: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, their standard errors, R squared."""
    coefficients = np.linalg.lstsq(design, v, rcond=None)[0]
    residual = v - design @ coefficients
    freedom = len(v) - design.shape[1]
    variance = residual @ residual / freedom if freedom else np.nan
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(design.T @ design)))
    spread = ((v - v.mean()) ** 2).sum()
    return coefficients, errors, float(1 - residual @ residual / spread) if spread else 0.0


def bootstrap_lines(design: np.ndarray, v: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Coefficients of lines through models drawn with replacement; draws that make no line are dropped."""
    chosen = np.random.default_rng(seed).integers(len(v), size=(draws, len(v)))
    centre = design[:, 1].mean()
    centred = design - [0, centre, *[0] * (design.shape[1] - 2)]  # well-conditioned normal equations
    a, b = centred[chosen], v[chosen]
    gram = np.einsum("dni,dnj->dij", a, a)
    good = np.linalg.cond(gram) < 1e10
    lines = np.linalg.solve(gram[good], np.einsum("dni,dn->di", a[good], b[good])[..., None])[..., 0]
    lines[:, 0] -= lines[:, 1] * centre
    return lines
