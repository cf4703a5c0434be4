"""Fine-tune as CLIP was pretrained, with images and texts: FLYP, which trains both towers.

``fine_tune`` trains a classifier, so here is one whose head is the text tower: its weights are computed from the
prompts each time they are needed.

Explained in notebook 10_go_beyond.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.nested import Batch
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import Clip, encode_used_columns, is_causal
from wiseft_nb.zero_shot import fill

POSITIVES = ("single", "multi")


class TextHead(nn.Module):
    """CLIP's text tower as a classification head: unit features times the prompts' mean embeddings.

    With the pretrained tower its logits are those of ``zero_shot_head``. Embeddings, tower and logit_scale train.

    Parameters
    ----------
    clip : Clip
        Its text tower is copied.
    class_names : sequence of str
    templates : sequence of str or functions

    Explained in notebook 10_go_beyond.
    """

    def __init__(self, clip: Clip, class_names: Sequence[str], templates: Sequence) -> None:
        super().__init__()
        if not templates:
            raise WiseftError("there is no template: pass at least one, such as 'a photo of a {}.'")
        self.tower = copy.deepcopy(clip.model)
        self.tower.visual = nn.Identity()
        prompts = [fill(template, name) for name in class_names for template in templates]
        tokens = clip.tokenizer(prompts)
        self.register_buffer("tokens", tokens.view(len(class_names), len(templates), -1))

    def encode(self, tokens: Tensor) -> Tensor:
        """Unit embeddings of texts, ``(n, dim)``."""
        encode = encode_used_columns if is_causal(self.tower) else type(self.tower).encode_text
        return F.normalize(encode(self.tower, tokens).float(), dim=-1)

    def weights(self) -> Tensor:
        """The head's weights as the tower is now: ``(classes, dim)``, scaled by exp(logit_scale)."""
        classes, templates, _ = self.tokens.shape
        per_class = self.encode(self.tokens.flatten(0, 1)).view(classes, templates, -1)
        return self.tower.logit_scale.exp() * F.normalize(per_class.mean(dim=1), dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=-1) @ self.weights().T


def contrastive_classifier(clip: Clip, benchmark: Benchmark) -> ImageClassifier:
    """A zero-shot classifier that keeps its text tower: to be fine-tuned with ``Contrastive``.

    Interpolate two of them with ``wise_ft`` and both towers are interpolated; ``with_plain_head`` makes an
    ordinary classifier of any.

    Parameters
    ----------
    clip : Clip
        Not changed.
    benchmark : Benchmark
        Class names and templates.

    Returns
    -------
    ImageClassifier
        In evaluation mode; says what ``zero_shot_classifier(clip, benchmark)`` says.

    Explained in notebook 10_go_beyond.
    """
    head, names = TextHead(clip, benchmark.class_names, benchmark.templates), benchmark.class_names
    encoder = copy.deepcopy(clip.model.visual)
    return ImageClassifier(encoder, head, clip.preprocess, clip.augment, names, clip.config).eval()


@torch.no_grad()
def with_plain_head(classifier: ImageClassifier) -> ImageClassifier:
    """The same classifier with its head computed from the texts once, of the shape that every other one has.

    Explained in notebook 10_go_beyond.
    """
    if not isinstance(classifier.classification_head, TextHead):
        raise WiseftError(
            "the classifier has no text tower for a head: make one with contrastive_classifier(clip, ...)"
        )
    head = ClassificationHead(classifier.classification_head.weights())
    about = (classifier.preprocess, classifier.augment, classifier.class_names, classifier.config)
    return ImageClassifier(copy.deepcopy(classifier.image_encoder), head, *about).eval()


@dataclass(frozen=True)
class Contrastive:
    """The loss of CLIP's pretraining between images and a random prompt of their class: an objective for ``fine_tune``.

    FLYP (Goyal et al. 2023, arXiv 2212.00638, equation 2). With unit features F of images, G of texts and
    s = exp(logit_scale), logits are s F G^T, and the loss the mean of the cross-entropies along rows and columns.

    Parameters
    ----------
    positives : {"single", "multi"}
        ``"single"``, as in the authors' code: the target of a row is its own text; texts of other images of
        its class count as wrong answers. At 10 classes and batches of 128 there are some 12 of them. ``"multi"``:
        all of its class are right, each to an equal share (UniCL, Yang et al. 2022, arXiv 2204.03610).

    Notes
    -----
    The loss compares the images of a batch, so pieces of a batch (``Compute.micro_batch``) are another loss.

    Explained in notebook 10_go_beyond.
    """

    positives: str = "single"

    def __post_init__(self) -> None:
        if self.positives not in POSITIVES:
            raise unknown("kind of positives", self.positives, POSITIVES)

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        head = network.classification_head
        if not isinstance(head, TextHead):
            raise WiseftError("FLYP trains the text tower: fine-tune a contrastive_classifier(clip, benchmark)")
        templates = head.tokens.shape[1]
        chosen = torch.randint(templates, labels.shape).to(labels.device)
        prompts, place = torch.unique(labels * templates + chosen, return_inverse=True)  # each text is encoded once
        texts = head.encode(head.tokens.flatten(0, 1)[prompts])[place]
        images = F.normalize(network.image_encoder(inputs).float(), dim=-1)
        logits = head.tower.logit_scale.exp() * images @ texts.T
        targets = targets_of(labels, self.positives)
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def targets_of(labels: Tensor, positives: str) -> Tensor:
    """What each row of images against texts should say: float ``(n, n)``, symmetric, rows sum to 1."""
    if positives == "single":
        return torch.eye(len(labels), device=labels.device)
    same = (labels[:, None] == labels).float()
    return same / same.sum(dim=1, keepdim=True)
