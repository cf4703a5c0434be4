"""Axes of robustness figures, points with their intervals, and what they are called.

Explained in notebook 05_redraw_the_paper.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from wiseft_nb.robustness import SCALES, rows_of
from wiseft_nb.robustness.tidy import check_columns

TICKS = (0.002, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995)


def scale_axes(ax: Axes, scale: str, points: pd.DataFrame) -> None:
    """Transformed axes that hold all points, ticks in percent."""
    forward, backward = SCALES[scale]

    def transform(values: np.ndarray) -> np.ndarray:
        return forward(np.clip(values, 1e-4, 1 - 1e-4)) if scale != "linear" else values

    ax.set_xscale("function", functions=(transform, backward))
    ax.set_yscale("function", functions=(transform, backward))
    for axis, name in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        ends = points[[name, f"{name}_low", f"{name}_high"]]  # without an interval there is the point
        low, high = ends.min(axis=None), min(ends.max(axis=None), 0.999)
        low, high = (
            backward(np.array([transform(low) - 0.1, transform(high) + 0.1])) if scale != "linear" else (low, high)
        )
        (ax.set_xlim if name == "x" else ax.set_ylim)(low, high)
        axis.set_ticks([tick for tick in TICKS if low <= tick <= high])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))


def draw_points(ax: Axes, points: pd.DataFrame, **style) -> None:
    """Points with their intervals on both axes; a point whose interval is not known (NaN) has none."""
    errors = {
        f"{axis}err": [
            (points[axis] - points[f"{axis}_low"]).clip(lower=0),
            (points[f"{axis}_high"] - points[axis]).clip(lower=0),
        ]
        for axis in "xy"
    }
    ax.errorbar(points.x, points.y, **errors, elinewidth=0.6, **style)


def drawable(points: pd.DataFrame, scale: str) -> pd.DataFrame:
    """The points that have a place on these axes: none at 0 or 1 where the scale is infinite there."""
    if scale == "linear":
        return points
    return points[points.x.between(0, 1, inclusive="neither") & points.y.between(0, 1, inclusive="neither")]


def axis_label(table: pd.DataFrame, dataset: str) -> str:
    """What an axis shows, with the number of images where the table knows it."""
    check_columns(table, ["n"], "give one as sweep returns it")
    n = rows_of(table, dataset).n.iloc[0]
    return f"{dataset} accuracy (%)" if pd.isna(n) else f"{dataset} accuracy (%, n={n:,.0f})"


def labels_of(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``label``: what a reader would call the model of each row."""
    parts = [table.model.astype(str)]
    if "pretrained" in table:
        parts.append(table.pretrained.fillna("").map(lambda tag: f" ({tag})" if tag else ""))
    if "method" in table:
        parts.append(", " + table.method.astype(str))
    if "alpha" in table:
        parts.append(table.alpha.map(lambda alpha: "" if pd.isna(alpha) else f", α = {alpha:g}"))
    label = pd.Series("", table.index).str.cat(parts)
    twice = pd.DataFrame({"label": label, "dataset": table.dataset}).duplicated(keep=False)
    if twice.any() and "source" in table:
        label = label.mask(twice, label + ", " + table.source.astype(str))
    return table.assign(label=label)
