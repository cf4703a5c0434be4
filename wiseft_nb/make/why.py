"""Measure, over three seeds, what notebook 06 says of why interpolation works: ``python -m wiseft_nb.make.why``.

About 20 minutes on 2 cores. Each table is written seed after seed, so a run that was killed goes on; with names of
tables it makes those alone, anew. Writes under ``data/results/why``:

    permuted.csv     accuracy along alpha from zero-shot to the fine-tuned model, and to the same with channels permuted
    ancestry.csv     two small networks trained apart after some common steps, or from other beginnings, and their mean
    chord.csv        of every dataset and group how far the path sags below its chord, with its standard error
    diversity.csv    how differently pairs of models err: zero-shot and fine-tuned, and two fine-tuned on halves
    forgotten.csv    how many of the images that zero-shot reads two fine-tuned models forget, each and both
    overrides.csv    with whom alpha 0.5 sides where the ends disagree, and how sure each end is
    calibration.csv  accuracy and calibration error along alpha, with and without a temperature for each alpha
    parts.csv        one part of the network interpolated alone, and all but that part
    landscape.csv    accuracy on the plane through zero-shot and the models of seeds 0 and 1
"""

import argparse
import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from wiseft_nb.analyse.calibration import at_temperature, calibration_error, fit_temperature, negative_log_likelihood
from wiseft_nb.analyse.chord import chord_dip
from wiseft_nb.analyse.disagreement import margins, overrides
from wiseft_nb.analyse.diversity import diversity
from wiseft_nb.analyse.landscape import landscape
from wiseft_nb.analyse.permute import permute_channels
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.make.ancestry import COMMON, branch
from wiseft_nb.make.results import ALPHAS, LINEAR_EPOCHS, RESULTS, places_of_mean
from wiseft_nb.make.standard_models import images_of
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import sweep
from wiseft_nb.zero_shot import zero_shot_classifier

WHY = RESULTS / "why"
SEEDS = (0, 1, 2)
LINEAR = dict(method="linear", lr=3e-2, epochs=LINEAR_EPOCHS)
PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "attnpool", "classification_head")
STEM = ("conv", "bn")
GRID = tuple((a / 4, b / 4) for a in range(-1, 6) for b in range(-1, 6))
Rows = Iterator[dict | pd.DataFrame]


class World:
    """What all tables share: models and what they say, each made when it is first asked for."""

    def __init__(self) -> None:
        self.benchmark = load_benchmark("digits")
        self.zero_shot = zero_shot_classifier(load_clip("digits-rn"), self.benchmark)
        self.sets = {"val": self.benchmark.val, **self.benchmark.test_sets}

    @functools.cache  # noqa: B019  (one world a run)
    def fine_tuned(self, seed: int, half: int | None = None, linear: bool = False) -> ImageClassifier:
        """Of a seed; on all training images, or on one random half of them."""
        benchmark = self.benchmark if half is None else on_half(self.benchmark, seed, half)
        config = FineTuneConfig(seed=seed, **(LINEAR if linear else {}))
        return fine_tune(self.zero_shot, benchmark, config, progress=False, cache=True)

    @functools.cache  # noqa: B019
    def said(self, alpha: float, seed: int, linear: bool = False, half: int | None = None) -> dict[str, Predictions]:
        """What the classifier at alpha says of validation data and every test set."""
        model = wise_ft(self.zero_shot, self.fine_tuned(seed, half, linear), alpha) if alpha else self.zero_shot
        return {name: evaluate(model, images, progress=False) for name, images in self.sets.items()}


def on_half(benchmark: Benchmark, seed: int, half: int) -> Benchmark:
    """The benchmark with one of two random halves of its training images."""
    order = np.random.default_rng(seed).permutation(len(benchmark.train))
    return dataclasses.replace(benchmark, train=benchmark.train.subset(np.sort(order[half::2])))


def permuted(world: World, seed: int) -> Rows:
    """Validation and reference accuracy along two paths whose ends are the same functions."""
    benchmark, tuned = world.benchmark, world.fine_tuned(seed)
    sets = {"val": benchmark.val, benchmark.reference_name: benchmark.reference}
    for end, model in (("fine-tuned", tuned), ("permuted", permute_channels(tuned, seed))):
        yield sweep(world.zero_shot, model, benchmark, ALPHAS, sets, progress=False).assign(end=end)


def ancestry(world: World, seed: int) -> Rows:
    """Two networks from one beginning, after so many common steps, or from two; and their mean."""
    train, test = (
        (images_of(images), torch.from_numpy(images.labels))
        for images in (world.benchmark.train, world.benchmark.reference)
    )
    for common in (None, *COMMON):
        yield from branch(train, test, seed, common)


def chord(world: World, seed: int) -> Rows:
    """The dip of every dataset and group, end to end and for the linear classifier."""
    for method, linear in (("end-to-end", False), ("linear", True)):
        table = sweep(
            world.zero_shot,
            world.fine_tuned(seed, linear=linear),
            world.benchmark,
            ALPHAS,
            groups=places_of_mean(world.benchmark),
            progress=False,
            chord=True,
        )
        yield chord_dip(table).assign(method=method)


def diverse(world: World, seed: int) -> Rows:
    """Zero-shot and fine-tuned, and two that were fine-tuned on halves of the training images."""
    for method, linear in (("linear", True), ("end-to-end", False)):
        zero, tuned = world.said(0.0, seed), world.said(1.0, seed, linear)
        halves = [world.said(1.0, seed, linear, half) for half in (0, 1)]
        for pair, first, second in (("zero-shot, fine-tuned", zero, tuned), ("fine-tuned on halves", *halves)):
            for name in world.sets:
                # calibrated on validation data: KL depends on how sure each is
                calibrated = [at_temperature(said[name], fit_temperature(said["val"])) for said in (first, second)]
                yield {"method": method, "pair": pair, "dataset": name} | diversity(*calibrated)


