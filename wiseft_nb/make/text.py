"""Measure, over three seeds, what notebook 13 says of texts: ``python -m wiseft_nb.make.text``.

About an hour on two cores. Needs ``pip install -e ".[text]"`` and the ratings (``wiseft_nb.make.sentiment``).
Each table is written cell after cell, so a run that was killed goes on. Writes under ``data/results/text``:

    curve.csv    accuracy along alpha of each recipe, on validation snippets, the reference and every shift
    pairs.csv    alpha against both ends on the same texts, McNemar
    gains.csv    the same as differences of accuracy, with the mean of shifts
    rules.csv    the alphas that notebook 09's rules choose for each domain
    phrases.csv  zero-shot from one pair of phrases, and from all seven
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.sentiment import PHRASES
from wiseft_nb.choose_alpha import choose_alpha
from wiseft_nb.compare import paired
from wiseft_nb.engine.files import replacing
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.fine_tune import features
from wiseft_nb.intervals import MEAN, accuracy_row, mean_interval
from wiseft_nb.make.results import ALPHAS, RESULTS
from wiseft_nb.make.text_models import Said, World, head_first, lora, new_head, plain
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.sentences import sentence_classifier
from wiseft_nb.sweep import chord_errors

TEXT = RESULTS / "text"
SEEDS = (0, 1, 2)
COMPARED = ((0.5, 0.0), (0.5, 1.0), (1.0, 0.0))  # an alpha and another
SEEN, LABELLED = 200, 50  # texts of a domain that rules may look at: unlabelled, labelled
Rows = dict[str, list[dict]]  # table -> rows


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
        for first, second in COMPARED
        for pair in [paired(said[name][first], said[name][second])]
    ]


def gains_of(said: Said, world: World, benchmark: Benchmark) -> list[dict]:
    """The same differences with their intervals, and those of the mean of shifts."""
    places = {name: [name] for name in benchmark.test_sets} | {MEAN: [*benchmark.shifts]}
    rows = []
    for place, names in places.items():
        sources = [world.sets[name].source for name in names]
        right = [{a: p.correct.numpy().astype(np.float32) for a, p in said[name].items()} for name in names]
        differences = [np.stack([found[a] - found[b] for a, b in COMPARED], axis=1) for found in right]
        mean = np.mean([found.mean(axis=0) for found in differences], axis=0)
        for (first, second), *row in zip(COMPARED, mean, *mean_interval(differences, sources), strict=True):
            about = {"dataset": place, "alpha": first, "against": second}
            rows.append(about | dict(zip(("value", "low", "high"), row, strict=True)))
    return rows


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


def measured(made: Mapping[str, Said], world: World, seed: int) -> Rows:
    """The rows of all tables that follow from what some recipes' models said."""
    tables: Rows = {"curve": [], "pairs": [], "gains": [], "rules": []}
    for recipe, said in made.items():
        about, benchmark = {"recipe": recipe, "seed": seed}, world.benchmark
        tables["curve"] += [about | row for row in rows_of(said, world, benchmark)]
        tables["pairs"] += [about | row for row in pairs_of(said, benchmark)]
        tables["gains"] += [about | row for row in gains_of(said, world, benchmark)]
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
    ("new head, trained first", head_first),
    ("LoRA", lora),
    ("lr 2e-05", lambda world, seed: plain(world, seed, "low", ALPHAS)),
)


def append(name: str, rows: list[dict]) -> None:
    """Add rows to a table, as a whole or not at all; those of a run that was killed between two tables are replaced."""
    path, whose = TEXT / f"{name}.csv", ["recipe", "seed"]
    table = pd.DataFrame(rows).round(6)
    if path.exists():
        old = pd.read_csv(path)
        made = pd.MultiIndex.from_frame(old[whose]).isin(pd.MultiIndex.from_frame(table[whose]))
        table = pd.concat([old[~made], table])
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


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
