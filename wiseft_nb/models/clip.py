"""A pretrained CLIP: model, tokenizer and preprocessing, loaded through open_clip.

Explained in notebook 01_build_zero_shot.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transformer import text_global_pool
from PIL import Image
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError, reason, unknown
from wiseft_nb.models.clip_files import check_device, check_size, check_weights, fetched, read_config
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


def load_clip(
    name: str | Path, pretrained: str | Path | None = None, *, quick_gelu: bool | None = None, device: str = "cpu"
) -> Clip:
    """Load the bundled CLIP, a folder or hub repository in open_clip's layout, or any open_clip model.

    Parameters
    ----------
    name : str or Path
        ``"digits-rn"`` (bundled, needs no network), a folder with ``open_clip_config.json`` and weights,
        ``"hf-hub:organisation/name"``, or an architecture such as ``"ViT-B-32"`` or ``"ViT-B/32"``.
    pretrained : str or Path, optional
        For an architecture: a pretrained tag such as ``"openai"``, or a weights file. Tags download.
    quick_gelu : bool, optional
        The activation an architecture is built with. A tag knows what it was trained with, and that is
        taken; a weights file does not, so say it here if it is not the architecture's own.
    device : str
        ``"cpu"``, ``"cuda"`` or another device of torch's; what is made from the clip stays there.

    Returns
    -------
    Clip
        In evaluation mode, float32.

    Raises
    ------
    WiseftError
        If the name is unknown (the error lists the bundled ones), the device is not there, weights
        cannot be fetched (it names the file and where to put it), or a file is missing, truncated or
        does not fit.

    Examples
    --------
    >>> load_clip("digits-rn").config["model_cfg"]["embed_dim"]
    128

    Explained in notebook 01_build_zero_shot.
    """
    check_device(device)
    folder = BUNDLED / name if (BUNDLED / name / "open_clip_config.json").exists() else Path(name)
    arguments: dict = {"device": device}
    if folder.is_dir():
        config = read_config(folder)
        check_weights(folder)
        identifier = f"local-dir:{folder}"
    elif str(name).startswith("hf-hub:"):
        identifier, config = str(name), {}
    else:
        identifier = str(name).replace("@336px", "-336").replace("/", "-")  # OpenAI's spelling
        config = {"model_cfg": architecture(identifier, str(name), pretrained, quick_gelu)}
        # open_clip itself would only warn, and compute with the wrong activation
        arguments |= {"pretrained": str(pretrained), "force_quick_gelu": config["model_cfg"].get("quick_gelu", False)}
    try:
        if folder.is_dir():
            check_size(config["model_cfg"], folder)
        elif not config:
            config["model_cfg"] = fetched(identifier, None, lambda: open_clip.get_model_config(identifier))
        model, augment, preprocess = fetched(
            identifier, pretrained, lambda: open_clip.create_model_and_transforms(identifier, **arguments)
        )
        tokenizer = open_clip.get_tokenizer(identifier)
    except WiseftError:
        raise
    except Exception as error:  # whatever open_clip makes of a strange configuration or file
        raise WiseftError(
            f"the weights of {name} cannot be loaded ({reason(error)}): fetch or copy them again"
        ) from error
    config["preprocess_cfg"] = dict(model.visual.preprocess_cfg)
    return Clip(str(name), model.eval(), tokenizer, preprocess, augment, config)


def architecture(identifier: str, name: str, pretrained: str | Path | None, quick_gelu: bool | None) -> dict:
    """open_clip's configuration of an architecture, with the activation the weights were trained with."""
    config = open_clip.get_model_config(identifier)
    if config is None:
        known = [p.parent.name for p in BUNDLED.glob("*/open_clip_config.json")]
        hint = ", a folder in open_clip's layout, hf-hub:…, or one of open_clip.list_models()"
        raise unknown("CLIP model", name, known, hint)
    tags = open_clip.list_pretrained_tags_by_model(identifier)
    if pretrained is None:
        raise WiseftError(f"{name} has no weights of its own: pass pretrained=, one of {tags} or a weights file")
    tag = get_pretrained_cfg(identifier, str(pretrained))
    if not tag and not Path(pretrained).is_file():
        raise WiseftError(f"pretrained {str(pretrained)!r} is no file, and no tag of {name}: expected one of {tags}")
    trained_with = tag.get("quick_gelu", False) if tag else quick_gelu
    if tag and quick_gelu not in (None, trained_with):
        raise WiseftError(
            f"{name} {pretrained} was trained with quick_gelu {trained_with}: leave quick_gelu out, the tag knows"
        )
    built_with = config.get("quick_gelu", False)
    if built_with and trained_with is False:
        plain = identifier.removesuffix("-quickgelu")
        raise WiseftError(f"{name} computes with QuickGELU, its weights were trained with GELU: load {plain} instead")
    if trained_with:
        config["quick_gelu"] = True
    return config
