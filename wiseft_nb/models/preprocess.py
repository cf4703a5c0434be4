"""Raw inputs -> a batch: a transform for each, or inputs that are ready. Nothing is ever normalised twice.

Explained in notebook 01_build_zero_shot.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision import transforms
from torchvision.transforms import v2

from wiseft_nb.benchmarks.images import upright_rgb
from wiseft_nb.engine.nested import Batch
from wiseft_nb.errors import WiseftError

Transform = Callable[[object], Batch]  # one raw input -> a tensor, or a dict of tensors


def transform_all(transform: Transform | None, inputs: Sequence) -> Batch:
    """Each raw input transformed, as one batch; inputs that are ready as they are.

    CLIP's transforms end in ToTensor and Normalize. Those are taken once for the whole batch: the same
    numbers, in a fraction of the time that small images take one by one.
    """
    if transform is None:
        return default_collate(list(inputs))
    steps = getattr(transform, "transforms", [])
    if any(isinstance(step, transforms.Normalize | v2.Normalize) for step in steps):
        inputs = [image_of(value) for value in inputs]
        if (
            len(steps) > 2
            and isinstance(steps[-2], transforms.ToTensor)
            and isinstance(steps[-1], transforms.Normalize)
        ):
            to_size = transforms.Compose(steps[:-2])
            sized = [to_size(image) for image in inputs]
            if all(isinstance(image, Image.Image) and image.mode == "RGB" for image in sized):
                pixels = torch.from_numpy(np.stack([np.asarray(image) for image in sized]))
                return steps[-1](pixels.permute(0, 3, 1, 2).contiguous().float().div(255))
    return default_collate([transform(value) for value in inputs])


def image_of(value: object) -> Image.Image:
    """An upright RGB image for a transform of images; a tensor would be normalised a second time."""
    if isinstance(value, Image.Image):
        return upright_rgb(value)
    if isinstance(value, Tensor):
        raise WiseftError(
            "the dataset yields tensors, but the classifier preprocesses images itself and would normalise them again: "
            "leave the dataset's transform out, or, if its tensors are ready, set classifier.preprocess and "
            "classifier.augment to None"
        )
    raise WiseftError(
        f"the dataset yields a {type(value).__name__}, but the classifier's preprocessing expects a PIL image: "
        "make one with PIL.Image.fromarray or PIL.Image.open"
    )
