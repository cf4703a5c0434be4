"""The picture of the slider that the course begins with: what is gained and lost along alpha, and some images.

Explained in notebook 00_start_here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from wiseft_nb.plots.style import MARKERS, ROLES, SERIES

if TYPE_CHECKING:
    from PIL.Image import Image

TILE, ROW = 36, 50  # pixels: an image with its edge, and an image with its answer below


def plot_flips(
    gained: pd.DataFrame, alpha: float, rows: "Mapping[str, Sequence[tuple[Image, object, object]]]"
) -> tuple[Figure, np.ndarray]:
    """Points gained since alpha 0 with a mark at ``alpha``, and images with the answers given there.

    Parameters
    ----------
    gained : pandas.DataFrame
        A column a group, alpha as index.
    alpha : float
    rows : mapping of str to sequence of (image, label, answer)
        A row of images a name; a wrong answer is white in a box.

    Explained in notebook 00_start_here.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 2.7), width_ratios=(1, 1.9), layout="constrained")
    for place, (name, points) in enumerate(gained.items()):
        left.plot(points.index, points, color=SERIES[place], label=name)
        left.plot(alpha, points[alpha], MARKERS[place], color=SERIES[place], ms=9, mec="black")
    left.axvline(alpha, color="0.5", lw=1, zorder=0)
    left.set(xlabel=r"$\alpha$   (0 zero-shot, 1 fine-tuned)", ylabel="points gained")
    left.legend(fontsize=9, loc="lower left")
    sns.despine(ax=left)
    sheet = np.full((ROW * len(rows), TILE * max(map(len, rows.values())), 3), 255, dtype=np.uint8)
    for down, row in enumerate(rows.values()):
        for across, (image, label, answer) in enumerate(row):
            y, x, wrong = ROW * down + 2, TILE * across + 2, answer != label
            sheet[y : y + 32, x : x + 32] = np.asarray(image.convert("RGB").resize((32, 32)))
            box = dict(boxstyle="round,pad=0.15", fc=ROLES["interpolated"]["color"] if wrong else "none", ec="none")
            ink = "white" if wrong else "black"
            right.text(x + 16, y + 39, str(answer), ha="center", va="center", color=ink, weight="bold", bbox=box)
    right.imshow(sheet, interpolation="nearest")
    right.set_xticks([])
    right.set_yticks([ROW * i + 17 for i in range(len(rows))], rows)
    right.tick_params(length=0)
    right.set_title("answers at this alpha; white in a box: wrong")
    sns.despine(ax=right, left=True, bottom=True)
    return fig, np.array([left, right])
