"""How far accuracies lie from the line of standard models, from where one started; their mean.

Explained in notebook 05_redraw_the_paper.
"""

from collections.abc import Iterable, Sequence
from typing import NoReturn

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.intervals import MEAN, Z
from wiseft_nb.robustness.baseline import Baseline, fit_baseline
from wiseft_nb.robustness.tidy import check_columns, check_fractions, joined, matched, rows_of

TIDY = ("dataset", "accuracy", "n", "low", "high")
POINT = ("x", "x_low", "x_high", "y", "y_low", "y_high")


def standard_by_testbed_rule(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the models that the ImageNet testbed fits its baseline to.

    The testbed's own rule: trained in the standard way, at least 55 % on ImageNet, and none of
    "subsample", "aws", "batch64" in the name (Taori et al. 2020, arXiv 2007.00644).

    Parameters
    ----------
    table : pandas.DataFrame
        ``published("testbed")``.

    Explained in notebook 05_redraw_the_paper.
    """
    good = rows_of(table, "ImageNet").query("method == 'standard training' and accuracy >= 0.55").model
    good = good[~good.str.contains("subsample|aws|batch64")]
    return table[table.model.isin(good)]


def fit_table(
    table: pd.DataFrame,
    shift: str,
    reference: str = "ImageNet",
    scale: str = "logit",
    knot: float | None = None,
    key: str = "model",
) -> Baseline:
    """``fit_baseline`` on two datasets of a tidy table; the line knows its axes and its models' names.

    Models with one of the two accuracies alone are not fitted; ``side_by_side`` tells which.

    Explained in notebook 05_redraw_the_paper.
    """
    models = joined(table, shift, reference, key, {"accuracy": ""})
    return fit_baseline(models.x, models.y, scale, knot, shift=shift, reference=reference)


def effective_robustness(baseline: Baseline, points: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """rho = y - beta(x) with intervals that carry the line's uncertainty and the point's.

    Both are drawn at random: the line from its bootstrap, the point's two accuracies from their
    intervals (each side of an interval as half a normal distribution). Models share the test images, so
    differences between two rho are surer than their intervals suggest.

    Parameters
    ----------
    baseline : Baseline
    points : pandas.DataFrame
        As ``side_by_side`` returns it: x, x_low, x_high, y, y_low, y_high.

    Returns
    -------
    pandas.DataFrame
        ``points`` with expected (beta of x), rho, rho_low, rho_high (95 %; NaN where a point has no
        interval), and extrapolated: whether x lies beyond the models the line was fitted to.

    Explained in notebook 05_redraw_the_paper.
    """
    check_columns(points, POINT, "side_by_side lays a tidy table out as points")
    check_same_axes(baseline, points)
    rng = np.random.default_rng(seed)
    lines = baseline.bootstrap()
    lines = lines[rng.integers(len(lines), size=len(lines))]
    x, y = (draw(points, axis, len(lines), rng) for axis in "xy")
    drawn = y - baseline.line(np.clip(x, 1e-9, 1 - 1e-9), *(coefficient[:, None] for coefficient in lines.T))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    rho = baseline.effective_robustness(points.x, points.y)
    return points.assign(
        expected=baseline.predict(points.x),
        rho=rho,
        rho_low=np.minimum(low, rho),
        rho_high=np.maximum(high, rho),
        extrapolated=baseline.extrapolates(points.x),
    )


def draw(points: pd.DataFrame, axis: str, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracies from their intervals: ``(draws, points)``."""
    middle = check_fractions(points[axis], axis)
    low, high = points[f"{axis}_low"].to_numpy(float), points[f"{axis}_high"].to_numpy(float)
    z = rng.standard_normal((draws, len(points)))
    return np.clip(middle + np.where(z < 0, z * (middle - low), z * (high - middle)) / Z, 0, 1)


def check_same_axes(baseline: Baseline, points: pd.DataFrame) -> None:
    """Refuse points on other axes than the line's, such as class-subset accuracies on a full-set line."""
    for axis in ("reference", "shift"):
        if axis not in points or not getattr(baseline, axis):
            continue
        other = set(points[axis]) - {getattr(baseline, axis)}
        if other:
            raise WiseftError(
                f"the line was fitted with {getattr(baseline, axis)!r} as {axis}, and the points have {sorted(other)}: "
                "full-set and class-subset accuracies do not mix; lay both out on the same axes"
            )


def relative_robustness(
    accuracy: Sequence[float], n: Sequence[int], start_accuracy: float, start_n: int
) -> pd.DataFrame:
    """tau = accuracy under shift minus that of the model one started from, with 95 % intervals (Newcombe).

    The two are taken as independent, though they share their images: the true interval is narrower.

    Parameters
    ----------
    accuracy, n : sequence
        Of each model under the shift, as a fraction, and the number of images. Two Series are matched by
        their labels.
    start_accuracy, start_n
        The same of the model before the intervention.

    Returns
    -------
    pandas.DataFrame
        tau, tau_low, tau_high; no interval (NaN) where a number of images is not known.

    Explained in notebook 05_redraw_the_paper.
    """
    accuracy, n = matched(accuracy, n)
    accuracy, start = check_fractions(accuracy, "accuracy"), float(check_fractions(start_accuracy, "start_accuracy"))
    n, start_n = (
        pd.to_numeric(pd.Series(counts), errors="coerce").to_numpy(float, na_value=np.nan) for counts in (n, [start_n])
    )
    if accuracy.shape != n.shape:
        raise WiseftError(f"there are {accuracy.size} accuracies and {n.size} numbers of images: give one for each")
    ends = np.full((len(n), 2), np.nan)
    for i in np.flatnonzero(np.isfinite(n + start_n)):
        right, start_right = round(accuracy[i] * n[i]), round(start * start_n[0])
        ends[i] = confint_proportions_2indep(right, n[i], start_right, start_n[0], compare="diff", method="newcomb")
    return pd.DataFrame({"tau": accuracy - start, "tau_low": ends[:, 0], "tau_high": ends[:, 1]})


def mean_of_shifts(table: pd.DataFrame, shifts: Iterable[str]) -> pd.DataFrame:
    """The mean accuracy over shifts, for every other column (such as alpha or model).

    The interval takes the shifts as independent. Where they are made of the same images, it is too
    narrow; ``sweep(..., groups=)`` draws the images themselves anew.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy, with dataset, accuracy, n, low, high and whatever tells the rows apart.
    shifts : iterable of str

    Returns
    -------
    pandas.DataFrame
        Like ``table``, dataset ``"mean of shifts"``. The interval is the normal one for a mean of
        independent proportions; n is the number of images altogether.

    Raises
    ------
    WiseftError
        If something lacks one of the shifts, has it twice, or has no accuracy or n there: a mean of fewer
        is another figure.

    Explained in notebook 03_interpolate.
    """
    check_columns(table, TIDY, "give a tidy one")
    shifts = check_shifts(shifts, set(table.dataset))
    chosen = table[table.dataset.isin(shifts)]
    keys = [c for c in table.columns if c not in (*TIDY, "chord_error")]
    groups = chosen.groupby(keys or (lambda row: 0), sort=False, dropna=False)
    group = groups.ngroup()
    check_complete(chosen, group, keys, shifts)
    check_fractions(chosen.accuracy, "accuracy")
    mean = groups.agg(accuracy=("accuracy", "mean"), n=("n", "sum")).reset_index().assign(dataset=MEAN)
    variance = (chosen.accuracy * (1 - chosen.accuracy) / chosen.n.astype(float)).groupby(group).sum().to_numpy()
    margin = Z * np.sqrt(variance) / len(shifts)
    mean = mean.assign(low=(mean.accuracy - margin).clip(0, 1), high=(mean.accuracy + margin).clip(0, 1))
    return mean[[column for column in table.columns if column != "chord_error"]]


def check_shifts(shifts: Iterable[str], known: set[str]) -> list[str]:
    """The names of shifts as a list: at least one, each once, all known."""
    if isinstance(shifts, str):
        raise WiseftError(f"shifts is the text {shifts!r}: give a list of names, such as [{shifts!r}]")
    shifts = list(shifts)
    if not shifts:
        raise WiseftError(f"there is no shift to take the mean of: name some of {', '.join(sorted(known))}")
    for shift in shifts:
        if shift not in known:
            raise unknown("shift", shift, known)
        if shifts.count(shift) > 1:
            raise WiseftError(f"the shift {shift!r} is named {shifts.count(shift)} times: name each once")
    return shifts


def check_complete(chosen: pd.DataFrame, group: pd.Series, keys: Sequence[str], shifts: Sequence[str]) -> None:
    """Refuse a mean of fewer shifts, of one counted twice, or of what was not measured."""

    def refuse(row: pd.Series, what: str) -> NoReturn:
        who = ", ".join(f"{key} {row[key]}" for key in keys) or "the table"
        raise WiseftError(f"{who} has {what}: complete the table, or leave that shift or those rows out")

    for column in ("accuracy", "n"):
        unknown_there = chosen[chosen[column].isna()]
        if len(unknown_there):
            refuse(unknown_there.iloc[0], f"no {column} for {unknown_there.dataset.iloc[0]!r}")
    count = pd.crosstab(group, chosen.dataset).reindex(columns=list(shifts))
    for times, what in ((count == 0, "no row for"), (count > 1, "more than one row for")):
        if times.any(axis=None):
            first = times.index[times.any(axis=1)][0]
            refuse(chosen[group == first].iloc[0], f"{what} {', '.join(map(repr, count.columns[times.loc[first]]))}")
