"""The method as a picture: two sets of weights and the line between them.

Explained in notebook 03_interpolate.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.plots.style import ROLES

ALT = (
    "A straight line in the space of weights: the zero-shot weights theta 0, a star, at its left end, where alpha is 0; "
    "the fine-tuned weights theta 1, a diamond, at its right end, where alpha is 1; a square half way, their mean. "
    "A bent, dashed arrow above the line: fine-tuning does not go straight."
)


def plot_schematic() -> tuple[Figure, Axes]:
    """The zero-shot weights, the fine-tuned weights, and the interpolated ones on the line between them.

    A drawing of equation 1 of Wortsman et al. 2022; nothing in it is measured. ``ALT`` says what it shows.

    Explained in notebook 03_interpolate.
    """
    fig, ax = plt.subplots(figsize=(7, 2.1))
    # a bent way from one end to the other: training does not go straight
    ax.annotate(
        "",
        (0.985, 0.06),
        (0.015, 0.06),
        arrowprops=dict(arrowstyle="->", connectionstyle="arc3,rad=-0.25", color="0.6", ls="--"),
    )
    ax.text(0.5, 0.8, "fine-tuning", color="0.4", ha="center", fontsize=10)
    ax.plot([0, 1], [0, 0], color=ROLES["interpolated"]["color"], lw=2.5, zorder=1)
    for alpha, role, size, name in (
        (0.0, "zero-shot", 20, r"$\theta_0$  zero-shot"),
        (0.5, "interpolated", 11, r"$\theta_\alpha = (1-\alpha)\,\theta_0 + \alpha\,\theta_1$"),
        (1.0, "fine-tuned", 12, r"$\theta_1$  fine-tuned"),
    ):
        ax.plot(alpha, 0, ms=size, mec="white", ls="none", **ROLES[role])
        ax.text(alpha, -0.3, name, ha="center", va="top", fontsize=12)
        ax.text(alpha, -0.62, rf"$\alpha$ = {alpha:g}", ha="center", va="top", fontsize=10, color="0.4")
    ax.set(xlim=(-0.15, 1.15), ylim=(-0.95, 1.0))
    ax.axis("off")
    fig.tight_layout()
    return fig, ax
