"""The same images, made harder: rotated, or changed by any transform, with a seed an image.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Callable

import numpy as np
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from wiseft_nb.engine.batches import check_dataset, pair
from wiseft_nb.engine.compute import seeded
from wiseft_nb.errors import WiseftError


class Transformed(Dataset):
    """A dataset whose images are changed before they are preprocessed; labels stay.

    What the inner dataset asks for (``class_subset`` and the like) is asked for here too.

    Parameters
    ----------
    dataset : Dataset
        Map-style, yields ``(image, label)``.
    transform : function
        From an image to an image; may draw from torch's random numbers.
    seed : int
        Decides, with an image's index, what is drawn for it: the same in every order and process.

    Explained in notebook 09_choose_alpha.
    """

    def __init__(self, dataset: Dataset, transform: Callable, seed: int = 0):
        check_dataset(dataset)
        self.dataset, self.transform, self.seed = dataset, transform, seed
        self.indices = range(len(dataset))  # whose metrics and sources are passed on
        self.in_memory = getattr(dataset, "in_memory", False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple:
        image, label = pair(self.dataset[index])
        # torch's generator reads 32 bits of a seed: both numbers must be in them
        with seeded(int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])):
            return self.transform(image), label


def rotated(dataset: Dataset, degrees: float = 45, seed: int = 0) -> Transformed:
    """Every image turned by an angle of its own, between ``-degrees`` and ``degrees``; what is uncovered is black.

    A shift that needs no data: on images turned so far a model is often wrong, and shows how sure it then is.

    Parameters
    ----------
    dataset : Dataset
        Map-style, yields ``(image, label)``; images as PIL's, or tensors ``(..., height, width)``.
    degrees : float
        Above 0, at most 180.
    seed : int

    Examples
    --------
    >>> from wiseft_nb import load_benchmark
    >>> val = load_benchmark("digits").val
    >>> hard = rotated(val)
    >>> len(hard) == len(val), hard[3][1] == val[3][1], hard[3][0].size
    (True, True, (32, 32))

    Explained in notebook 09_choose_alpha.
    """
    if not 0 < degrees <= 180:
        raise WiseftError(f"degrees is {degrees}: expected a number above 0, at most 180")
    return Transformed(dataset, v2.RandomRotation(degrees, InterpolationMode.BILINEAR), seed)
