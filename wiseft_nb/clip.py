"""A pretrained CLIP: model, tokenizer and preprocessing, loaded through open_clip.

Explained in notebook 01_build_zero_shot.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, _build_text_tower, _build_vision_tower
from open_clip.transformer import text_global_pool
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError, reason, unknown
from wiseft_nb.paths import DATA

BUNDLED = DATA / "models"


@dataclass(frozen=True)
class Clip:
    """A CLIP model and what turns images and texts into its inputs.

    ``preprocess`` maps a PIL image to a tensor ``(3, size, size)``; ``augment`` does the same with the
    random crop CLIP is fine-tuned with; ``config`` is open_clip's ``model_cfg`` and ``preprocess_cfg``.

    Explained in notebook 01_build_zero_shot.
    """

    name: str
    model: nn.Module
    tokenizer: Callable[[Sequence[str]], Tensor]
    preprocess: Callable[[Image.Image], Tensor]
    augment: Callable[[Image.Image], Tensor]
    config: dict

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], tokens_at_once: int = 4096) -> Tensor:
        """Embeddings of texts, ``(n, dim)``, not normalised, on the model's device.

        A causal text tower that pools at the end token never looks to the right of it, so only the
        columns that hold tokens are run, texts of like length together; other towers are run whole.
        Memory is bounded by ``tokens_at_once``, however many texts there are.
        """
        tokens = self.tokenizer(list(texts)).to(next(self.model.parameters()).device)
        causal = is_causal(self.model)
        lengths = tokens.argmax(dim=1) + 1 if causal else torch.full((len(tokens),), tokens.shape[1])
        order = lengths.argsort(stable=True).cpu()
        encode = encode_used_columns if causal else type(self.model).encode_text
        parts = [encode(self.model, tokens[rows]) for rows in batches_by_length(order, lengths, tokens_at_once)]
        return torch.cat(parts)[order.argsort()]


def batches_by_length(order: Tensor, lengths: Tensor, tokens_at_once: int) -> Iterator[Tensor]:
    """Rows, shortest first, as many at a time as stay below ``tokens_at_once`` when all are as long as the last."""
    start = 0
    longest = lengths[order].tolist()
    for stop in range(1, len(order) + 1):
        if stop == len(order) or (stop + 1 - start) * longest[stop] > tokens_at_once:
            yield order[start:stop]
            start = stop


def is_causal(model: nn.Module) -> bool:
    """Whether columns to the right of the end token cannot change a text's embedding."""
    return isinstance(model, open_clip.CLIP) and model.attn_mask is not None and model.text_pool_type == "argmax"


def encode_used_columns(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """``model.encode_text`` on the columns that hold tokens: same embeddings, less work."""
    used = int(tokens.argmax(dim=1).max()) + 1  # the end token has the highest id
    tokens = tokens[:, :used]
    x = model.token_embedding(tokens) + model.positional_embedding[:used]
    x = model.transformer(x, attn_mask=model.attn_mask[:used, :used])
    x = text_global_pool(model.ln_final(x), tokens, model.text_pool_type)
    projection = model.text_projection
    return projection(x) if isinstance(projection, nn.Linear) else x @ projection


def load_clip(name: str | Path, pretrained: str | None = None) -> Clip:
    """Load the bundled CLIP, a local folder in open_clip's layout, or any open_clip model.

    Parameters
    ----------
    name : str or Path
        ``"digits-rn"`` (bundled, needs no network), a folder with ``open_clip_config.json`` and
        weights, or an open_clip architecture such as ``"ViT-B-32"``.
    pretrained : str, optional
        For an architecture: a pretrained tag such as ``"openai"``, or a weights file. Tags download.

    Returns
    -------
    Clip
        In evaluation mode, on the CPU, float32.

    Raises
    ------
    WiseftError
        If the name is unknown (the error lists the bundled ones), or a weights file is missing,
        truncated or does not fit.

    Examples
    --------
    >>> load_clip("digits-rn").config["model_cfg"]["embed_dim"]
    128

    Explained in notebook 01_build_zero_shot.
    """
    folder = BUNDLED / name if (BUNDLED / name / "open_clip_config.json").exists() else Path(name)
    if folder.is_dir():
        config = read_config(folder)
        check_weights(folder)
        identifier, arguments = f"local-dir:{folder}", {}
    else:
        config = open_clip.get_model_config(str(name))
        if config is None:
            known = [p.parent.name for p in BUNDLED.glob("*/open_clip_config.json")]
            hint = ", a folder in open_clip's layout, or one of open_clip.list_models()"
            raise unknown("CLIP model", str(name), known, hint)
        if pretrained is None:
            tags = open_clip.list_pretrained_tags_by_model(str(name))
            raise WiseftError(f"{name} has no weights of its own: pass pretrained=, one of {tags} or a weights file")
        config = {"model_cfg": config, "preprocess_cfg": {}}
        identifier, arguments = str(name), {"pretrained": pretrained}
    try:
        if folder.is_dir():
            check_size(config["model_cfg"], folder)
        model, augment, preprocess = open_clip.create_model_and_transforms(identifier, **arguments)
        tokenizer = open_clip.get_tokenizer(identifier)
    except WiseftError:
        raise
    except Exception as error:  # whatever open_clip makes of a strange configuration or file
        raise WiseftError(
            f"the weights of {name} cannot be loaded ({reason(error)}): fetch or copy them again"
        ) from error
    config["preprocess_cfg"] = dict(model.visual.preprocess_cfg)
    return Clip(str(name), model.eval(), tokenizer, preprocess, augment, config)


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
