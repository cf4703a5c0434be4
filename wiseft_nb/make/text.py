"""Measure, over three seeds, what notebook 13 says of texts: ``python -m wiseft_nb.make.text``.

About an hour and a half on a busy core. Needs ``pip install -e ".[text]"`` and the ratings (``wiseft_nb.make.sentiment``).
Each table is written cell after cell, so a run that was killed goes on. Writes under ``data/results/text``:

    curve.csv    accuracy along alpha of each recipe, on validation snippets, the reference and every shift
    pairs.csv    alpha against both ends on the same texts, McNemar
    rules.csv    the alphas that notebook 09's rules choose for each domain
    phrases.csv  zero-shot from one pair of phrases, and from all seven
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.analyse.ensembles import predict_along
from wiseft_nb.analyse.lora import merged, with_lora
from wiseft_nb.analyse.views import Transformed
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.benchmarks.sentiment import PHRASES
from wiseft_nb.benchmarks.texts import Texts
from wiseft_nb.choose_alpha import choose_alpha
from wiseft_nb.compare import paired
from wiseft_nb.engine.files import replacing
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.fine_tune import features, fine_tune
from wiseft_nb.intervals import MEAN, accuracy_row, mean_interval
from wiseft_nb.make.broken import with_head
from wiseft_nb.make.results import RESULTS
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.sentences import SCALE, load_sentence_encoder, sentence_classifier
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import chord_errors

TEXT = RESULTS / "text"
SEEDS = (0, 1, 2)
SNIPPETS, TESTED, VALIDATED = 4000, 1000, 400  # of train, of each test set, of val: half of them of either class
FEW = 500  # snippets that new heads and LoRA are trained on
ALPHAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
COARSE = (0.0, 0.5, 1.0)
RATES = {"usual": 1e-4, "low": 2e-5, "LoRA": 1e-3}
SEEN, LABELLED = 200, 50  # texts of a domain that rules may look at: unlabelled, labelled
Said = Mapping[str, Mapping[float, Predictions]]  # dataset -> alpha -> predictions
Rows = dict[str, list[dict]]  # table -> rows


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


def rows_of(said: Said, world: World, benchmark: Benchmark) -> list[dict]:
    """Accuracy along alpha of every dataset and of the mean of shifts; texts of one review are drawn together."""
    places = {name: [name] for name in ("val", *benchmark.test_sets)} | {MEAN: [*benchmark.shifts]}
    rows = []
    for place, names in places.items():
        right = [np.stack([p.correct.numpy() for p in said[name].values()], axis=1) for name in names]
        low, high = mean_interval(right, [world.sets[name].source for name in names])
        mean = np.mean([found.mean(axis=0) for found in right], axis=0)
        n = sum(len(found) for found in right)
        for alpha, *row in zip(said["val"], mean, low, high, strict=True):
            rows.append(
                {"alpha": alpha, "dataset": place} | dict(zip(("accuracy", "low", "high"), row, strict=True)) | {"n": n}
            )
    return rows


def pairs_of(said: Said, benchmark: Benchmark) -> list[dict]:
    """Alpha 0.5 and the fine-tuned end against both ends, on the same texts."""
    return [
        {"dataset": name, "alpha": first, "against": second}
        | {key: getattr(pair, key) for key in ("only_first", "only_second", "n", "difference", "p")}
        for name in benchmark.test_sets
        for first, second in ((0.5, 0.0), (0.5, 1.0), (1.0, 0.0))
        for pair in [paired(said[name][first], said[name][second])]
    ]


def rules_of(said: Said, benchmark: Benchmark, seed: int) -> list[dict]:
    """What notebook 09's rules choose; the texts a rule saw stay in the test set, labels or not."""
    alphas, rng = list(said["val"]), np.random.default_rng(seed)
    val = pd.DataFrame(
        [{"alpha": a, "dataset": "val", **accuracy_row(int(p.correct.sum()), p.n)} for a, p in said["val"].items()]
    )
    right = np.stack([p.correct.numpy() for p in said["val"].values()], axis=1)
    val["chord_error"] = chord_errors({"val": right}, {}, {"val": benchmark.val}, alphas)
    hard, rows = said["val, thinned"], []
    for name in benchmark.test_sets:
        seen = torch.from_numpy(rng.permutation(said[name][0.0].n))
        some = {
            n: {a: Predictions(p.logits[seen[:n]], p.labels[seen[:n]]) for a, p in said[name].items()}
            for n in (SEEN, LABELLED)
        }
        chosen = {
            "half": choose_alpha(),
            "gate": choose_alpha(val, "gate"),
            "reference": choose_alpha(val, "reference"),
            "confidence": choose_alpha(some[SEEN], "confidence", calibration=hard),
            "few labels": choose_alpha(some[LABELLED], "few labels", calibration=hard),
        }
        rows += [{"dataset": name, "rule": rule, "alpha": choice.alpha} for rule, choice in chosen.items()]
    return rows


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


