"""Weights from and for other code: the reference code, model soups, open_clip. Nothing is ever executed.

Explained in notebook 03_interpolate.
"""

import copy
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import open_clip
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from safetensors.torch import save
from torch import Tensor

from wiseft_nb.benchmarks.base import check_class_names
from wiseft_nb.engine.compute import device_of
from wiseft_nb.engine.files import expanded, independent, write_whole
from wiseft_nb.engine.processes import is_main
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier, check_classifier
from wiseft_nb.models.clip import Clip
from wiseft_nb.models.clip_files import read_weights
from wiseft_nb.weights.rebuild import check_float32, check_state, own_parts

OURS = "image_encoder."
OPENAI = ("image_encoder.model.", "model.")  # the reference code, model soups: around OpenAI's whole CLIP
HEAD = "classification_head."
# what OpenAI's CLIP holds beside its image tower
TEXT = ("token_embedding.", "positional_embedding", "ln_final.", "text_projection", "logit_scale", "transformer.")


def import_classifier(
    path: str | Path, clip: Clip, class_names: Sequence[str], quick_gelu: bool = True
) -> ImageClassifier:
    """A classifier from a state dict that the reference code, model soups or this package saved.

    Reads ``torch.save(model.state_dict(), path)`` and safetensors, with keys as in mlfoundations/wise-ft
    (``image_encoder.model.visual.*``), mlfoundations/model-soups (``model.visual.*``) or this package
    (``image_encoder.*``), each with ``classification_head.*``; a leading ``module.`` is dropped, and so
    is the text tower. Half precision becomes float32; a head without bias gets zeros. Features are
    normalised before the head, as both repositories do. Where weights were mixed by the formula alone, the
    counter of batches in BatchNorm has become a fraction; it is rounded, and nothing computes with it.

    Parameters
    ----------
    path : str or Path
    clip : Clip
        Of the same architecture; its preprocessing goes with the classifier.
    class_names : sequence of str
        In the order of the head's rows.
    quick_gelu : bool
        Whether a vision transformer in the layout of the other repositories was trained with the
        activation of OpenAI's CLIP, which no state dict records. Must be what ``clip`` has.

    Raises
    ------
    WiseftError
        If the file is a pickled module, or damaged, or its keys, shapes, dtypes or activation are not
        the clip's, or its head has not one row a class.

    Explained in notebook 03_interpolate.
    """
    path = expanded(path)
    check_class_names(class_names)
    state = read_state(path)
    encoder = copy.deepcopy(clip.model.visual)
    if not any(name.startswith(OURS) and not name.startswith(OPENAI) for name in state):
        check_activation(path, clip, quick_gelu)
        state = without_text_tower(state)
    head = ClassificationHead(torch.zeros(len(class_names), clip.config["model_cfg"]["embed_dim"]))
    state.setdefault(HEAD + "bias", torch.zeros(len(class_names)))
    classifier = ImageClassifier(encoder, head, clip.preprocess, clip.augment, class_names, clip.config)
    check_state(classifier.state_dict(), state, str(path))
    classifier.load_state_dict(state)
    return classifier.to(device_of(clip.model)).eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, half precision made float32 and the counters of BatchNorm whole numbers."""
    if not path.is_file():
        raise WiseftError(f"{path} is no file: expected a state dict, .safetensors or written by torch.save")
    return {name: as_trained(name, tensor) for name, tensor in read_weights(path).items()}


def as_trained(name: str, tensor: Tensor) -> Tensor:
    """A tensor in the dtype networks have: mixing by the formula alone makes the counter of batches a fraction."""
    if name.endswith("num_batches_tracked") and tensor.is_floating_point() and tensor.isfinite().all():
        return tensor.round().long()
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_text_tower(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys around OpenAI's whole CLIP -> ours; what is neither image tower, text tower nor head stays as it is."""
    prefix = OPENAI[0] if any(name.startswith(OPENAI[0]) for name in state) else OPENAI[1]
    text = tuple(prefix + name for name in TEXT)
    return {
        OURS + name.removeprefix(prefix + "visual.") if name.startswith(prefix + "visual.") else name: tensor
        for name, tensor in state.items()
        if not name.startswith(text)
    }


