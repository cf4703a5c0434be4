"""Save and load classifiers: safetensors for the weights, JSON for the rest. Nothing is ever executed.

Explained in notebook 03_interpolate.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wiseft_nb.benchmarks.base import check_class_names
from wiseft_nb.engine.files import write_whole
from wiseft_nb.engine.processes import is_main, wait
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier, check_finite
from wiseft_nb.models.clip_files import check_depth

ABOUT = "classifier.json"
KINDS = {"config": dict, "class_names": list, "history": list, "weights": str, "sha256": str, "checksum": str}
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
CONVERT = (
    "a pickle runs code when it is opened; in the environment that wrote it, load it once and save "
    "torch.save(model.state_dict(), 'weights.pt'), which import_classifier reads"
)


def save_classifier(classifier: ImageClassifier, folder: str | Path) -> Path:
    """Write ``classifier.json`` and the weights it names, ``classifier-….safetensors``, into a folder.

    The weights are written first, under a name of their own; the save counts once the JSON that names
    them is moved into place. Interrupted at any moment, it leaves the classifier that was there before.

    Raises
    ------
    WiseftError
        If the weights are not float32 and finite, or cannot be written; nothing was changed then.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    state = classifier.state_dict()
    check_finite(state, "the classifier's weights")
    half = [name for name, tensor in state.items() if tensor.is_floating_point() and tensor.dtype != torch.float32]
    if half:
        raise WiseftError(f"{half[0]} is {state[half[0]].dtype}, expected float32: call classifier.float() first")
    weights = save({name: tensor.contiguous() for name, tensor in state.items()})
    digest = hashlib.sha256(weights).hexdigest()
    name = f"classifier-{digest[:12]}.safetensors"
    about = {
        "config": classifier.config,
        "class_names": list(classifier.class_names),
        "history": classifier.history,
        "weights": name,
        "sha256": digest,
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "safetensors")},
    }
    about = json.loads(json.dumps(about, default=list))  # as it will be read, so that the checksum is the same
    content = json.dumps(about | {"checksum": checksum(about)}, indent=1).encode()
    write_whole(folder / name, weights)
    write_whole(folder / ABOUT, content)
    for old in folder.glob("classifier-*.safetensors"):
        if old.name != name and is_main():
            old.unlink(missing_ok=True)
    wait()  # so that all processes find it whole
    return folder


def load_classifier(folder: str | Path) -> ImageClassifier:
    """Read what ``save_classifier`` wrote.

    Raises
    ------
    WiseftError
        If a file is missing, truncated or changed, is a pickle, or its weights do not fit the
        architecture and the class names it comes with.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    if not (folder / ABOUT).is_file():
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in (folder, *inside):
            if path.suffix in PICKLES:
                raise WiseftError(f"{path} is no classifier that save_classifier wrote: {CONVERT}")
        raise WiseftError(f"{folder} holds no classifier, it lacks {ABOUT}: save one there with save_classifier")
    about = read_about(folder / ABOUT)
    path = folder / Path(about["weights"]).name
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise WiseftError(f"{folder} lacks the weights {path.name[:80]!r}: save the classifier again") from error
    if digest != about["sha256"]:
        raise WiseftError(f"{path} is not the file that was saved, truncated perhaps: save or copy it again")
    try:
        classifier = build_classifier(about["config"], about["class_names"], load_file(path))
    except WiseftError as error:
        raise WiseftError(f"{path} does not fit {ABOUT}: {error}") from error
    except Exception as error:  # whatever open_clip and safetensors make of a strange file
        raise WiseftError(f"{path} does not fit {ABOUT} ({reason(error)}): save the classifier again") from error
    classifier.history = about["history"]
    return classifier


def read_about(path: Path) -> dict:
    """``classifier.json``, with every field of the kind it should be."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        odd = [key for key, kind in KINDS.items() if not isinstance(about[key], kind)]
        rows = [*about["class_names"], *about["history"]]
        odd += [] if all(isinstance(row, str | dict) for row in rows) else ["class_names or history"]
        if odd or about["checksum"] != checksum(about):
            raise ValueError(f"{', '.join(odd)} of the wrong kind" if odd else "changed since it was saved")
        check_class_names(about["class_names"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WiseftError(f"{path} is damaged ({reason(error)}): save the classifier again") from error
    return about


def checksum(about: dict) -> str:
    """The hash of all fields but itself: a changed mean or head width would load, and give other answers."""
    fields = {key: value for key, value in about.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def build_classifier(config: dict, class_names: list[str], state: Mapping[str, Tensor]) -> ImageClassifier:
    """A classifier from open_clip's configuration and a state dict that fits it."""
    model_cfg, preprocess_cfg = config["model_cfg"], PreprocessCfg(**config["preprocess_cfg"])
    check_depth(model_cfg["vision_cfg"].get("layers", 0), len(state))

    def build() -> ImageClassifier:
        return ImageClassifier(
            build_image_encoder(model_cfg),
            ClassificationHead(torch.zeros(len(class_names), model_cfg["embed_dim"])),
            preprocess=image_transform_v2(preprocess_cfg, is_train=False),
            augment=image_transform_v2(preprocess_cfg, is_train=True),
            class_names=class_names,
            config=config,
        )

    with torch.device("meta"):  # shapes without memory: an absurd configuration costs nothing
        check_state(build().state_dict(), state, "the weights")
    classifier = build()
    classifier.load_state_dict(state)
    return classifier.eval()


def build_image_encoder(model_cfg: dict) -> nn.Module:
    """open_clip's image tower alone, untrained."""
    vision = CLIPVisionCfg(**dict(model_cfg["vision_cfg"], timm_model_pretrained=False))
    return _build_vision_tower(model_cfg["embed_dim"], vision, model_cfg.get("quick_gelu", False))


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
