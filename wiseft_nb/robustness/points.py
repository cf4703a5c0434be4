"""Accuracies side by side, and how far they lie from the line of standard models.

Explained in notebook 05_redraw_the_paper.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import Z
from wiseft_nb.robustness.baseline import SCALES, Baseline, check_fractions, fit_baseline

MEAN = "mean of shifts"


def rows_of(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows of one dataset; says which there are if it is not among them."""
    rows = table[table.dataset == dataset]
    if rows.empty:
        raise WiseftError(f"the table has no dataset {dataset!r}: it has {sorted(set(table.dataset))}")
    return rows


def check_axis(shift: str, reference: str) -> None:
    """Refuse a class-subset x axis that belongs to another shift."""
    found = re.fullmatch(r".* \(classes of (.*)\)", reference)
    if found and not shift.startswith(found[1]):
        raise WiseftError(
            f"{reference!r} scores the reference on the classes of {found[1]}, and {shift} has others: "
            "take the subset of the shift itself, or the full reference"
        )


def side_by_side(table: pd.DataFrame, shift: str, reference: str, key: str | list[str]) -> pd.DataFrame:
    """x (reference) and y (shift) with their intervals, one row a ``key``."""
    check_axis(shift, reference)
    columns = {"accuracy": "", "low": "_low", "high": "_high"}
    parts = [
        rows_of(table, name).set_index(key)[list(columns)].rename(columns=lambda c, axis=axis: axis + columns[c])
        for name, axis in ((reference, "x"), (shift, "y"))
    ]
    for part, name in zip(parts, (reference, shift), strict=True):
        if part.index.has_duplicates:
            twice = part.index[part.index.duplicated()][0]
            raise WiseftError(f"{name} has more than one accuracy for {key} {twice!r}: say which rows, or a finer key")
    return pd.concat(parts, axis=1, join="inner").assign(shift=shift, reference=reference)


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Add low and high, the 95 % Clopper-Pearson interval that accuracy and n imply.

    Rows without n get none.
    """
    accuracy, n = check_fractions(table.accuracy, "accuracy"), table.n.astype(float).to_numpy()
    known = np.isfinite(n)
    low, high = np.full(len(table), np.nan), np.full(len(table), np.nan)
    low[known], high[known] = proportion_confint(np.round(accuracy[known] * n[known]), n[known], method="beta")
    # published figures are rounded: the interval holds the figure itself
    return table.assign(low=np.fmin(low, accuracy), high=np.fmax(high, accuracy))


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

    Explained in notebook 05_redraw_the_paper.
    """
    check_axis(shift, reference)
    accuracy = [rows_of(table, name).set_index(key).accuracy for name in (reference, shift)]
    models = pd.concat(accuracy, axis=1, join="inner", keys=["x", "y"])
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
        ``points`` with expected (beta of x), rho, rho_low, rho_high (95 %), and extrapolated: whether x
        lies beyond the models the line was fitted to.

    Explained in notebook 05_redraw_the_paper.
    """
    check_same_axes(baseline, points)
    rng = np.random.default_rng(seed)
    lines = baseline.draws[rng.integers(len(baseline.draws), size=len(baseline.draws))]
    x, y = (draw(points, axis, len(lines), rng) for axis in "xy")
    rho = np.stack([y[:, i] - one_each(baseline, x[:, i], lines) for i in range(len(points))], axis=1)
    low, high = np.quantile(rho, [0.025, 0.975], axis=0)
    expected = baseline.predict(points.x)
    value = check_fractions(points.y, "y") - expected
    return points.assign(
        expected=expected,
        rho=value,
        rho_low=np.minimum(low, value),
        rho_high=np.maximum(high, value),
        extrapolated=baseline.extrapolates(points.x),
    )


def one_each(baseline: Baseline, x: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Line i at x i."""
    forward, backward = SCALES[baseline.scale]
    u = forward(np.clip(x, 1e-9, 1 - 1e-9))
    value = lines[:, 0] + lines[:, 1] * u
    if baseline.knot is not None:
        value = value + lines[:, 2] * np.maximum(u - forward(baseline.knot), 0)
    return backward(value)


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
        Of each model under the shift, as a fraction, and the number of images.
    start_accuracy, start_n
        The same of the model before the intervention.

    Returns
    -------
    pandas.DataFrame
        tau, tau_low, tau_high.

    Explained in notebook 05_redraw_the_paper.
    """
    accuracy, start = check_fractions(accuracy, "accuracy"), float(check_fractions(start_accuracy, "start_accuracy"))
    counts = [round(a * m) for a, m in zip(accuracy, n, strict=True)]
    ends = [
        confint_proportions_2indep(c, m, round(start * start_n), start_n, compare="diff", method="newcomb")
        for c, m in zip(counts, n, strict=True)
    ]
    low, high = np.array(ends).reshape(-1, 2).T
    return pd.DataFrame({"tau": accuracy - start, "tau_low": low, "tau_high": high})


def below_chord(table: pd.DataFrame, run: list[str], tolerance: float = 0.001) -> pd.DataFrame:
    """Where a path lies below its chord: equation 2 of Wortsman et al. 2022, violated.

    The equation: accuracy(alpha) >= (1 - alpha) accuracy(0) + alpha accuracy(1).

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy sweeps, each with alpha 0 and 1.
    run : list of str
        Columns that tell sweeps apart.
    tolerance : float
        Accuracy below the chord that is forgiven; published figures are rounded to 0.001.

    Returns
    -------
    pandas.DataFrame
        Every row of ``table`` that can be checked, with chord, gap (accuracy - chord) and violated.

    Explained in notebook 05_redraw_the_paper.
    """
    keys = [*run, "dataset"]
    ends = [table[table.alpha == end].set_index(keys).accuracy.rename(f"end_{end}") for end in (0, 1)]
    joined = table.join(ends[0], on=keys, how="inner").join(ends[1], on=keys, how="inner")
    chord = (1 - joined.alpha) * joined.end_0 + joined.alpha * joined.end_1
    gap = joined.accuracy - chord
    return joined.drop(columns=["end_0", "end_1"]).assign(chord=chord, gap=gap, violated=gap < -tolerance - 1e-9)


def mean_of_shifts(table: pd.DataFrame, shifts: Iterable[str]) -> pd.DataFrame:
    """The mean accuracy over shifts, for every other column (such as alpha or model).

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

    Explained in notebook 03_interpolate.
    """
    chosen = table[table.dataset.isin(list(shifts))]
    keys = [c for c in table.columns if c not in ("dataset", "accuracy", "n", "low", "high")]
    chosen = chosen.assign(variance=chosen.accuracy * (1 - chosen.accuracy) / chosen.n)
    mean = chosen.groupby(keys, sort=False, dropna=False).agg(
        accuracy=("accuracy", "mean"), n=("n", "sum"), k=("n", "size"), variance=("variance", "sum")
    )
    mean = mean.reset_index().assign(dataset=MEAN)
    margin = Z * np.sqrt(mean.variance) / mean.k
    mean = mean.assign(low=(mean.accuracy - margin).clip(0, 1), high=(mean.accuracy + margin).clip(0, 1))
    return mean[table.columns]