def check_activation(path: Path, clip: Clip, quick_gelu: bool) -> None:
    """Refuse another activation than the weights were trained with: they would load, and answer wrongly."""
    tower = clip.model.visual
    has = any(isinstance(module, QuickGELU) for module in tower.modules())
    # open_clip's other towers never use it: ResNets have ReLU, timm's their own
    if isinstance(tower, VisionTransformer) and has != quick_gelu:
        raise WiseftError(
            f"{path} was trained with {'QuickGELU' if quick_gelu else 'GELU'}, but {clip.name} computes with "
            f"{'QuickGELU' if has else 'GELU'}: load a clip with quick_gelu {str(quick_gelu).lower()} in its model_cfg, "
            f"such as ViT-B-32{'-quickgelu' if quick_gelu else ''}, or pass quick_gelu={has} if the weights are of that kind"
        )


def export_to_open_clip(classifier: ImageClassifier, clip: Clip, folder: str | Path) -> Path:
    """Write the folder that ``open_clip.create_model_and_transforms("local-dir:…")`` reads.

    The classifier's image tower joins the clip's text tower; the head is left out: open_clip makes one
    from prompts. It is written beside its place first, and open_clip must compute the same features.

    Raises
    ------
    WiseftError
        If classifier and clip are of different architectures, the clip has a tokenizer of its own, or
        the files cannot be written.

    Explained in notebook 03_interpolate.
    """
    check_classifier(classifier)
    folder = expanded(folder)
    if own := set(own_parts(classifier)) - {"augment"}:
        raise WiseftError(
            f"{' and '.join(sorted(own))} of this classifier cannot be built from its config, so open_clip could not "
            "either: export a classifier that was made from a clip"
        )
    check_float32(classifier.state_dict())
    for key in ("embed_dim", "vision_cfg", "quick_gelu"):
        ours, theirs = (json.dumps(x.config["model_cfg"].get(key) or None, sort_keys=True) for x in (classifier, clip))
        if ours != theirs:
            raise WiseftError(
                f"the classifier's {key} is {ours}, but that of {clip.name} is {theirs}: "
                "pass the clip the classifier was made from"
            )
    if not isinstance(clip.tokenizer, open_clip.SimpleTokenizer):
        raise WiseftError(
            f"{clip.name} has a tokenizer of its own ({type(clip.tokenizer).__name__}), which is not exported: "
            "export a CLIP with open_clip's SimpleTokenizer"
        )
    tower = {f"visual.{name}": tensor for name, tensor in classifier.image_encoder.state_dict().items()}
    state = clip.model.state_dict()
    check_state({name: state[name] for name in state if name.startswith("visual.")}, tower, "the classifier")
    config = {"model_cfg": clip.config["model_cfg"], "preprocess_cfg": classifier.config["preprocess_cfg"]}
    content = json.dumps(config, indent=2, default=list).encode()
    weights = save(independent(state | tower))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="checking-") as beside:
            write_export(Path(beside), weights, content)
            check_export(classifier, Path(beside))
    except OSError as error:
        raise WiseftError(f"{folder.parent} cannot be written ({error.strerror}): choose another folder") from error
    write_export(folder, weights, content)
    return folder


def write_export(folder: Path, weights: bytes, config: bytes) -> None:
    """The two files of open_clip's layout, the configuration last."""
    write_whole(folder / "open_clip_model.safetensors", weights)
    write_whole(folder / "open_clip_config.json", config)


@torch.no_grad()
def check_export(classifier: ImageClassifier, folder: Path) -> None:
    """Refuse an export that open_clip does not read as the same image encoder."""
    if not is_main():
        return  # it has written nothing
    theirs = open_clip.create_model(f"local-dir:{folder}").visual.eval()
    ours = copy.deepcopy(classifier.image_encoder).cpu().eval()
    side = classifier.config["preprocess_cfg"]["size"]
    height, width = (side, side) if isinstance(side, int) else side
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    if not torch.equal(theirs(images), ours(images)):
        raise WiseftError(
            "open_clip does not compute with the exported weights what the classifier does, so nothing was written: "
            "pass the clip the classifier was made from"
        )
