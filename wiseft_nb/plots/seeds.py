"""Figures of means over seeds with their intervals.

Explained in notebook 07_compare_ensembles.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.plots.style import MARKERS, ROLES, SERIES

BAND = ("mean", "low", "high")


def plot_band(table: pd.DataFrame, label: str, ax: Axes | None = None, **style: object) -> tuple[Figure, Axes]:
    """A mean over seeds as a line with markers, its interval as a band.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``seeds_table`` returns it, indexed by what goes on the x axis: mean, low, high.
    label : str
    ax : Axes, optional
    style
        Colour, marker and line style.

    Explained in notebook 07_compare_ensembles.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6, 4))
    mean, low, high = (table[column].astype(float) for column in BAND)
    (line,) = ax.plot(table.index, mean, label=label, **style)
    ax.fill_between(table.index, low, high, color=line.get_color(), alpha=0.2, lw=0)
    return fig, ax


def add_seeds(ax: Axes, seeds: pd.DataFrame, y: str, x: str | None = None, **style: object) -> None:
    """A thin line a seed, behind what the axes show.

    Parameters
    ----------
    ax : Axes
    seeds : pandas.DataFrame
        As ``by_seed`` lays sweeps out: accuracies, fractions.
    y : str
        The dataset or group whose accuracy is drawn.
    x : str, optional
        That of the x axis: both are then fractions, as ``plot_robustness`` has them. By default the x axis is alpha
        and the other in percent, as ``plot_curves`` has them.
    style
        Of the lines, such as their colour.

    Explained in notebook 03_interpolate.
    """
    for _, path in seeds.groupby(level="seed"):
        drawn = (path.index.get_level_values("alpha"), 100 * path[y]) if x is None else (path[x], path[y])
        ax.plot(*drawn, **({"lw": 0.6, "zorder": 0} | style))


def plot_bands(table: pd.DataFrame, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """``plot_band`` for each method of a table, told apart by colour, marker and line style.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``seeds_table`` returns it, indexed by method and by what goes on the x axis: mean, low, high.
    ax : Axes, optional

    Explained in notebook 07_compare_ensembles.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6.5, 4))
    for i, (name, rows) in enumerate(table.groupby(level=0, sort=False)):
        style = {"color": SERIES[1:][i], "marker": MARKERS[i], "linestyle": ("-", "--", "-.", ":")[i % 4]}
        plot_band(rows.droplevel(0), name, ax, **style)
    return fig, ax


def plot_forest(table: pd.DataFrame, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """A row for each method: mean and interval against a line at 0.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``seeds_table`` returns it, indexed by method: mean, low, high. The first stands at the top.
    ax : Axes, optional

    Explained in notebook 07_compare_ensembles.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6, 0.35 * len(table) + 1))
    rows, (mean, low, high) = np.arange(len(table))[::-1], (table[column].astype(float) for column in BAND)
    ax.errorbar(mean, rows, xerr=[mean - low, high - mean], fmt="o", color="black", capsize=3)
    ax.axvline(0, color=ROLES["interpolated"]["color"], lw=2)
    ax.set_yticks(rows, table.index)
    return fig, ax


def plot_runs(table: pd.DataFrame, label: str, ax: Axes | None = None, **style: object) -> tuple[Figure, Axes]:
    """Each run as a thin line, their mean as a thick one with markers: for few runs that differ much.

    Parameters
    ----------
    table : pandas.DataFrame
        What goes on the x axis as index, a column a run.
    label : str
    ax : Axes, optional
    style
        Colour, marker and line style.

    Explained in notebook 08_break_it.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6, 4))
    (line,) = ax.plot(table.index, table.mean(axis=1), label=label, lw=2, **style)
    for name in table:
        ax.plot(table.index, table[name], color=line.get_color(), lw=0.7, linestyle=line.get_linestyle())
    return fig, ax
