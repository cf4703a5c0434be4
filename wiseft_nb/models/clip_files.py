"""What a CLIP is loaded from: checked before it is loaded, and named where it cannot be fetched.

Explained in notebook 11_use_real_clip.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, _build_text_tower, _build_vision_tower
from open_clip.pretrained import get_pretrained_cfg
from safetensors import SafetensorError, safe_open

from wiseft_nb.errors import WiseftError, reason

Loaded = TypeVar("Loaded")
# what says that a host was not reached, wherever in the chain of causes it stands
UNREACHED = ("connect", "resolve", "offline", "download", "urlopen", "timed out", "max retries", "find the requested")


def check_device(device: str) -> None:
    """Refuse a device that torch does not have here."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise WiseftError(f"device {device!r} cannot be used here ({reason(error)}): pass device='cpu'") from error


def fetched(identifier: str, pretrained: str | Path | None, load: Callable[[], Loaded]) -> Loaded:
    """What ``load`` loads; where a host was not reached, the error names the file and where to put it."""
    try:
        return load()
    except Exception as error:  # hubs and open_clip raise errors of every kind
        said = " ".join(str(e) for e in causes(error)).lower()
        if isinstance(error, WiseftError) or not any(word in said for word in UNREACHED):
            raise
        raise WiseftError(
            f"the weights of {identifier} {pretrained or ''} are not on this machine and could not be fetched "
            f"({reason(error)}): {by_hand(identifier, pretrained)}"
        ) from error


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and what it came from."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def by_hand(identifier: str, pretrained: str | Path | None) -> str:
    """How to bring the weights from a machine that has a network."""
    tag = (
        get_pretrained_cfg(identifier, str(pretrained))
        if pretrained
        else {"hf_hub": identifier.removeprefix("hf-hub:")}
    )
    repository, _, file = tag.get("hf_hub", "").rpartition("/") if pretrained else (tag["hf_hub"], "", "")
    if repository and not file:  # a whole folder in open_clip's layout, which also knows its activation
        return (
            f"where there is a network, fetch open_clip_config.json and open_clip_model.safetensors from "
            f"https://huggingface.co/{repository}, put both into one folder, and call load_clip with that folder"
        )
    page = f"https://huggingface.co/{repository}/resolve/main/{file}" if repository else tag.get("url", "")
    activation = ", quick_gelu=True" if tag.get("quick_gelu") else ""
    return (
        f"where there is a network, fetch {page}, and call "
        f"load_clip({identifier!r}, pretrained='path/of/the/file'{activation})"
    )


def read_config(folder: Path) -> dict:
    """``open_clip_config.json`` of a folder; says so if it is missing or no such file."""
    path = folder / "open_clip_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return {"model_cfg": config["model_cfg"], "preprocess_cfg": config.get("preprocess_cfg", {})}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WiseftError(f"{path} cannot be read ({error!r}): expected open_clip's JSON with a model_cfg") from error


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights, a pickle, and a truncated safetensors file."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise WiseftError(f"{folder} holds no *.safetensors weights: copy open_clip_model.safetensors into it")
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise WiseftError(f"{path} is damaged or truncated ({error}): copy it again") from error


def check_size(model_cfg: dict, folder: Path) -> None:
    """Refuse a configuration far larger than the weights beside it, before any memory is asked for."""
    stored, tensors = 0, 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in list(file.keys())]
            stored, tensors = stored + sum(map(math.prod, shapes)), tensors + len(shapes)
    vision_cfg, text_cfg = model_cfg["vision_cfg"], model_cfg["text_cfg"]
    for tower in (vision_cfg, text_cfg):
        check_depth(tower.get("layers", 0), tensors)
    if "hf_model_name" in text_cfg:
        return  # its size stands in a configuration of its own
    arguments = (model_cfg["embed_dim"], model_cfg.get("quick_gelu", False))
    with torch.device("meta"):  # shapes without memory
        towers = [
            _build_vision_tower(
                arguments[0], CLIPVisionCfg(**vision_cfg | {"timm_model_pretrained": False}), arguments[1]
            ),
            _build_text_tower(arguments[0], CLIPTextCfg(**text_cfg), arguments[1]),
        ]
    asked = sum(p.numel() for tower in towers for p in tower.parameters())
    if asked > 2 * stored:
        raise WiseftError(
            f"{folder / 'open_clip_config.json'} asks for {asked:,} weights, but {stored:,} are stored: "
            "copy the configuration that belongs to these weights"
        )


def check_depth(layers: int | list[int], tensors: int) -> None:
    """Refuse more layers than there are tensors: to build a million would take hours, even without memory."""
    depth = sum(layers) if isinstance(layers, list | tuple) else layers
    if depth > tensors:
        raise WiseftError(f"the configuration names {depth} layers, expected fewer than the {tensors} tensors stored")
