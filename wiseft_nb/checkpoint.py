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

WEIGHTS, ABOUT = "classifier.safetensors", "classifier.json"


def save_classifier(classifier: ImageClassifier, folder: str | Path) -> Path:
    """Write ``classifier.safetensors`` and ``classifier.json`` into a folder.

    Each file is written beside its place and then moved there, the JSON with the hash of the weights
    last: an interrupted save leaves no half-written file, and one that does not match is noticed.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    weights = save(state)
    (folder / (WEIGHTS + ".tmp")).write_bytes(weights)
    about = {
        "config": classifier.config,
        "class_names": list(classifier.class_names),
        "history": classifier.history,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "safetensors")},
    }
    (folder / (ABOUT + ".tmp")).write_text(json.dumps(about, indent=1, default=list))
    for name in (WEIGHTS, ABOUT):
        os.replace(folder / (name + ".tmp"), folder / name)
    return folder


def load_classifier(folder: str | Path) -> ImageClassifier:
    """Read what ``save_classifier`` wrote.

    Raises
    ------
    WiseftError
        If a file is missing, truncated or changed, or its weights do not fit the architecture named.

    Explained in notebook 03_interpolate.
    """
    folder = Path(folder)
    missing = [name for name in (WEIGHTS, ABOUT) if not (folder / name).is_file()]
    if missing:
        raise WiseftError(f"{folder} holds no classifier, it lacks {', '.join(missing)}: save it with save_classifier")
    try:
        about = json.loads((folder / ABOUT).read_text())
        config, class_names, expected = about["config"], about["class_names"], about["sha256"]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise WiseftError(f"{folder / ABOUT} is damaged ({error!r}): save the classifier again") from error
    if hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() != expected:
        raise WiseftError(
            f"{folder / WEIGHTS} is not the file that was saved, truncated perhaps: save or copy it again"
        )
    try:
        classifier = build_classifier(config, class_names, load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise WiseftError(f"{folder / WEIGHTS} does not fit its configuration ({error}): save it again") from error
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
