"""What a saved classifier is built from again, and what of a classifier cannot be: names, shapes, parts of its own.

Explained in notebook 03_interpolate.
"""

import copy
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from wiseft_nb.engine.cache import without_addresses
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier, check_finite
from wiseft_nb.models.open_clip_parts import build_image_encoder, build_transforms


def as_json(about: dict) -> dict:
    """A dictionary as it comes back from JSON."""

    def plain(value: object) -> object:
        return value.tolist() if hasattr(value, "tolist") else list(value)  # numbers of numpy and torch; tuples, sets

    try:
        return json.loads(json.dumps(about, default=plain))
    except (TypeError, ValueError) as error:
        raise WiseftError(
            f"config, class names or history cannot be written as JSON ({reason(error)}): use texts and numbers"
        ) from error


def build_classifier(about: dict, state: Mapping[str, Tensor]) -> ImageClassifier:
    """A classifier from what ``classifier.json`` says, and a state dict that fits it."""
    with torch.device("meta"):  # shapes without memory: an absurd configuration costs nothing
        check_state(untrained(about["config"], about["class_names"]).state_dict(), state, "the weights")
    classifier = untrained(about["config"], about["class_names"])
    classifier.load_state_dict(state)
    return classifier.eval()


def untrained(config: dict, class_names: Sequence[str]) -> ImageClassifier:
    """The classifier that a configuration describes, before its weights are loaded."""
    head = ClassificationHead(torch.zeros(len(class_names), config["model_cfg"]["embed_dim"]))
    preprocess, augment = build_transforms(config["preprocess_cfg"])
    encoder = build_image_encoder(config["model_cfg"])
    return ImageClassifier(encoder, head, preprocess, augment, class_names, config)


def copied(like: ImageClassifier, about: dict, state: Mapping[str, Tensor]) -> ImageClassifier:
    """A copy of ``like`` with the saved weights, if it is what was saved."""
    if list(like.class_names) != about["class_names"]:
        raise WiseftError("the class names differ, or their order: build like from the same list of classes")
    theirs = about.get("parts", {})
    for part, text in parts_of(like).items():
        if theirs.get(part, text) != text:
            raise WiseftError(
                f"the {part} of what was saved is {excerpt(theirs[part], text)}, that of like is "
                f"{excerpt(text, theirs[part])}: pass a classifier that has the same"
            )
    classifier = copy.deepcopy(like)
    check_state(classifier.state_dict(), state, "the weights")
    classifier.load_state_dict(state)
    return classifier.eval()


def excerpt(text: str, other: str) -> str:
    """A text from a little before it differs from another."""
    start = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    return repr(text[max(0, start - 30) : start + 60])


def parts_of(classifier: ImageClassifier) -> dict[str, str]:
    """What weights do not tell: the kinds of the layers, and the transforms."""
    network = " ".join(type(module).__name__ for module in classifier.modules())
    return {"network": network, "preprocess": text_of(classifier.preprocess), "augment": text_of(classifier.augment)}


def text_of(thing: object) -> str:
    """What a module or transform says of itself, without addresses; a list reads like a tuple."""
    return without_addresses(repr(thing)).replace("[", "(").replace("]", ")")


def own_parts(classifier: ImageClassifier) -> list[str]:
    """What ``load_classifier`` would not build from the config as it is: encoder or head, preprocess, augment."""
    try:
        with torch.device("meta"):
            built = untrained(as_json(classifier.config), classifier.class_names)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError):  # of another kind, or none
        return ["encoder or head", "preprocess", "augment"]
    shapes = [{name: t.shape for name, t in x.state_dict().items()} for x in (built, classifier)]
    differ = {
        "encoder or head": shapes[0] != shapes[1] or text_of(built) != text_of(classifier),
        "preprocess": text_of(built.preprocess) != text_of(classifier.preprocess),
        "augment": text_of(built.augment) != text_of(classifier.augment),
    }
    return [part for part, own in differ.items() if own]


def check_float32(state: Mapping[str, Tensor]) -> None:
    """Refuse weights of another precision: they would come back as others."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise WiseftError(f"{name} is {tensor.dtype}, expected float32: call classifier.float() first")


def check_state(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> None:
    """Refuse a state dict whose names, shapes or dtypes are not the expected ones, or with NaN or infinity."""
    missing, extra = [name for name in expected if name not in state], [name for name in state if name not in expected]
    if missing or extra:
        lists = [f"{verb} {', '.join(names[:3])}" for verb, names in (("lack", missing), ("also hold", extra)) if names]
        raise WiseftError(f"{what} {' and '.join(lists)}: expected the keys of this architecture, all and only")
    for name, tensor in expected.items():
        other = state[name]
        if (tensor.shape, tensor.dtype) != (other.shape, other.dtype):
            raise WiseftError(
                f"{name} of {what} is {other.dtype} {tuple(other.shape)}, expected {tensor.dtype} "
                f"{tuple(tensor.shape)}: use weights of this architecture and this list of classes"
            )
    check_finite(state, what)
