"""Effective-robustness plots: accuracy under shift against accuracy on the reference.

Explained in notebooks 04_measure_robustness and 05_redraw_the_paper.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import accuracy_interval
from wiseft_nb.plots.axes import axis_label, draw_points, drawable, labels_of, scale_axes
from wiseft_nb.plots.style import BLUE, GREY, MARKERS, ORANGE, PURPLE, RED, ROLES
from wiseft_nb.robustness import SCALES, Baseline, check_fractions, fit_baseline, side_by_side
from wiseft_nb.robustness.points import check_same_axes
from wiseft_nb.robustness.tidy import check_columns


def plot_robustness(
    standard: pd.DataFrame,
    curve: pd.DataFrame,
    shift: str,
    reference: str,
    baseline: Baseline | None = None,
    scale: str = "logit",
    ax: Axes | None = None,
    by: str | None = None,
    rho: bool = False,
) -> tuple[Figure, Axes]:
    """Effective-robustness plot: accuracy under one shift against accuracy on the reference.

    Drawn as in figure 1 of Wortsman et al. 2022: standard models and their line, the zero-shot model
    (star), the fine-tuned model (diamond) and the interpolation curve between them, on transformed
    axes, each with its 95 % interval. The line's band is a bootstrap over models; where it goes beyond
    the best standard model it is dotted.

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
    by : str, optional
        A column of ``standard``, such as ``"family"``: a colour and a marker for each of its values.
    rho : bool
        Whether to draw an arrow from the line to each of the three models, with its points beside it.

    Explained in notebook 04_measure_robustness.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(5.5, 4.5))
    models = side_by_side(standard, shift, reference, "model")
    path = side_by_side(curve, shift, reference, "alpha").sort_index()
    baseline = baseline or fit_baseline(models.x, models.y, scale, shift=shift, reference=reference)
    check_same_axes(baseline, models)
    models = drawable(models, scale)
    scale_axes(ax, scale, pd.concat([models, path]))
    if by is None:
        draw_points(ax, models, fmt="o", color=GREY, ms=4, alpha=0.8, label=f"standard models ({len(models)})")
    else:
        draw_kinds(ax, models, standard, by)
    draw_line(ax, baseline)
    add_curve(ax, curve, shift, reference)
    if rho:
        draw_rho(ax, baseline, path)
    ax.set(xlabel=axis_label(curve, reference), ylabel=axis_label(curve, shift))
    ax.set_title(f"{shift}, R² = {baseline.r2:.3f}")
    sns.despine(ax=ax)
    return fig, ax


def plot_models(
    groups: dict[str, pd.DataFrame],
    shift: str,
    reference: str,
    baseline: Baseline | None = None,
    scale: str = "logit",
    at_least: float = 0.0,
    intervals: bool = True,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Many models at once: a colour and a marker for each group, and the line of the standard ones.

    Parameters
    ----------
    groups : dict
        Name -> tidy table with low and high; a group without these two datasets is left out.
    shift, reference : str
    baseline : Baseline, optional
        Its line is drawn.
    scale : {"logit", "probit", "linear"}
    at_least : float
        Models with a lower reference accuracy are not drawn; the title says how many.
    intervals : bool
        Whether to draw the 95 % intervals of the points.
    ax : Axes, optional

    Explained in notebook 05_redraw_the_paper.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6.5, 5))
    points = {}
    for name, table in groups.items():
        if {shift, reference} <= set(table.dataset):
            points[name] = drawable(side_by_side(labels_of(table), shift, reference, "label"), scale)
    below = sum((models.x < at_least).sum() for models in points.values())
    points = {name: models[models.x >= at_least] for name, models in points.items() if (models.x >= at_least).any()}
    if not points:
        raise WiseftError(f"no group of models has both {reference!r} and {shift!r}")
    scale_axes(ax, scale, pd.concat(points.values()))
    for name, models in points.items():
        i = list(groups).index(name)  # a group keeps its colour and marker from figure to figure
        colour = (
            GREY if name.startswith("standard") else [c for c in sns.color_palette("colorblind") if c != GREY][i % 9]
        )
        if intervals:
            draw_points(ax, models, fmt="none", color=colour, alpha=0.5)
        style = dict(s=26, lw=0.4, edgecolor="white", zorder=3)
        dots = ax.scatter(
            models.x, models.y, marker=MARKERS[i % len(MARKERS)], color=colour, label=f"{name} ({len(models)})", **style
        )
        dots.set_gid(f"models-{i}")
        dots.names = [f"{label}: {100 * x:.1f} → {100 * y:.1f} %" for label, x, y in models[["x", "y"]].itertuples()]
    if baseline:
        check_same_axes(baseline, pd.concat(points.values()))
        draw_line(ax, baseline)
    ax.set(xlabel=f"{reference} accuracy (%)", ylabel=f"{shift} accuracy (%)")
    ax.set_title(shift + (f" ({below} models below {100 * at_least:g} % not drawn)" if below else ""))
    ax.legend(fontsize=8)
    sns.despine(ax=ax)
    return fig, ax


def add_curve(
    ax: Axes, curve: pd.DataFrame, shift: str, reference: str, color: tuple = BLUE, label: str = "interpolation curve"
) -> None:
    """An interpolation curve on an effective-robustness plot: star zero-shot, square 0.5, diamond fine-tuned.

    Explained in notebook 05_redraw_the_paper.
    """
    path = side_by_side(curve, shift, reference, "alpha").sort_index()
    draw_points(ax, path, fmt=".-", color=color, ms=6, lw=2, label=label)
    named = {text.get_label() for text in ax.containers}
    for alpha, marker, size, colour, name in (
        (0.0, "*", 15, PURPLE, "zero-shot"),
        (0.5, "s", 8, color, r"$\alpha$ = 0.5"),
        (1.0, "D", 9, ORANGE, "fine-tuned"),
    ):
        if alpha in path.index:
            once = None if name in named else name
            draw_points(ax, path.loc[[alpha]], fmt=marker, ms=size, color=colour, mec="white", zorder=5, label=once)


