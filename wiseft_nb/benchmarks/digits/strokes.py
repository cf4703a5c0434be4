"""Strokes of a pen -> an image as MNIST's are: what somebody draws on a screen, in the benchmark's format.

MNIST's digits were fitted into a box of 20 pixels, keeping their shape, and set into 28 with their centre of mass in
the middle (LeCun et al. 1998); the benchmark enlarges them to 32.

Explained in notebook 03_interpolate.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from wiseft_nb.benchmarks.digits.digits import resize, to_images
from wiseft_nb.errors import WiseftError

BOX, SIDE, PEN, FINE = 20, 28, 2.6, 8  # pixels; the last: how many times finer the pen draws
Strokes = Sequence[Sequence[tuple[float, float]]]

# x to the right, y down, in any unit
EXAMPLES: dict[str, Strokes] = {
    "a seven": [[(3, 3), (17, 2), (13, 10), (9, 19)]],
    "a one with a long flag": [[(2, 10), (12, 2), (12, 19)]],
    "a seven with serif and bar": [[(3, 6), (3, 2), (17, 2), (9, 19)], [(6, 11), (16, 10)]],
    "a letter A": [[(3, 19), (10, 2), (17, 19)], [(6, 13), (14, 13)]],
}


def strokes_to_image(strokes: Strokes) -> Image.Image:
    """Draw strokes with a pen as thick as MNIST's, white on black, in the size of the benchmark's images.

    How large they were drawn, and where, does not matter.

    Parameters
    ----------
    strokes : sequence of sequence of (x, y)
        The points that a pen went through from touching to lifting, x to the right and y down; one point is a dot.

    Returns
    -------
    PIL.Image.Image
        Grey levels in RGB, 32 x 32.

    Raises
    ------
    WiseftError
        If there is no point.

    Examples
    --------
    >>> strokes_to_image([[(10, 0), (10, 50)]]).size
    (32, 32)

    Explained in notebook 03_interpolate.
    """
    points = [np.asarray(stroke, dtype=float).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not points:
        raise WiseftError("there is no stroke: draw something first")
    low, high = np.concatenate(points).min(axis=0), np.concatenate(points).max(axis=0)
    scale = FINE * (BOX - PEN) / max((high - low).max(), 1e-9)
    drawn = Image.new("L", (SIDE * FINE, SIDE * FINE))
    pen, radius = ImageDraw.Draw(drawn), FINE * PEN / 2
    for stroke in points:
        fitted = [tuple(point) for point in (stroke - (low + high) / 2) * scale + SIDE * FINE / 2]
        pen.line(fitted, fill=255, width=round(2 * radius))
        for x, y in fitted:  # round ends and corners
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    ink = np.asarray(drawn, dtype=np.float32).reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3)) / 255
    centre = (np.average(np.arange(SIDE), weights=ink.sum(axis=axis)) for axis in (1, 0))
    margin = (SIDE - BOX) // 2  # never moved over the edge
    ink = np.roll(ink, [min(max(round(SIDE / 2 - place), -margin), margin) for place in centre], axis=(0, 1))
    return Image.fromarray(to_images(resize(torch.from_numpy(ink)[None]))[0])
