"""One model before and after fine-tuning, over the line of standard models.

Explained in notebook 05_redraw_the_paper.
"""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.plots.axes import draw_points, drawable, scale_axes
from wiseft_nb.plots.robustness import draw_line
from wiseft_nb.plots.style import GREY, ROLES
from wiseft_nb.robustness import Baseline, side_by_side
from wiseft_nb.robustness.points import check_same_axes


def plot_pairs(
    standard: pd.DataFrame,
    pairs: pd.DataFrame,
    shift: str,
    reference: str,
    baseline: Baseline,
    key: str = "model",
    at_least: float = 0.0,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """An arrow for each model from zero-shot (star) to fine-tuned (diamond), over the standard models.

    Parameters
    ----------
    standard : pandas.DataFrame
        Tidy, one row for each model and dataset, with low and high.
    pairs : pandas.DataFrame
        Tidy, with ``key`` and alpha, 0 and 1 for each pair, and low and high. Pairs that lack one of the four
        accuracies have no arrow.
    shift, reference : str
    baseline : Baseline
        Its line is drawn, on its own scale.
    key : str
        The column that tells pairs apart.
    at_least : float
        Standard models with a lower reference accuracy (a fraction) are not drawn.
    ax : Axes, optional

    Explained in notebook 05_redraw_the_paper.
    """
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(5.5, 4.5))
    models = drawable(side_by_side(standard, shift, reference, "model"), baseline.scale)
    models = models[models.x >= at_least]
    check_same_axes(baseline, models)
    ends = side_by_side(pairs, shift, reference, [key, "alpha"])
    zero_shot, fine_tuned = (ends.xs(alpha, level="alpha") for alpha in (0.0, 1.0))
    scale_axes(ax, baseline.scale, pd.concat([models, ends]))
    draw_points(ax, models, fmt="o", color=GREY, ms=4, alpha=0.8, label=f"standard models ({len(models)})")
    draw_line(ax, baseline)
    for name in zero_shot.index.intersection(fine_tuned.index):
        start, end = (tuple(side.loc[name, ["x", "y"]]) for side in (zero_shot, fine_tuned))
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "black", "lw": 0.8})
    for role, side, size in (("zero-shot", zero_shot, 11), ("fine-tuned", fine_tuned, 7)):
        draw_points(ax, side, fmt=ROLES[role]["marker"], color=ROLES[role]["color"], ms=size, label=role, zorder=5)
    ax.set(xlabel=f"{reference} accuracy (%)", ylabel=f"{shift} accuracy (%)", title=shift)
    sns.despine(ax=ax)
    return fig, ax
