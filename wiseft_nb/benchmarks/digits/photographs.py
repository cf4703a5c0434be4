"""Pieces of photographs that ship with packages, to blend digits into.

Explained in notebook 00_start_here.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.benchmarks.digits.draw import SIZE, Dice


@functools.cache
def photographs() -> tuple[Tensor, ...]:
    """Six photographs that scikit-learn and scikit-image ship, each ``(3, height, width)`` in [0, 1]."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    arrays = [*load_sample_images().images, data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    return tuple(torch.from_numpy(np.array(a)).permute(2, 0, 1).float() / 255 for a in arrays)


def photo_patches(n: int, dice: Dice) -> Tensor:
    """Square pieces of photographs, 32 to 200 pixels wide, shrunk to ``(n, 3, SIZE, SIZE)``."""
    patches = []
    for _ in range(n):
        picture = photographs()[dice.integers(len(photographs()), 1)]
        side = 32 + int(dice.integers(168, 1))
        top, left = (int(dice.integers(length - side, 1)) for length in picture.shape[1:])
        piece = picture[None, :, top : top + side, left : left + side]
        patches.append(F.interpolate(piece, size=(SIZE, SIZE), mode="area")[0])
    return torch.stack(patches)