def lora(world: World, seed: int) -> dict[str, Said]:
    """A low-rank step in the attention, the head untouched."""
    adapted = with_lora(world.zero_shot, targets=attention(world.encoder), train_head=False)
    end = merged(world.tuned(adapted, seed, RATES["LoRA"], FEW), world.zero_shot)
    return {"LoRA": world.along(world.zero_shot, end, COARSE)}


def measured(made: Mapping[str, Said], world: World, seed: int) -> Rows:
    """The rows of all tables that follow from what some recipes' models said."""
    tables: Rows = {"curve": [], "pairs": [], "rules": []}
    for recipe, said in made.items():
        about, benchmark = {"recipe": recipe, "seed": seed}, world.benchmark
        tables["curve"] += [about | row for row in rows_of(said, world, benchmark)]
        tables["pairs"] += [about | row for row in pairs_of(said, benchmark)]
        if len(said["val"]) == len(ALPHAS):
            tables["rules"] += [about | row for row in rules_of(said, benchmark, seed)]
    return tables


def phrases(world: World) -> list[dict]:
    """Zero-shot accuracy of each pair of phrases, and of all: features once, under eight heads."""
    with torch.autocast("cpu", torch.bfloat16):
        sets = {name: features(world.zero_shot, texts, None) for name, texts in world.benchmark.test_sets.items()}
    pairs = {f"{n} / {p}": {"negative": (n,), "positive": (p,)} for n, p in zip(*PHRASES.values(), strict=True)}
    rows = []
    for name, which in ({"all seven": PHRASES} | pairs).items():
        head = sentence_classifier(world.encoder, world.tokens, which).classification_head
        model = ImageClassifier(torch.nn.Identity(), head, class_names=tuple(PHRASES))
        said = {dataset: evaluate(model, found, progress=False) for dataset, found in sets.items()}
        rows += [{"phrases": name, "dataset": dataset} | p.row() for dataset, p in said.items()]
    return rows


CELLS: Sequence[tuple[str, Callable[[World, int], dict[str, Said]]]] = (
    ("lr 0.0001", lambda world, seed: plain(world, seed, "usual", ALPHAS)),
    ("new head, own beginning", new_head),
    ("LoRA", lora),
    ("lr 2e-05", lambda world, seed: plain(world, seed, "low", COARSE)),
)


def append(name: str, rows: list[dict]) -> None:
    """Add rows to a table, as a whole or not at all."""
    path = TEXT / f"{name}.csv"
    found = pd.DataFrame(rows).round(6)
    there = [pd.read_csv(path)] if path.exists() else []
    with replacing(path) as temporary:
        pd.concat([*there, found]).to_csv(temporary, index=False)


def main() -> None:
    """Make what is missing, recipe after recipe and seed after seed."""
    TEXT.mkdir(parents=True, exist_ok=True)
    world, path = World(), TEXT / "curve.csv"
    if not (TEXT / "phrases.csv").exists():
        append("phrases", phrases(world))
    for (first, cell), seed in tqdm([(cell, seed) for cell in CELLS for seed in SEEDS], desc="recipes"):
        there = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["recipe", "seed"])
        if not ((there.recipe == first) & (there.seed == seed)).any():
            tables = measured(cell(world, seed), world, seed)
            for name, rows in reversed(tables.items()):  # the curve last: it says that the cell is done
                if rows:
                    append(name, rows)


if __name__ == "__main__":
    main()
