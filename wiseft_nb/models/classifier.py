"""A classifier: an image encoder, a classification head, and the preprocessing that belongs to them.

Explained in notebook 01_build_zero_shot.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize, ToTensor

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.errors import WiseftError


class ClassificationHead(nn.Linear):
    """A linear layer on features of unit length.

    Parameters
    ----------
    weights : Tensor
        ``(classes, dim)``, such as ``zero_shot_head`` gives. The bias starts at zero.

    Explained in notebook 01_build_zero_shot.
    """

    def __init__(self, weights: Tensor):
        super().__init__(weights.shape[1], weights.shape[0])
        self.weight = nn.Parameter(weights.detach().clone().float())
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(F.normalize(features, dim=-1))


class ImageClassifier(nn.Module):
    """An image encoder and a classification head; its preprocessing travels with it.

    Maps a batch ``(n, 3, size, size)`` to logits ``(n, classes)``. ``collate`` makes the batch of PIL
    images. Field names follow the reference code (mlfoundations/wise-ft, ``src/models/modeling.py``).

    Attributes
    ----------
    class_names : tuple of str
    config : dict
        open_clip's ``model_cfg`` and ``preprocess_cfg``: what is needed to build the encoder again.
    history : list of dict
        How it was fine-tuned, a row an epoch; empty if it was not.

    Explained in notebook 01_build_zero_shot.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        classification_head: ClassificationHead,
        preprocess: Callable[[Image.Image], Tensor],
        augment: Callable[[Image.Image], Tensor],
        class_names: Sequence[str],
        config: dict,
    ):
        super().__init__()
        self.image_encoder, self.classification_head = image_encoder, classification_head
        self.preprocess, self.augment = preprocess, augment
        self.class_names, self.config = tuple(class_names), config
        self.history: list[dict] = []

    def forward(self, images: Tensor) -> Tensor:
        return self.classification_head(self.image_encoder(images))

    def collate(self, images: Sequence[Image.Image], augment: bool = False) -> Tensor:
        """A batch ``(n, 3, size, size)`` from PIL images; with ``augment`` randomly cropped, for training."""
        return transform_all(self.augment if augment else self.preprocess, images)

    @torch.no_grad()
    def predict(self, images: Sequence[Image.Image]) -> list[str]:
        """The class name of each PIL image."""
        return [self.class_names[i] for i in self.eval()(self.collate(images)).argmax(1)]


def transform_all(transform: Callable[[Image.Image], Tensor], images: Sequence[Image.Image]) -> Tensor:
    """Each image transformed, as one tensor.

    CLIP's transforms end in ToTensor and Normalize. Those are taken once for the whole batch: the same
    numbers, in a fraction of the time that small images take one by one.
    """
    steps = getattr(transform, "transforms", [])
    if len(steps) > 2 and isinstance(steps[-2], ToTensor) and isinstance(steps[-1], Normalize):
        to_size = Compose(steps[:-2])
        sized = [to_size(image) for image in images]
        if all(isinstance(image, Image.Image) and image.mode == "RGB" for image in sized):
            pixels = torch.from_numpy(np.stack([np.asarray(image) for image in sized]))
            return steps[-1](pixels.permute(0, 3, 1, 2).contiguous().float().div(255))
    return torch.stack([transform(image) for image in images])


def check_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Refuse NaN and infinity."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WiseftError(f"{name} of {what} holds NaN or infinity: use weights from before training diverged")


def check_classes(classifier: ImageClassifier, benchmark: Benchmark) -> None:
    """Refuse a benchmark whose classes, or their order, are not the classifier's."""
    ours, theirs = tuple(classifier.class_names), tuple(benchmark.class_names)
    if ours != theirs:
        where = next(
            (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
        )
        raise WiseftError(
            f"the classifier's {len(ours)} classes are not the {len(theirs)} of benchmark {benchmark.name}, or stand in "
            f"another order, first at number {where}: build the classifier from this benchmark's class names"
        )
