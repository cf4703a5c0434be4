"""Methods as points over a whole interpolation curve.

Explained in notebook 05_redraw_the_paper.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError
from wiseft_nb.plots.labels import name_points
from wiseft_nb.plots.style import MARKERS, RED, ROLES


def plot_over_curve(
    curve: pd.DataFrame, methods: pd.DataFrame, highlight: str = "", ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Each method a named point, over the whole curve that it is compared with.

    Parameters
    ----------
    curve : pandas.DataFrame
        Accuracy in percent, alpha its index (0.5 and 1 among them); two columns, reference and shift.
    methods : pandas.DataFrame
        The same two columns; its index is (where the figures stand, name of the method).
    highlight : str
        The method of this name is drawn as a red cross.
    ax : Axes, optional

    Explained in notebook 05_redraw_the_paper.
    """
    columns = list(curve.columns)
    if len(columns) != 2 or list(methods.columns) != columns or methods.empty:
        raise WiseftError(
            f"the curve has the columns {columns}, the methods {list(methods.columns)}: give two, the same"
        )
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(10, 6.5))
    reference, shift = columns
    ax.plot(curve[reference], curve[shift], color=ROLES["interpolated"]["color"], label="the curve, alpha 0 to 1")
    for alpha, role in ((0.5, "interpolated"), (1.0, "fine-tuned")):
        ax.plot(*curve.loc[alpha], ls="", ms=10, zorder=4, label=f"alpha {alpha:g}", **ROLES[role])
    for i, (table, rows) in enumerate(methods.groupby(level=0)):
        marker = ("o^v" + MARKERS[1:])[i % 10]
        ax.plot(rows[reference], rows[shift], marker, ms=5, color="black", mfc="none", label=table)
    marked = methods[methods.index.get_level_values(1) == highlight]
    if len(marked):
        ax.plot(marked[reference], marked[shift], "X", ms=8, color=RED, zorder=5, label=f'printed as "{highlight}"')
    points = np.vstack([methods, curve.loc[[0.5, 1.0]]])
    low, high = points.min(axis=0), points.max(axis=0)
    left, right = low - 0.08 * (high - low), high + 0.08 * (high - low)
    ax.set(xlim=(left[0], right[0]), ylim=(left[1], right[1]), xlabel=f"{reference} (%)", ylabel=f"{shift} (%)")
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    sns.despine(ax=ax)
    name_points(ax, *methods.to_numpy().T, methods.index.get_level_values(1), fontsize=8)
    return fig, ax
