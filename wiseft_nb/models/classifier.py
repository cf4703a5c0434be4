"""A classifier: an encoder, a classification head, and the preprocessing that belongs to them.

Explained in notebook 01_build_zero_shot.
"""

import contextlib
import copy
import json
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from PIL import Image
from torch import Tensor, nn

from wiseft_nb.engine.cache import fingerprint, without_addresses
from wiseft_nb.engine.compute import EXACT, Compute, evaluating
from wiseft_nb.engine.nested import Batch
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.preprocess import Transform, transform_all


class ClassificationHead(nn.Linear):
    """A linear layer on features of unit length.

    Parameters
    ----------
    weights : Tensor
        ``(classes, dim)``, such as ``zero_shot_head`` gives. The bias starts at zero.

    Explained in notebook 01_build_zero_shot.
    """

    def __init__(self, weights: Tensor):
        super().__init__(weights.shape[1], weights.shape[0], device=weights.device)
        self.weight = nn.Parameter(weights.detach().clone().float())
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(F.normalize(features, dim=-1))


class ImageClassifier(nn.Module):
    """An encoder and a classification head; its preprocessing travels with it.

    Maps a batch to logits ``(n, classes)``. ``collate`` makes the batch of raw inputs: of images
    ``(n, 3, size, size)``. Nothing in it is about images alone: with another ``preprocess`` inputs may be
    texts, or features computed beforehand. Field names follow the reference code (mlfoundations/wise-ft,
    ``src/models/modeling.py``).

    Parameters
    ----------
    image_encoder : nn.Module
        Inputs to features ``(n, dim)``; ``nn.Identity()`` for features computed beforehand.
    classification_head : nn.Module
        Features to logits: a ``ClassificationHead``, which makes them unit length first, a plain
        ``nn.Linear``, or any other.
    preprocess : function, optional
        A raw input, such as a PIL image, to a tensor or a dict of tensors. None if inputs are ready.
    augment : function, optional
        The same with random crops and the like, for training; by default ``preprocess``.
    class_names : sequence of str
        In the order of the logits.
    config : dict, optional
        open_clip's ``model_cfg`` and ``preprocess_cfg``: what is needed to build the encoder again.

    Attributes
    ----------
    history : list of dict
        How it was fine-tuned, a row an epoch; empty if it was not.

    Explained in notebook 01_build_zero_shot.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        classification_head: nn.Module,
        preprocess: Transform | None = None,
        augment: Transform | None = None,
        class_names: Sequence[str] = (),
        config: dict | None = None,
    ):
        super().__init__()
        if not class_names:
            raise WiseftError("a classifier needs class_names, in the order of its logits: pass class_names=[...]")
        self.image_encoder, self.classification_head = image_encoder, classification_head
        self.preprocess, self.augment = preprocess, augment or preprocess
        self.class_names, self.config = tuple(class_names), config
        self.history: list[dict] = []

    @classmethod
    def of(
        cls,
        network: nn.Module,
        preprocess: Transform | None,
        class_names: Sequence[str],
        augment: Transform | None = None,
        example: Batch | None = None,
    ) -> "ImageClassifier":
        """Any network that ends in a linear layer, such as torchvision's and timm's: that layer is the head.

        Parameters
        ----------
        network : nn.Module
            Copied; the copy's last linear layer is taken out.
        preprocess, class_names, augment
            As for the class itself.
        example : batch, optional
            To see that encoder and head give what the network gave; by default a grey image, preprocessed.

        Raises
        ------
        WiseftError
            If there is no linear layer at the end, or it has not one output a class.
        """
        encoder = copy.deepcopy(network)
        linear = [name for name, layer in encoder.named_modules() if type(layer) is nn.Linear]
        if not linear:
            raise WiseftError(
                f"{type(network).__name__} has no linear layer to be the head: pass encoder and head apart"
            )
        parent, _, leaf = linear[-1].rpartition(".")
        head = getattr(encoder.get_submodule(parent), leaf)
        setattr(encoder.get_submodule(parent), leaf, nn.Identity())
        if head.out_features != len(class_names):
            raise WiseftError(
                f"{linear[-1]} has {head.out_features} outputs, but there are {len(class_names)} class names: give one each"
            )
        classifier = cls(encoder, head, preprocess, augment, class_names)
        if example is None:
            example = classifier.collate([Image.new("RGB", (256, 256), (200, 100, 50))])
        with torch.no_grad(), evaluating(network, classifier):
            expected, found = network(example), classifier(example)
        if not (isinstance(expected, Tensor) and torch.equal(expected, found)):
            raise WiseftError(
                f"{type(network).__name__} does not end in its linear layer {linear[-1]}: pass encoder and head apart"
            )
        return classifier.eval()

    def forward(self, inputs: Batch) -> Tensor:
        return self.classification_head(self.image_encoder(inputs))

    def collate(self, inputs: Sequence, augment: bool = False) -> Batch:
        """A batch of raw inputs; with ``augment`` randomly cropped and the like, for training."""
        return transform_all(self.augment if augment else self.preprocess, inputs)

    @torch.no_grad()
    def predict(self, inputs: Sequence) -> list[str]:
        """The class name of each raw input, such as a PIL image."""
        with evaluating(self):
            logits = EXACT.prepare(self)(self.collate(inputs))
        check_logits(logits)
        return [self.class_names[i] for i in logits.argmax(1)]

    def content(self) -> Iterator[bytes]:
        """What its answers follow from, for the cache: the activation is no weight, but shows in the module's text."""
        texts = [without_addresses(repr(part)) for part in (self, self.preprocess, self.augment)]
        yield fingerprint(texts, json.dumps(self.config, default=list), self.class_names, self.state_dict()).encode()


@contextlib.contextmanager
def checkpointed(network: nn.Module, compute: Compute) -> Iterator[None]:
    """Let a tower of transformers compute activations again instead of keeping them, for a while."""
    tower = getattr(network, "image_encoder", None)
    if not compute.checkpointing or tower is None:
        yield
        return
    # open_clip's ResNets have the switch, but nothing behind it
    if isinstance(tower, ModifiedResNet) or not hasattr(tower, "set_grad_checkpointing"):
        raise WiseftError(f"{type(tower).__name__} has no gradient checkpointing: leave Compute(checkpointing) out")
    tower.set_grad_checkpointing(True)
    try:
        yield
    finally:
        tower.set_grad_checkpointing(False)


def check_classifier(*classifiers: nn.Module) -> None:
    """Refuse what is no classifier, such as a Clip or a plain network."""
    for classifier in classifiers:
        if not isinstance(classifier, ImageClassifier):
            raise WiseftError(
                f"expected an ImageClassifier, got a {type(classifier).__name__}: make one with zero_shot_classifier(clip, "
                "benchmark), or of any network that ends in a linear layer with ImageClassifier.of"
            )


def check_logits(logits: Tensor) -> None:
    """Refuse NaN, which argmax would take for an answer."""
    if logits.isnan().any():
        raise WiseftError(
            "the classifier's logits hold NaN: its weights or inputs are damaged; use weights from before training "
            "diverged, and images that are whole"
        )


def check_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Refuse NaN and infinity."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WiseftError(f"{name} of {what} holds NaN or infinity: use weights from before training diverged")
