"""Names beside points, none over another.

Explained in notebook 05_redraw_the_paper.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

FAR = 14  # points from a dot beyond which a thin line leads back to it


def name_points(ax: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], **style) -> list[Annotation]:
    """Write a name beside each point, at the nearest free place around it.

    A place is free where the name covers no other name, no point and no edge of the plot. Call it last, once
    the limits of the axes are set. A name with no free place near it is written at its first place.

    Parameters
    ----------
    ax : Axes
    x, y : sequence of float
        In the units of the axes.
    names : sequence of str
    **style
        For ``ax.annotate``, such as ``fontsize``.

    Returns
    -------
    list of Annotation
        One for each name, in their order.

    Explained in notebook 05_redraw_the_paper.
    """
    pixel = ax.figure.dpi / 72  # of one point
    dots = ax.transData.transform(np.column_stack([x, y]).astype(float))
    taken = [Bbox.from_extents(*(dot - 4 * pixel), *(dot + 4 * pixel)) for dot in dots]
    texts = []
    for i, name in enumerate(names):
        text = ax.annotate(name, (x[i], y[i]), xytext=(0, 0), textcoords="offset points", va="center", **style)
        size = text.get_window_extent()
        places = around(size.width / pixel, size.height / pixel)
        boxes = [Bbox.from_bounds(*(dots[i] + pixel * place - [0, size.height / 2]), *size.size) for place in places]
        others = taken[:i] + taken[i + 1 :]
        free = (k for k, box in enumerate(boxes) if inside(box, ax.bbox) and not box.count_overlaps(others))
        best = next(free, 0)
        text.set_position(places[best])
        taken.append(boxes[best])
        texts.append(text)
        away = np.hypot(*(np.clip(dots[i], boxes[best].min, boxes[best].max) - dots[i])) / pixel
        if away > FAR:
            end = np.clip(dots[i], boxes[best].min, boxes[best].max)
            ax.annotate("", (x[i], y[i]), end, "data", "figure pixels", arrowprops=dict(arrowstyle="-", lw=0.5))
    return texts


def around(width: float, height: float) -> np.ndarray:
    """Places of a name's left edge and middle, in points from its dot, the nearest first: ``(places, 2)``."""
    places = []
    for gap in range(6, 60, 6):
        for up in (0, 0.6, -0.6, 1, -1):
            side = gap * (1 - 0.5 * abs(up))
            rise = up * (gap + height / 2)
            places += [(side, rise), (-side - width, rise)]
        places += [(-width / 2, gap + height / 2), (-width / 2, -gap - height / 2)]
    return np.array(places)


def inside(box: Bbox, frame: Bbox) -> bool:
    """Whether a box lies within another."""
    return bool((box.min >= frame.min).all() and (box.max <= frame.max).all())
