"""A pretrained CLIP: model, tokenizer and preprocessing, loaded through open_clip.

Explained in notebook 01_build_zero_shot.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import open_clip
import torch
from open_clip.transformer import text_global_pool
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError, unknown
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
    def encode_texts(self, texts: Sequence[str], batch_size: int = 512) -> Tensor:
        """Embeddings of texts, ``(n, dim)``, not normalised.

        A causal text tower that pools at the end token never looks to the right of it, so only the
        columns that hold tokens are run; other towers are run whole.
        """
        tokens = self.tokenizer(list(texts))
        encode = encode_used_columns if is_causal(self.model) else type(self.model).encode_text
        return torch.cat([encode(self.model, batch) for batch in tokens.split(batch_size)])


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
        model, augment, preprocess = open_clip.create_model_and_transforms(identifier, **arguments)
    except (RuntimeError, ValueError, OSError, EOFError, SafetensorError, UnpicklingError) as error:
        raise WiseftError(f"the weights of {name} cannot be loaded ({error}): fetch or copy them again") from error
    config["preprocess_cfg"] = dict(model.visual.preprocess_cfg)
    return Clip(str(name), model.eval(), open_clip.get_tokenizer(identifier), preprocess, augment, config)


def read_config(folder: Path) -> dict:
    """``open_clip_config.json`` of a folder; says so if it is missing or no such file."""
    path = folder / "open_clip_config.json"
    try:
        config = json.loads(path.read_text())
        return {"model_cfg": config["model_cfg"], "preprocess_cfg": config.get("preprocess_cfg", {})}
    except (OSError, json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
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
