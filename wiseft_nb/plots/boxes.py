"""Detections drawn into their scenes: right and wrong differ in colour, line and mark.

Explained in notebook 14_try_detection.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wiseft_nb.plots.style import ORANGE, SKY

RIGHT = {"ec": SKY, "ls": "-", "lw": 1.6}
WRONG = {"ec": ORANGE, "ls": "--", "lw": 1.8}
MISSED = {"ec": "white", "ls": ":", "lw": 1.4}


def plot_scenes(
    images: np.ndarray, judged: Sequence[Mapping], columns: int = 4, titles: Sequence[str] = ()
) -> tuple[Figure, np.ndarray]:
    """Scenes with what was found in them.

    Parameters
    ----------
    images : array
        uint8 ``(n, height, width, 3)``.
    judged : sequence of dict
        Of each scene ``boxes`` ``(k, 4)``, ``names`` (k texts) and ``right`` ``(k,)``; and, if any were missed, their
        boxes under ``missed``. Right boxes are drawn with a full line, wrong ones dashed and with a cross before the
        name, missed ones dotted.
    columns : int
    titles : sequence of str, optional

    Explained in notebook 14_try_detection.
    """
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.35 * rows), squeeze=False, layout="constrained", dpi=75
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, found in zip(axes.flat, images, judged, strict=False):
        ax.imshow(image)
        for box, name, right in zip(found["boxes"], found["names"], found["right"], strict=True):
            draw_box(ax, box, name if right else f"×{name}", RIGHT if right else WRONG)
        for box in found.get("missed", ()):
            draw_box(ax, box, "", MISSED)
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title, fontsize=9)
    return fig, axes


def draw_box(ax: Axes, box: Sequence[float], name: str, look: Mapping) -> None:
    """One box with its name at its upper left corner."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, **look))
    if name:
        ax.text(
            x0 - 0.5,
            max(y0 - 1.5, 4),
            name,
            fontsize=8,
            weight="bold",
            color="black",
            va="bottom",
            bbox={"fc": look["ec"], "ec": "none", "pad": 0.8},
        )
