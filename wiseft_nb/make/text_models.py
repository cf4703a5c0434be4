"""The models of notebook 13 and what they say of every text: for ``python -m wiseft_nb.make.text``."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from wiseft_nb.analyse.ensembles import predict_along
from wiseft_nb.analyse.lora import merged, with_lora
from wiseft_nb.analyse.views import Transformed
from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.benchmarks.sentiment import PHRASES
from wiseft_nb.benchmarks.texts import Texts
from wiseft_nb.evaluate import Predictions
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.make.broken import with_head
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.sentences import SCALE, load_sentence_encoder, sentence_classifier
from wiseft_nb.recipes import FineTuneConfig

SNIPPETS, TESTED, VALIDATED = 4000, 1000, 400  # of train, of each test set, of val: half of them of either class
FEW = 500  # snippets that new heads and LoRA are trained on
COARSE = (0.0, 0.5, 1.0)
RATES = {"usual": 1e-4, "low": 2e-5, "LoRA": 1e-3}
PROBE = 0.03  # of a head alone: 0.01, 0.1 and 0.3 were worse on validation snippets of seed 0
Said = Mapping[str, Mapping[float, Predictions]]  # dataset -> alpha -> predictions


class World:
    """What all cells share."""

    def __init__(self) -> None:
        whole = load_benchmark("sentiment")
        self.benchmark = dataclasses.replace(
            whole,
            train=whole.train.subset(slice(SNIPPETS)),
            val=part(whole.val, VALIDATED),
            reference=part(whole.reference, TESTED),
            shifts={name: part(texts, TESTED) for name, texts in whole.shifts.items()},
        )
        self.encoder, self.tokens = load_sentence_encoder()
        self.zero_shot = sentence_classifier(self.encoder, self.tokens, PHRASES)
        val = self.benchmark.val
        self.sets = {"val": val, "val, thinned": thinned(val), **self.benchmark.test_sets}
        self.beginning = self.along(self.zero_shot, self.zero_shot, (0.0,))

    def tuned(self, start: ImageClassifier, seed: int, lr: float, snippets: int = SNIPPETS) -> ImageClassifier:
        """Two epochs over film snippets."""
        few = dataclasses.replace(self.benchmark, train=self.benchmark.train.subset(slice(snippets)))
        config = FineTuneConfig(lr=lr, epochs=2, batch_size=32, weight_decay=0.01, seed=seed)
        return fine_tune(start, few, config, progress=False)

    def along(self, start: ImageClassifier, end: ImageClassifier, alphas: Sequence[float]) -> Said:
        """What interpolated weights say of validation snippets, those made harder, and the test sets."""
        known = getattr(self, "beginning", {}) if start is self.zero_shot else {}
        found = {}
        for name, data in self.sets.items():
            there = known.get(name, {})
            found[name] = there | in_bfloat16(start, end, data, [alpha for alpha in alphas if alpha not in there])
        return found


def in_bfloat16(
    start: ImageClassifier, end: ImageClassifier, texts: Dataset, alphas: Sequence[float]
) -> dict[float, Predictions]:
    """Predictions along alpha, in half the time of float32."""
    # autocast keeps the weights it has cast, and these change in place from alpha to alpha: without cache_enabled=False
    # every alpha would be answered with the first one's matrices
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        return predict_along(start, end, texts, alphas, progress=False)


def part(texts: Texts, n: int, seed: int = 0) -> Texts:
    """So many texts at random, as many of each class, in their order."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(texts.labels == c))[: n // len(PHRASES)] for c in range(len(PHRASES))]
    return texts.subset(np.sort(np.concatenate(rows)))


def thinned(texts: Texts, share: float = 0.5, seed: int = 0) -> Transformed:
    """The same texts made harder: each word is left out with that chance."""

    def thin(text: str) -> str:
        words = text.split()
        kept = (torch.rand(len(words)) >= share).tolist()
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)

    return Transformed(texts, thin, seed)


def random_head(zero_shot: ImageClassifier, seed: int) -> ImageClassifier:
    """The same encoder under a head that knows nothing: random directions as long as the phrases' are."""
    weights = torch.randn(zero_shot.classification_head.weight.shape, generator=torch.Generator().manual_seed(seed))
    head = ClassificationHead(SCALE * F.normalize(weights, dim=-1))
    return ImageClassifier(
        zero_shot.image_encoder, head, zero_shot.preprocess, class_names=zero_shot.class_names
    ).eval()


def attention(encoder: torch.nn.Module) -> list[str]:
    """The query and value layers, which LoRA adapts (Hu et al. 2022, section 4.2)."""
    return [
        name for name, _ in encoder.named_modules() if name.endswith(("attention.self.query", "attention.self.value"))
    ]


def plain(world: World, seed: int, rate: str, alphas: Sequence[float]) -> dict[str, Said]:
    """From zero-shot, at one learning rate."""
    name = f"lr {RATES[rate]:g}"
    return {name: world.along(world.zero_shot, world.tuned(world.zero_shot, seed, RATES[rate]), alphas)}


def new_head(world: World, seed: int) -> dict[str, Said]:
    """A random head: its own beginning at alpha 0, the phrases' head there, and the trained head all along."""
    start = random_head(world.zero_shot, seed)
    end = world.tuned(start, seed, RATES["usual"], FEW)
    starts = {"own beginning": start, "trained head kept": with_head(world.zero_shot, end)}
    return {f"new head, {name}": world.along(first, end, COARSE) for name, first in starts.items()}


def head_first(world: World, seed: int) -> dict[str, Said]:
    """A random head trained alone before everything is (LP-FT; Kumar et al. 2022): the path begins where it then stands."""
    few = dataclasses.replace(world.benchmark, train=world.benchmark.train.subset(slice(FEW)))
    config = FineTuneConfig(method="linear", lr=PROBE, epochs=20, batch_size=32, weight_decay=0.01, seed=seed)
    start = fine_tune(random_head(world.zero_shot, seed), few, config, progress=False)
    return {"new head, trained first": world.along(start, world.tuned(start, seed, RATES["usual"], FEW), COARSE)}


def lora(world: World, seed: int) -> dict[str, Said]:
    """A low-rank step in the attention, the head untouched."""
    adapted = with_lora(world.zero_shot, targets=attention(world.encoder), train_head=False)
    end = merged(world.tuned(adapted, seed, RATES["LoRA"], FEW), world.zero_shot)
    return {"LoRA": world.along(world.zero_shot, end, COARSE)}
