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
        Alphas that are best, one a seed: framed, the more of the seeds the thicker.
    ax : Axes, optional

    Explained in notebook 08_break_it.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(7, 0.42 * len(gaps) + 1))
    shown = gaps.clip(-DEEP, DEEP)
    texts = gaps.map(lambda gap: "" if np.isnan(gap) else f"{gap:+.0f}" if abs(gap) >= 10 else f"{gap:+.1f}")
    colours = sns.diverging_palette(50, 250, s=80, l=70, as_cmap=True)  # light enough for black numbers
    sns.heatmap(
        shown,
        annot=texts,
        fmt="",
        cmap=colours,
        vmin=-DEEP,
        vmax=DEEP,
        cbar=False,
        ax=ax,
        linewidths=1,
        annot_kws={"color": "black"},
    )
    columns = list(gaps.columns)
    for row, recipe in enumerate(gaps.index):
        if gaps.loc[recipe].isna().all():
            ax.text(len(columns) / 2, row + 0.5, "training diverged", ha="center", va="center", style="italic")
        alphas, seeds = np.unique(list(best.get(recipe, ())), return_counts=True)
        for alpha, count in zip(alphas, seeds, strict=True):
            place, colour = (columns.index(alpha) + 0.05, row + 0.05), ROLES["interpolated"]["color"]
            width = 0.8 + 2.7 * count / len(best[recipe])
            ax.add_patch(plt.Rectangle(place, 0.9, 0.9, fill=False, ec=colour, lw=width, zorder=3))
    ax.set_xticks(np.arange(len(columns)) + 0.5, [f"{alpha:g}" for alpha in columns], rotation=0)
    ax.set(xlabel=r"$\alpha$", ylabel="")
    ax.tick_params(length=0)
    plt.setp(ax.get_yticklabels(), rotation=0)
    return fig, ax
