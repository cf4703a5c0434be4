"""A pretrained CLIP: model, tokenizer and preprocessing, loaded through open_clip.

Explained in notebook 01_build_zero_shot.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from PIL import Image
from torch import Tensor, nn

from wiseft_nb.engine.files import expanded
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.models.classifier import check_finite
from wiseft_nb.models.clip_files import (
    CONFIG,
    check_device,
    check_names,
    check_shapes,
    fetched,
    read_config,
    read_weights,
    said,
    shapes_in,
    without_bom,
)
from wiseft_nb.models.open_clip_parts import build_transforms, pool_text
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
        Memory is bounded by ``tokens_at_once``, however many texts there are. A text that is longer than
        the model's context is cut off, with a warning.
        """
        tokens = self.tokenizer(list(texts))
        warn_of_cuts(self, texts, tokens)
        tokens = tokens.to(next(self.model.parameters()).device)
        causal = is_causal(self.model)
        lengths = tokens.argmax(dim=1) + 1 if causal else torch.full((len(tokens),), tokens.shape[1])
        order = lengths.argsort(stable=True).cpu()
        encode = encode_used_columns if causal else type(self.model).encode_text
        parts = [encode(self.model, tokens[rows]) for rows in batches_by_length(order, lengths, tokens_at_once)]
        return torch.cat(parts)[order.argsort()]


def warn_of_cuts(clip: Clip, texts: Sequence[str], tokens: Tensor) -> None:
    """Say so where a text does not fit the context."""
    length = tokens.shape[1]
    full = [text for text, row in zip(texts, tokens, strict=True) if row[-1] != 0]
    if not full or not isinstance(clip.tokenizer, open_clip.SimpleTokenizer):
        return
    cut = [text for text in full if len(clip.tokenizer.encode(text)) + 2 > length]  # with its start and its end
    if cut:
        warnings.warn(
            f"{len(cut)} of {len(texts)} prompts are longer than the {length} tokens {clip.name} reads, and are cut "
            f"off, first {cut[0][:60]!r}: shorten them",
            stacklevel=4,
        )


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
    return pool_text(model, x, tokens)


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
    bundled, path = BUNDLED / name, expanded(name)
    pretrained = expanded(pretrained) if isinstance(pretrained, Path) or str(pretrained).startswith("~") else pretrained
    try:
        if (folder := bundled if (bundled / CONFIG).is_file() else path).is_dir():
            return from_folder(str(name), folder, device)
        if str(name).startswith("hf-hub:"):
            model_cfg = fetched(str(name), None, lambda: open_clip.get_model_config(str(name)))
            return made(str(name), str(name), {}, model_cfg, device)
        return from_architecture(str(name), pretrained, quick_gelu, device)
    except WiseftError:
        raise
    except Exception as error:  # whatever open_clip makes of a strange configuration or file
        raise WiseftError(
            f"the weights of {name}{f' {pretrained}' if pretrained else ''} cannot be loaded ({said(error)}): use weights of this "
            "architecture, whole ones"
        ) from error


def from_folder(name: str, folder: Path, device: str) -> Clip:
    """A folder in open_clip's layout."""
    config, shapes = read_config(folder), shapes_in(folder)
    check_names(folder, shapes)
    with without_bom(folder) as place:
        clip = made(name, f"local-dir:{place}", {}, config["model_cfg"], device)
    check_shapes(folder, shapes, clip.model)
    return clip


def from_architecture(name: str, pretrained: str | Path | None, quick_gelu: bool | None, device: str) -> Clip:
    """An architecture that open_clip knows, with the weights of a tag or of a file."""
    identifier = name.replace("@336px", "-336").replace("/", "-")  # OpenAI's spelling
    model_cfg = architecture(identifier, name, pretrained, quick_gelu)
    shapes, file = {}, Path(pretrained)
    tag = open_clip.get_pretrained_cfg(identifier, str(pretrained))
    if not tag and file.suffix not in (".npz", ".npy"):  # those are Google's, which open_clip converts
        shapes = {name: tensor.shape for name, tensor in read_weights(file).items()}
        check_names(file, shapes)
    # open_clip itself would only warn, and compute with the wrong activation
    arguments = {"pretrained": str(pretrained), "force_quick_gelu": model_cfg.get("quick_gelu", False)}
    clip = made(name, identifier, arguments, model_cfg, device)
    check_shapes(file, shapes, clip.model)
    return clip


def made(name: str, identifier: str, arguments: dict, model_cfg: dict, device: str) -> Clip:
    """What open_clip loads, as a Clip; refused where it is no CLIP, or its weights are not finite."""
    model = fetched(
        identifier,
        arguments.get("pretrained"),
        lambda: open_clip.create_model(identifier, device=device, require_pretrained=True, **arguments),
    )
    kind = type(model).__name__
    if not isinstance(model, open_clip.CLIP | open_clip.CustomTextCLIP) or getattr(
        model.visual, "output_tokens", False
    ):
        raise WiseftError(f"{name} is a {kind} whose image encoder gives more than features: load a CLIP")
    check_finite(model.state_dict(), name)
    # as it comes back from JSON, so that a classifier is the same before it is saved and after
    config = json.loads(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": model.visual.preprocess_cfg}))
    preprocess, augment = build_transforms(config["preprocess_cfg"])
    return Clip(name, model.eval(), open_clip.get_tokenizer(identifier), preprocess, augment, config)


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
    tag = open_clip.get_pretrained_cfg(identifier, str(pretrained))
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
