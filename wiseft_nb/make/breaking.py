"""Measure, over seeds, what notebook 08 says of where averaging weights fails: ``python -m wiseft_nb.make.breaking``.

About an hour on one core. Each table is written cell after cell, so a run that was killed goes on; with names of
tables it makes those alone, anew. Writes under ``data/results/breaking`` accuracy along alpha, each row with how it
was fine-tuned:

    map.csv              learning rates and epochs; a fine-tuning that diverged is one row without accuracies
    batchnorm.csv        BatchNorm's statistics frozen, trained, and estimated again after interpolation
    heads.csv            heads from prompts, random ones, trained first (LP-FT), and kept along the path
    few_shots_recipe.csv learning rates for few shots, on validation images, with draws that are not used again
    few_shots.csv        from 1 to 50 images a class, five draws each
    data.csv             wrong labels, rare classes, one class under two names
"""

import argparse
import copy
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.base import ImageSet
from wiseft_nb.errors import FineTuneDiverged
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.make.broken import (
    ALPHAS,
    FINE,
    IMAGES,
    World,
    distance_of,
    named_twice,
    shots,
    with_head,
    with_random_head,
)
from wiseft_nb.make.results import LINEAR_EPOCHS, RESULTS, places_of_mean
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import sweep
from wiseft_nb.zero_shot import zero_shot_classifier

BREAKING = RESULTS / "breaking"
SEEDS = (0, 1, 2)
RATES, EPOCHS = (1e-2, 3e-3, 2e-2, 1e-3, 3e-2), (2, 8)
SHORT = 2  # epochs of what is not said otherwise; as good as 8 at the usual learning rate
BN_CELLS = (  # lr, statistics trained, estimated again; frozen as interpolated stand in map.csv
    (3e-3, True, False),
    (3e-3, True, True),
    (3e-3, False, True),
    (1e-2, True, False),
    (1e-2, True, True),
    (1e-2, False, True),
)
SHOTS, DRAWS = (1, 2, 4, 8, 16, 50), (0, 1, 2, 3, 4)
FEW_IMAGES = IMAGES // 2  # of each test set: there are thirty paths
RECIPE_DRAWS, RECIPE_SHOTS, RECIPE_RATES = (100, 101, 102), (1, 16), (1e-3, 3e-3)
NOISE, RARE = (0.4,), (5, 6, 7, 8, 9)
Cells = dict[tuple, Callable[[], pd.DataFrame]]  # what tells a cell of a table apart -> its rows


def rates(world: World, seed: int) -> Cells:
    """Learning rates by epochs."""

    def cell(lr: float, epochs: int) -> pd.DataFrame:
        try:
            return world.path(world.zero_shot, world.fine_tuned(seed, lr, epochs), FINE)
        except FineTuneDiverged as error:
            return pd.DataFrame([{"diverged_at": error.step}])

    return {(lr, epochs): functools.partial(cell, lr, epochs) for epochs in EPOCHS for lr in RATES}


def batchnorm(world: World, seed: int) -> Cells:
    """Statistics frozen or trained, and as they were interpolated or estimated again."""

    def cell(lr: float, trained: bool, again: bool) -> pd.DataFrame:
        how = world.again if again else world.path
        return how(world.zero_shot, world.fine_tuned(seed, lr, SHORT, bn=trained))

    return {key: functools.partial(cell, *key) for key in BN_CELLS}


def heads(world: World, seed: int) -> Cells:
    """Where the head came from, and what the end at alpha 0 is."""
    zero_shot, how = world.zero_shot, {"progress": False, "cache": True}

    @functools.cache
    def random() -> tuple[ImageClassifier, ImageClassifier]:
        start = with_random_head(zero_shot, seed)
        return start, fine_tune(start, world.benchmark, FineTuneConfig(epochs=SHORT, seed=seed), **how)

    @functools.cache
    def probed() -> tuple[ImageClassifier, ImageClassifier]:
        linear = FineTuneConfig(method="linear", lr=3e-2, epochs=LINEAR_EPOCHS, seed=seed)
        start = fine_tune(with_random_head(zero_shot, seed), world.benchmark, linear, **how)
        return start, fine_tune(start, world.benchmark, FineTuneConfig(epochs=SHORT, seed=seed), **how)

    def prompted() -> tuple[ImageClassifier, ImageClassifier]:
        return zero_shot, world.fine_tuned(seed, epochs=SHORT)

    ends = {"zero-shot": prompted, "random": random, "trained first": probed}
    starts: dict[str, Callable[[ImageClassifier, ImageClassifier], ImageClassifier]] = {
        "own beginning": lambda start, end: start,
        "zero-shot head": lambda start, end: zero_shot,
        "trained head kept": lambda start, end: with_head(zero_shot, end),
    }

    def cell(head: str, beginning: str) -> pd.DataFrame:
        start, end = ends[head]()
        return world.path(starts[beginning](start, end), end)

    cells = [("zero-shot", "trained head kept"), *((h, s) for h in ("random", "trained first") for s in starts)]
    return {key: functools.partial(cell, *key) for key in cells}  # the zero-shot head's own path stands in map.csv


