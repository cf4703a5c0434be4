"""Save and load classifiers: safetensors for the weights, JSON for the rest. Nothing is ever executed.

Explained in notebook 03_interpolate.
"""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError
from wiseft_nb.zero_shot import ClassificationHead, ImageClassifier

ABOUT = "classifier.json"


def save_classifier(classifier: ImageClassifier, folder: str | Path) -> Path:
    """Write ``classifier.json`` and the weights it names, ``classifier-….safetensors``, into a folder.

    The weights are written first, under a name of their own; the save counts once the JSON that names
    them is moved into place. Interrupted at any moment, it leaves the classifier that was there before.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.contiguous() for name, tensor in classifier.state_dict().items()})
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
    write_whole(folder / name, weights)
    write_whole(folder / ABOUT, json.dumps(about, indent=1, default=list).encode())
    for old in folder.glob("classifier-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, under a name of this process, and move it there."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_classifier(folder: str | Path) -> ImageClassifier:
    """Read what ``save_classifier`` wrote.

    Raises
    ------
    WiseftError
        If a file is missing, truncated or changed, or its weights do not fit the architecture named.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    if not (folder / ABOUT).is_file():
        raise WiseftError(f"{folder} holds no classifier, it lacks {ABOUT}: save one there with save_classifier")
    try:
        about = json.loads((folder / ABOUT).read_text())
        config, class_names, expected = about["config"], about["class_names"], about["sha256"]
        path = folder / Path(about["weights"]).name
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise WiseftError(f"{folder / ABOUT} is damaged ({error!r}): save the classifier again") from error
    if not path.is_file():
        raise WiseftError(f"{folder} lacks the weights {path.name}: save the classifier again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise WiseftError(f"{path} is not the file that was saved, truncated perhaps: save or copy it again")
    try:
        classifier = build_classifier(config, class_names, load_file(path))
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise WiseftError(f"{path} does not fit its configuration ({error}): save it again") from error
    classifier.history = about.get("history", [])
    return classifier


def build_classifier(config: dict, class_names: list[str], state: dict[str, Tensor]) -> ImageClassifier:
    """A classifier from open_clip's configuration and a state dict."""
    model_cfg, preprocess_cfg = config["model_cfg"], PreprocessCfg(**config["preprocess_cfg"])
    encoder = build_image_encoder(model_cfg)
    classifier = ImageClassifier(
        encoder,
        ClassificationHead(torch.zeros_like(state["classification_head.weight"])),
        preprocess=image_transform_v2(preprocess_cfg, is_train=False),
        augment=image_transform_v2(preprocess_cfg, is_train=True),
        class_names=class_names,
        config=config,
    )
    classifier.load_state_dict(state)
    return classifier.eval()


def build_image_encoder(model_cfg: dict) -> nn.Module:
    """open_clip's image tower alone, untrained."""
    vision = CLIPVisionCfg(**dict(model_cfg["vision_cfg"], timm_model_pretrained=False))
    return _build_vision_tower(model_cfg["embed_dim"], vision, model_cfg.get("quick_gelu", False))
