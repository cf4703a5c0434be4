"""Tidy tables -> figures. Every function returns ``(fig, ax)`` and shows nothing.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from torch.utils.data import Dataset

from wiseft_nb.errors import WiseftError
from wiseft_nb.robustness import SCALES, Baseline, fit_baseline

BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, SKY = sns.color_palette("colorblind")
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


def set_style() -> None:
    """The look of every figure: seaborn's, readable at half a page."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 90, "savefig.dpi": 150, "axes.titlesize": 11, "legend.frameon": False})


def plot_images(datasets: dict[str, Dataset], columns: int = 16) -> tuple[Figure, Axes]:
    """A contact sheet: the first images of every dataset, a row each.

    Explained in notebook 00_start_here.
    """
    rows = []
    for dataset in datasets.values():
        tiles = [np.asarray(dataset[i][0].convert("RGB").resize((32, 32))) for i in range(min(columns, len(dataset)))]
        tiles += [np.full_like(tiles[0], 255)] * (columns - len(tiles))
        rows.append(np.concatenate(tiles, axis=1))
    fig, ax = plt.subplots(figsize=(columns * 0.5 + 1.2, len(rows) * 0.5 + 0.2))
    ax.imshow(np.concatenate(rows), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([32 * i + 16 for i in range(len(rows))], datasets)
    ax.tick_params(length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    fig.tight_layout()
    return fig, ax


def plot_history(history: Sequence[dict]) -> tuple[Figure, Axes]:
    """Training loss and validation accuracy over the epochs of ``classifier.history``.

    Explained in notebook 02_fine_tune.
    """
    table = pd.DataFrame(history)
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.plot(table.epoch, table.loss, "o-", color=ORANGE)
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(table.epoch, 100 * table.val_accuracy, "o-", color=BLUE)
    right.set(xlabel="epoch", ylabel="validation accuracy (%)")
    sns.despine(fig)
    fig.tight_layout()
    return fig, np.array([left, right])


def plot_curves(table: pd.DataFrame, datasets: Sequence[str], ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Accuracy against alpha, a line a dataset, with 95 % intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``sweep`` returns it.
    datasets : sequence of str
        Which to draw; n stands in the legend.

    Explained in notebook 03_interpolate.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6, 4))
    markers = "osD^vPX*<>"
    for i, name in enumerate(datasets):
        rows = rows_of(table, name).sort_values("alpha")
        colour = sns.color_palette("colorblind")[i % 10]
        ax.plot(
            rows.alpha,
            100 * rows.accuracy,
            marker=markers[i % 10],
            ms=5,
            color=colour,
            label=f"{name} (n={rows.n.iloc[0]:,})",
        )
        ax.fill_between(rows.alpha, 100 * rows.low, 100 * rows.high, color=colour, alpha=0.15, lw=0)
    ax.set(xlabel=r"$\alpha$   (0 zero-shot, 1 fine-tuned)", ylabel="accuracy (%)")
    ax.legend(fontsize=9)
    sns.despine(ax=ax)
    return fig, ax


def plot_robustness(
    standard: pd.DataFrame,
    curve: pd.DataFrame,
    shift: str,
    reference: str,
    baseline: Baseline | None = None,
    scale: str = "logit",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Effective-robustness plot: accuracy under one shift against accuracy on the reference.

    Drawn as in figure 1 of Wortsman et al. 2022: standard models and their line, the zero-shot model
    (star), the fine-tuned model (diamond) and the interpolation curve between them, on transformed
    axes, each with its 95 % interval.

    Parameters
    ----------
    standard : pandas.DataFrame
        Tidy, one row for each model and dataset: model, dataset, accuracy, n, low, high.
    curve : pandas.DataFrame
        As ``sweep`` returns it.
    shift, reference : str
        Names of datasets in both tables.
    baseline : Baseline, optional
        By default fitted to ``standard``.
    scale : {"logit", "probit", "linear"}
    ax : Axes, optional

    Explained in notebook 04_measure_robustness.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(5.5, 4.5))
    models = side_by_side(standard, shift, reference, "model")
    path = side_by_side(curve, shift, reference, "alpha").sort_index()
    baseline = baseline or fit_baseline(models.x, models.y, scale)
    scale_axes(ax, scale, pd.concat([models, path]))
    draw_points(ax, models, fmt="o", color=GREY, ms=4, alpha=0.8, label=f"standard models ({len(models)})")
    grid = np.linspace(*ax.get_xlim(), 200)
    ax.plot(grid, baseline.predict(grid), "--", color=GREY, lw=1.5, label=f"their line, R² = {baseline.r2:.2f}")
    draw_points(ax, path, fmt=".-", color=BLUE, ms=6, lw=2, label="interpolation curve")
    for alpha, marker, size, colour, label in (
        (0.0, "*", 15, PURPLE, "zero-shot"),
        (0.5, "s", 8, BLUE, r"$\alpha$ = 0.5"),
        (1.0, "D", 9, ORANGE, "fine-tuned"),
    ):
        if alpha in path.index:
            draw_points(ax, path.loc[[alpha]], fmt=marker, ms=size, color=colour, mec="white", zorder=5, label=label)
    counts = {name: rows_of(curve, name).n.iloc[0] for name in (reference, shift)}
    ax.set(
        xlabel=f"{reference} accuracy (%, n={counts[reference]:,})",
        ylabel=f"{shift} accuracy (%, n={counts[shift]:,})",
        title=shift,
    )
    sns.despine(ax=ax)
    return fig, ax


def rows_of(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows of one dataset; says which there are if it is not among them."""
    rows = table[table.dataset == dataset]
    if rows.empty:
        raise WiseftError(f"the table has no dataset {dataset!r}: it has {sorted(set(table.dataset))}")
    return rows


def side_by_side(table: pd.DataFrame, shift: str, reference: str, key: str) -> pd.DataFrame:
    """x (reference) and y (shift) with their intervals, one row a ``key``."""
    columns = {"accuracy": "", "low": "_low", "high": "_high"}
    return pd.concat(
        [
            rows_of(table, name).set_index(key)[list(columns)].rename(columns=lambda c, axis=axis: axis + columns[c])
            for name, axis in ((reference, "x"), (shift, "y"))
        ],
        axis=1,
        join="inner",
    )


def draw_points(ax: Axes, points: pd.DataFrame, **style) -> None:
    """Points with their intervals on both axes."""
    errors = {
        f"{axis}err": [
            (points[axis] - points[f"{axis}_low"]).clip(lower=0),
            (points[f"{axis}_high"] - points[axis]).clip(lower=0),
        ]
        for axis in "xy"
    }
    ax.errorbar(points.x, points.y, **errors, elinewidth=0.6, **style)


def scale_axes(ax: Axes, scale: str, points: pd.DataFrame) -> None:
    """Transformed axes that hold all points, ticks in percent."""
    forward, backward = SCALES[scale]

    def transform(values: np.ndarray) -> np.ndarray:
        return forward(np.clip(values, 1e-4, 1 - 1e-4)) if scale != "linear" else values

    ax.set_xscale("function", functions=(transform, backward))
    ax.set_yscale("function", functions=(transform, backward))
    for axis, name in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        low, high = points[f"{name}_low"].min(), min(points[f"{name}_high"].max(), 0.999)
        low, high = (
            backward(np.array([transform(low) - 0.1, transform(high) + 0.1])) if scale != "linear" else (low, high)
        )
        (ax.set_xlim if name == "x" else ax.set_ylim)(low, high)
        axis.set_ticks([tick for tick in TICKS if low <= tick <= high])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
