"""A map: which recipes, at which alphas, lie how far from the chord.

Explained in notebook 08_break_it.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.plots.style import ROLES

DEEP = 15  # points below the chord; deeper is no darker


def plot_map(gaps: pd.DataFrame, best: Mapping[object, Sequence[float]], ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Points above or below the chord as colour and number, a row a recipe and a column an alpha.

    Parameters
    ----------
    gaps : pandas.DataFrame
        In points, negative where the path sags; recipes as index, alphas as columns. A row of NaN is one that diverged.
    best : mapping of recipe to sequence of float
        Alphas that are best, one a seed: drawn as squares.
    ax : Axes, optional

    Explained in notebook 08_break_it.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(7, 0.42 * len(gaps) + 1))
    shown = gaps.clip(-DEEP, DEEP)
    texts = gaps.map(lambda gap: "" if np.isnan(gap) else f"{gap:+.0f}" if abs(gap) >= 10 else f"{gap:+.1f}")
    colours = sns.diverging_palette(50, 250, s=80, l=60, as_cmap=True)
    sns.heatmap(shown, annot=texts, fmt="", cmap=colours, vmin=-DEEP, vmax=DEEP, cbar=False, ax=ax, linewidths=1)
    columns = list(gaps.columns)
    for row, recipe in enumerate(gaps.index):
        if gaps.loc[recipe].isna().all():
            ax.text(len(columns) / 2, row + 0.5, "training diverged", ha="center", va="center", style="italic")
        alphas, seeds = np.unique(list(best.get(recipe, ())), return_counts=True)
        for alpha, count in zip(alphas, seeds, strict=True):
            size = 0.9 * count / len(best[recipe])
            place = (columns.index(alpha) + 0.5 - size / 2, row + 0.5 - size / 2)
            colour = ROLES["interpolated"]["color"]
            ax.add_patch(plt.Rectangle(place, size, size, fill=False, ec=colour, lw=2.5, zorder=3))
    ax.set_xticks(np.arange(len(columns)) + 0.5, [f"{alpha:g}" for alpha in columns], rotation=0)
    ax.set(xlabel=r"$\alpha$", ylabel="")
    ax.tick_params(length=0)
    plt.setp(ax.get_yticklabels(), rotation=0)
    return fig, ax