def add_model(ax: Axes, name: str, x: float, y: float, n: tuple[int, int] | None = None, color: tuple = RED) -> None:
    """A model of your own on any effective-robustness plot, in one line.

    Parameters
    ----------
    ax : Axes
    name : str
        Written beside the point.
    x, y : float
        Accuracy on the reference and under the shift, as fractions.
    n : (int, int), optional
        Images behind x and y; with them, 95 % intervals are drawn.

    Examples
    --------
    >>> fig, ax = plt.subplots()
    >>> add_model(ax, "mine", x=0.80, y=0.70, n=(50_000, 10_000))
    >>> plt.close(fig)

    Explained in notebook 05_redraw_the_paper.
    """
    row = {}
    for axis, value, count in zip("xy", (x, y), n or (None, None), strict=True):
        value = float(check_fractions(value, f"{axis} of {name!r}"))
        low, high = accuracy_interval(round(value * count), count) if count else (np.nan, np.nan)
        row |= {axis: value, f"{axis}_low": low, f"{axis}_high": high}
    draw_points(ax, pd.DataFrame([row]), fmt="P", ms=11, color=color, mec="black", zorder=6, label=name)
    ax.annotate(name, (x, y), xytext=(7, -11), textcoords="offset points", fontsize=9, color="black", zorder=7)


def draw_kinds(ax: Axes, models: pd.DataFrame, standard: pd.DataFrame, by: str) -> None:
    """Standard models with a colour and a marker for each value of a column of their table."""
    check_columns(standard, [by], "name a column that sorts the models")
    kind = standard.drop_duplicates("model").set_index("model")[by].astype(str)
    colours = [c for c in sns.color_palette("colorblind") if c not in (BLUE, PURPLE, ORANGE)]
    for i, name in enumerate(sorted(kind.unique())):
        some = models[models.index.map(kind) == name]
        if len(some):
            style = dict(fmt=MARKERS[i % 10], color=colours[i % len(colours)], ms=4.5, alpha=0.8)
            draw_points(ax, some, label=f"{name} ({len(some)})", **style)


def draw_rho(ax: Axes, baseline: Baseline, path: pd.DataFrame) -> None:
    """Effective robustness as it is defined: an arrow from the line up to a model, its points beside it.

    Parameters
    ----------
    ax : Axes
        Of ``plot_robustness``.
    baseline : Baseline
    path : pandas.DataFrame
        As ``side_by_side`` returns it, alpha its index; alpha 0, 0.5 and 1 get arrows.

    Explained in notebook 04_measure_robustness.
    """
    roles = {0.0: ("zero-shot", -6), 0.5: ("interpolated", -6), 1.0: ("fine-tuned", 6)}
    heights = {0.0: 0.5, 0.5: 0.62, 1.0: 0.38}  # of the text along its arrow, so that neighbours do not collide
    low, high = ax.get_ylim()
    forward, backward = SCALES[baseline.scale]
    for alpha, (role, offset) in roles.items():
        if alpha not in path.index:
            continue
        x, y = float(path.x[alpha]), float(path.y[alpha])
        expected, colour = float(baseline.predict(x)), ROLES[role]["color"]
        style = dict(arrowstyle="-|>", color=colour, lw=1.6, shrinkA=0, shrinkB=4)
        ax.annotate("", xy=(x, y), xytext=(x, expected), arrowprops=style, zorder=4)
        ends = forward(np.clip([expected, y], max(low, 1e-4), min(high, 1 - 1e-4)))
        middle = float(backward(ends[0] + heights[alpha] * (ends[1] - ends[0])))
        ax.annotate(
            f"{100 * (y - expected):+.0f}",
            (x, middle),
            xytext=(offset, 0),
            textcoords="offset points",
            ha="right" if offset < 0 else "left",
            va="center",
            color=colour,
            fontsize=11,
            fontweight="bold",
            zorder=6,
        )


def draw_line(ax: Axes, baseline: Baseline, color: tuple = GREY) -> None:
    """The baseline with its 95 % band: dashed where models support it, dotted where it extrapolates."""
    left, right = ax.get_xlim()
    grid = np.unique(np.clip([*np.linspace(left, right, 200), baseline.x_min, baseline.x_max], left, right))
    grid = grid[(grid >= 0) & (grid <= 1)]
    inside = ~baseline.extrapolates(grid)
    about = ", two pieces" if baseline.knot is not None else ""
    text = f"line of standard models{about}, R² = {baseline.r2:.3f}"
    ax.plot(
        grid[inside], baseline.predict(grid[inside]), "--", color=color, lw=1.5, label=text, scalex=False, scaley=False
    )
    label = "extrapolated"
    for outside in (grid <= baseline.x_min, grid >= baseline.x_max):
        if outside.sum() > 1:
            style = dict(color=color, lw=1.5, label=label, scalex=False, scaley=False)
            ax.plot(grid[outside], baseline.predict(grid[outside]), ":", **style)
            label = None
    if baseline.draws is not None and len(grid):
        limits = ax.get_ylim()
        ax.fill_between(grid, *baseline.band(grid), color=color, alpha=0.2, lw=0)
        ax.set_ylim(limits)
    ax.set_xlim(left, right)
