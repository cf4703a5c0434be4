"""LoRA with alpha: train a low-rank step, merge it into full weights, and interpolate those.

Needs peft: ``pip install wiseft-nb[lora]``.

Explained in notebook 10_go_beyond.
"""

import copy
from collections.abc import Iterator, Sequence
from types import ModuleType

from open_clip.modified_resnet import AttentionPool2d
from torch import nn

from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier, check_classifier

ADAPTER, BASE = "lora_", "base_layer."


def peft() -> ModuleType:
    """The library, which is imported when it is first needed: it takes seconds."""
    try:
        import peft as library
    except ImportError:
        raise WiseftError("LoRA needs the package peft: pip install wiseft-nb[lora]") from None
    return library


def convolutions(encoder: nn.Module) -> list[str]:
    """The names of all convolutions of an encoder: what LoRA adapts in a ResNet."""
    return [name for name, layer in encoder.named_modules() if isinstance(layer, nn.Conv2d)]


def with_lora(
    zero_shot: ImageClassifier,
    r: int = 8,
    scale: float = 1.0,
    targets: Sequence[str] | None = None,
    train_head: bool = True,
    **config: object,
) -> ImageClassifier:
    """A copy whose encoder is frozen but for a low-rank step in some layers: W_0 + scale B A.

    LoRA (Hu et al. 2022, arXiv 2106.09685, equation 3; ``scale`` is their alpha / r, another alpha than
    WiSE-FT's). B begins at 0, so it says what zero-shot says. Fine-tune it as any classifier, then ``merged``.

    Parameters
    ----------
    zero_shot : ImageClassifier
        Not changed.
    r : int
        Rank of the step; 1 or more.
    scale : float
        Above 0.
    targets : sequence of str, optional
        Full names of layers of the encoder; by default all its convolutions.
    train_head : bool
        Whether the head trains too, in full.
    **config
        More of peft's ``LoraConfig``, such as ``use_dora=True`` or ``use_rslora=True``.

    Raises
    ------
    WiseftError
        If peft is not installed, a layer is not there, or lies in open_clip's attention pool, which reads its
        projections' weights past LoRA: the step would train nothing and change nothing.

    Explained in notebook 10_go_beyond.
    """
    check_classifier(zero_shot)
    if r < 1 or not scale > 0:
        raise WiseftError(f"r is {r} and scale {scale}: expected a whole number, 1 or more, and a number above 0")
    library, classifier = peft(), copy.deepcopy(zero_shot)
    targets = list(targets) if targets is not None else convolutions(classifier.image_encoder)
    check_targets(classifier.image_encoder, targets)
    # rsLoRA divides by the square root of r instead
    lora_alpha = scale * (r**0.5 if config.get("use_rslora") else r)
    # all names at once as one pattern: peft takes a list for endings
    pattern = "|".join(name.replace(".", r"\.") for name in targets)
    how = library.LoraConfig(r=r, lora_alpha=lora_alpha, target_modules=f"(?:{pattern})", **config)
    classifier.requires_grad_(False)
    library.inject_adapter_in_model(how, classifier.image_encoder)
    classifier.classification_head.requires_grad_(train_head)
    return classifier.eval()


def check_targets(encoder: nn.Module, targets: Sequence[str]) -> None:
    """Refuse layers that are not there, and those that LoRA cannot reach."""
    layers = dict(encoder.named_modules())
    pools = [name for name, layer in layers.items() if isinstance(layer, AttentionPool2d)]
    if not targets:
        raise WiseftError("there is no layer for LoRA: name some in targets=[...]")
    for name in targets:
        if name not in layers:
            raise WiseftError(
                f"the encoder has no layer {name!r}: give full names, such as {convolutions(encoder)[:2]}"
            )
        if any(name.startswith(f"{pool}.") for pool in pools):
            raise WiseftError(
                f"{name} belongs to open_clip's attention pool, which reads its projections' weights itself, so LoRA on "
                "it is ignored: adapt convolutions"
            )


def adapted(classifier: ImageClassifier) -> Iterator[tuple[str, nn.Module]]:
    """The layers that have a low-rank step, by name."""
    for name, layer in classifier.image_encoder.named_modules():
        if hasattr(layer, "merge") and hasattr(layer, "base_layer"):
            yield name, layer


def merged(classifier: ImageClassifier, zero_shot: ImageClassifier) -> ImageClassifier:
    """An ordinary classifier with every low-rank step added to its layer, to be interpolated as any other.

    Merge first, then interpolate or average. For plain LoRA that is the same as scaling the step (peft's
    ``rescale_adapter_scale``); for DoRA, whose weights are normalised by what is added, it is not. And peft's
    ``add_weighted_adapter`` averages neither rsLoRA's nor DoRA's weights.

    Parameters
    ----------
    classifier : ImageClassifier
        Of ``with_lora``, fine-tuned; not changed.
    zero_shot : ImageClassifier
        What it was made of: its architecture, without LoRA.

    Explained in notebook 10_go_beyond.
    """
    copied, plain = copy.deepcopy(classifier), copy.deepcopy(zero_shot)
    layers = list(adapted(copied))
    if not layers:
        raise WiseftError("the classifier has no low-rank step to merge: make one with with_lora(zero_shot)")
    for _, layer in layers:
        layer.merge(safe_merge=True)
    state = {name.replace(BASE, ""): t for name, t in copied.state_dict().items() if ADAPTER not in name}
    plain.load_state_dict(state)
    plain.history = list(classifier.history)
    return plain.eval()


def trained(classifier: nn.Module) -> int:
    """How many weights train."""
    return sum(parameter.numel() for parameter in classifier.parameters() if parameter.requires_grad)
