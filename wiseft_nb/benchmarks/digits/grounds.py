"""Photographs to stand behind scenes: some for the proposals to learn on, others for the shift.

Explained in notebook 14_try_detection.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.benchmarks.digits.draw import Dice
from wiseft_nb.benchmarks.digits.scenes import SIDE
from wiseft_nb.errors import unknown

# scikit-image's names; its pages of text hold characters and stay out
GROUNDS = {
    "learned": ("coffee", "chelsea", "grass", "gravel", "camera", "hubble_deep_field", "immunohistochemistry", "moon"),
    "unseen": ("china", "flower", "astronaut", "rocket", "brick", "coins", "retina"),
}
SMALLEST = 100  # side of a piece, in pixels of the photograph


@functools.cache
def grounds(which: str) -> tuple[Tensor, ...]:
    """Photographs that scikit-learn and scikit-image ship, each ``(3, height, width)`` in [0, 1].

    Parameters
    ----------
    which : {"learned", "unseen"}
        Those that the proposals' training scenes stand on, or those that no training ever shows.

    Explained in notebook 14_try_detection.
    """
    from skimage import data
    from sklearn.datasets import load_sample_image

    if which not in GROUNDS:
        raise unknown("group of photographs", which, GROUNDS)
    found = []
    for name in GROUNDS[which]:
        pixels = load_sample_image(f"{name}.jpg") if name in ("china", "flower") else getattr(data, name)()
        picture = torch.from_numpy(np.array(pixels)).float() / 255
        picture = picture[..., None].expand(-1, -1, 3) if picture.ndim == 2 else picture
        found.append(picture.permute(2, 0, 1).contiguous())
    return tuple(found)


def pieces(n: int, dice: Dice, which: str) -> Tensor:
    """Square pieces of such photographs, at least ``SMALLEST`` wide, ``(n, 3, SIDE, SIDE)``."""
    found = []
    for _ in range(n):
        picture = grounds(which)[int(dice.integers(len(grounds(which)), 1))]
        side = SMALLEST + int(dice.integers(min(picture.shape[1:]) - SMALLEST, 1))
        top, left = (int(dice.integers(length - side + 1, 1)) for length in picture.shape[1:])
        piece = picture[None, :, top : top + side, left : left + side]
        found.append(F.interpolate(piece, size=(SIDE, SIDE), mode="area")[0])
    return torch.stack(found)