def forgotten(world: World, seed: int) -> Rows:
    """Of two models that were fine-tuned apart, with this seed and the next: what each and what both forgot."""
    zero, *tuned = world.said(0.0, seed), world.said(1.0, seed), world.said(1.0, (seed + 1) % len(SEEDS))
    for name in world.sets:
        lost = [zero[name].correct & ~said[name].correct for said in tuned]
        counts = {
            "first": lost[0],
            "second": lost[1],
            "both": lost[0] & lost[1],
            "zero_shot_wrong": ~zero[name].correct,
        }
        yield {"dataset": name, "n": zero[name].n} | {key: int(which.sum()) for key, which in counts.items()}


def overriding(world: World, seed: int) -> Rows:
    """With whom alpha 0.5 sides, and the mean margin of each end."""
    for method, linear in (("linear", True), ("end-to-end", False)):
        zero, half, tuned = world.said(0.0, seed), world.said(0.5, seed, linear), world.said(1.0, seed, linear)
        for name in world.sets:
            sure = {
                f"{end} margin": margins(said[name]).mean().item()
                for end, said in (("zero_shot", zero), ("fine_tuned", tuned))
            }
            counts = overrides(zero[name], half[name], tuned[name])
            yield {"method": method, "dataset": name, "n": zero[name].n} | counts | sure


def calibrated(world: World, seed: int) -> Rows:
    """Accuracy, calibration error and likelihood along alpha; each alpha's temperature is fitted on validation data."""
    for alpha in ALPHAS:
        said = world.said(alpha, seed)
        temperature = fit_temperature(said["val"])
        for name, found in said.items():
            cooled = at_temperature(found, temperature)
            yield {
                "alpha": alpha,
                "dataset": name,
                "accuracy": found.accuracy(),
                "n": found.n,
                "temperature": temperature,
                "error": calibration_error(found),
                "error at temperature": calibration_error(cooled),
                "likelihood": negative_log_likelihood(found),
                "likelihood at temperature": negative_log_likelihood(cooled),
            }


def part_of(name: str) -> str:
    """The part of the network that a tensor belongs to, by its name."""
    pieces = name.removeprefix("image_encoder.").split(".")
    return "stem" if pieces[0].startswith(STEM) else pieces[0]


def parts(world: World, seed: int) -> Rows:
    """The mean accuracy of each group with one part at alpha 1 alone, or with that part left at alpha 0."""
    theta_0, theta_1 = world.zero_shot.state_dict(), world.fine_tuned(seed).state_dict()
    mixed, tests = copy.deepcopy(world.zero_shot), world.benchmark.test_sets
    for part in PARTS:
        for which in ("this alone", "all but this"):
            tuned = {name: (part_of(name) == part) == (which == "this alone") for name in theta_0}
            mixed.load_state_dict({name: (theta_1 if tuned[name] else theta_0)[name] for name in theta_0})
            found = {name: evaluate(mixed, images, progress=False).accuracy() for name, images in tests.items()}
            for place, members in places(world.benchmark).items():
                accuracy = np.mean([found[name] for name in members])
                yield {"part": part, "which": which, "dataset": place, "accuracy": accuracy}


def places(benchmark: Benchmark) -> dict[str, Sequence[str]]:
    """Reference, groups and mean: name -> datasets."""
    return {benchmark.reference_name: [benchmark.reference_name], **places_of_mean(benchmark)}


def plane_of(world: World, seed: int) -> Rows:
    """Seed 0 alone: the plane through zero-shot and seeds 0 and 1, a part of each test set for speed."""
    if seed:
        return
    few = {name: images.subset(np.arange(0, len(images), 4)) for name, images in world.benchmark.test_sets.items()}
    table = landscape(world.zero_shot, world.fine_tuned(0), world.fine_tuned(1), few, GRID)
    wide = table.pivot(index=["a", "b", "x", "y"], columns="dataset", values="accuracy")
    means = {place: wide[list(members)].mean(axis=1) for place, members in places(world.benchmark).items()}
    yield pd.DataFrame(means).rename_axis(columns="dataset").stack().rename("accuracy").reset_index()


TABLES: dict[str, Callable[[World, int], Rows]] = {
    "permuted": permuted,
    "ancestry": ancestry,
    "chord": chord,
    "diversity": diverse,
    "forgotten": forgotten,
    "overrides": overriding,
    "calibration": calibrated,
    "parts": parts,
    "landscape": plane_of,
}


def main() -> None:
    """Make what is missing, table after table and seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="make these anew (default: what is missing)")
    anew = parser.parse_args().tables
    WHY.mkdir(parents=True, exist_ok=True)
    for name in anew:
        (WHY / f"{name}.csv").unlink(missing_ok=True)
    world = World()
    for name, seed in tqdm([(name, seed) for name in anew or TABLES for seed in SEEDS], desc="tables"):
        path = WHY / f"{name}.csv"
        there = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["seed"])
        if (there.seed == seed).any():
            continue
        found = [rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([rows]) for rows in TABLES[name](world, seed)]
        if found:
            table = pd.concat(found).assign(seed=seed).round(6)
            (pd.concat([there, table]) if len(there) else table).to_csv(path, index=False)


if __name__ == "__main__":
    main()
