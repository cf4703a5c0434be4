"""Tidy tables -> figures. Every function returns ``(fig, ax)`` and shows nothing.

``basic`` has images, training and curves; ``robustness`` the effective-robustness plots; ``style`` the
look that all share, and export.

Explained in notebooks 04_measure_robustness and 05_redraw_the_paper.
"""

from wiseft_nb.plots.axes import draw_points, labels_of, scale_axes
from wiseft_nb.plots.basic import plot_answers, plot_change, plot_curves, plot_heat, plot_history, plot_images
from wiseft_nb.plots.methods import plot_over_curve
from wiseft_nb.plots.pairs import plot_pairs
from wiseft_nb.plots.robustness import (
    add_curve,
    add_model,
    draw_line,
    plot_models,
    plot_robustness,
)
from wiseft_nb.plots.schematic import plot_schematic
from wiseft_nb.plots.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    ROLES,
    SERIES,
    SKY,
    YELLOW,
    save_figure,
    set_style,
)
from wiseft_nb.robustness import rows_of, side_by_side

__all__ = [
    "BLUE",
    "BROWN",
    "GREEN",
    "GREY",
    "MARKERS",
    "ORANGE",
    "PINK",
    "PURPLE",
    "RED",
    "ROLES",
    "SERIES",
    "SKY",
    "YELLOW",
    "add_curve",
    "add_model",
    "draw_line",
    "draw_points",
    "labels_of",
    "plot_answers",
    "plot_change",
    "plot_curves",
    "plot_heat",
    "plot_history",
    "plot_images",
    "plot_models",
    "plot_over_curve",
    "plot_pairs",
    "plot_robustness",
    "plot_schematic",
    "rows_of",
    "save_figure",
    "scale_axes",
    "set_style",
    "side_by_side",
]