def recipe(world: World, draw: int) -> Cells:
    """Learning rates for few shots, on all validation images and nothing else."""

    def cell(n: int, lr: float) -> pd.DataFrame:
        benchmark, end = world.benchmark, shots(world, draw, n, lr)
        table = sweep(world.zero_shot, end, benchmark, ALPHAS, {"val": benchmark.val}, chord=True, progress=False)
        return table.assign(distance=distance_of(world.zero_shot, end))

    return {(n, lr): functools.partial(cell, n, lr) for n in RECIPE_SHOTS for lr in RECIPE_RATES}


def chosen_rate() -> float:
    """The learning rate with the best mean over runs of the best validation accuracy along alpha; of equal ones the smallest."""
    table = pd.read_csv(BREAKING / "few_shots_recipe.csv")
    return float(table.groupby(["lr", "shots", "seed"]).accuracy.max().groupby("lr").mean().round(6).idxmax())


def few_shots(world: World, draw: int) -> Cells:
    """How the path looks after few images."""

    def cell(n: int) -> pd.DataFrame:
        return world.path(world.zero_shot, shots(world, draw, n, lr := chosen_rate()), images=FEW_IMAGES).assign(lr=lr)

    return {(n,): functools.partial(cell, n) for n in SHOTS}


def data(world: World, seed: int) -> Cells:
    """Training data that are wrong, lopsided, or name one class twice."""
    train = world.benchmark.train

    def tuned(images: ImageSet, epochs: int) -> ImageClassifier:
        changed = dataclasses.replace(world.benchmark, train=images)
        return fine_tune(world.zero_shot, changed, FineTuneConfig(epochs=epochs, seed=seed), progress=False)

    def noise(share: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        wrong = rng.permutation(len(train))[: round(share * len(train))]
        labels = train.labels.copy()
        labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10  # never the right one
        return world.path(world.zero_shot, tuned(ImageSet(train.images, labels), 8))

    def rare() -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        kept = [rng.permutation(np.flatnonzero(train.labels == c))[: 10 if c in RARE else None] for c in range(10)]
        end, sets, groups = tuned(train.subset(np.sort(np.concatenate(kept))), SHORT), {}, {}
        for which in ("rare", "frequent"):
            for name, images in world.benchmark.test_sets.items():
                sets[f"{name}, {which}"] = images.subset(
                    np.flatnonzero(np.isin(images.labels, RARE) == (which == "rare"))
                )
            for place, names in {"mnist": ["mnist"], **places_of_mean(world.benchmark)}.items():
                groups[f"{place} of {which} classes"] = [f"{name}, {which}" for name in names]
        split = sweep(world.zero_shot, end, world.benchmark, ALPHAS, sets, groups=groups, chord=True, progress=False)
        return pd.concat([world.path(world.zero_shot, end), split[split.dataset.isin(groups)]])

    def twice(scored: str) -> pd.DataFrame:
        own = copy.copy(world)
        own.benchmark = named_twice(world.benchmark, seed, together=scored == "together")
        own.zero_shot = zero_shot_classifier(world.clip, own.benchmark)
        end = fine_tune(
            own.zero_shot, own.benchmark, FineTuneConfig(epochs=SHORT, seed=seed), progress=False, cache=True
        )
        return own.path(own.zero_shot, end)

    cells: Cells = {(f"{share:.0%} wrong labels",): functools.partial(noise, share) for share in NOISE}
    cells |= {("half of the classes rare",): rare}
    return cells | {(f"two names, scored {how}",): functools.partial(twice, how) for how in ("apart", "together")}


TABLES: Mapping[str, tuple[Callable[[World, int], Cells], Sequence[str], Sequence[int]]] = {
    "map": (rates, ("lr", "epochs"), SEEDS),
    "heads": (heads, ("head", "alpha_0"), SEEDS),
    "batchnorm": (batchnorm, ("lr", "train_batchnorm", "estimated_again"), SEEDS),
    "few_shots_recipe": (recipe, ("shots", "lr"), RECIPE_DRAWS),
    "few_shots": (few_shots, ("shots",), DRAWS),
    "data": (data, ("data",), SEEDS),
}


def main() -> None:
    """Make what is missing, table after table, seed after seed and cell after cell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="make these anew (default: what is missing)")
    anew = parser.parse_args().tables
    BREAKING.mkdir(parents=True, exist_ok=True)
    for name in anew:
        (BREAKING / f"{name}.csv").unlink(missing_ok=True)
    world = World()
    todo = [(table, seed) for table in anew or TABLES for seed in TABLES[table][2]]
    for name, seed in tqdm(todo, desc="tables"):
        make, columns, _ = TABLES[name]
        path = BREAKING / f"{name}.csv"
        for key, cell in make(world, seed).items():
            there = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*columns, "seed"])
            place = dict(zip(columns, key, strict=True)) | {"seed": seed}
            if len(there) and np.logical_and.reduce([there[column] == value for column, value in place.items()]).any():
                continue
            found = cell().assign(**place).round(6)
            found = found[[*place, *(column for column in found if column not in place)]]
            temporary = path.with_suffix(".tmp")
            (pd.concat([there, found]) if len(there) else found).to_csv(temporary, index=False)
            os.replace(temporary, path)


if __name__ == "__main__":
    main()
