"""Models, data and paths of notebook 08's tables: see ``wiseft_nb/make/breaking.py``.

Explained in notebook 08_break_it.
"""

import copy
import dataclasses
import functools

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from wiseft_nb.analyse.averages import with_statistics_of
from wiseft_nb.analyse.landscape import moved
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.benchmarks.base import ImageSet
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.make.results import places_of_mean
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import chord_errors, mean_rows, sweep
from wiseft_nb.zero_shot import zero_shot_classifier

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
FINE = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
IMAGES = 250  # of each test set: those of one digit under several shifts are the same
STEPS, BATCH, FEW_VALIDATION = 60, 40, 50  # of a fine-tuning on few images; who has few has few to watch by
TWICE, SECOND_NAME = 7, "seven"


def part(images: ImageSet, n: int = IMAGES, seed: int = 0) -> ImageSet:
    """A random part, in its order; the same places of sets that are as long."""
    return images.subset(np.sort(np.random.default_rng(seed).permutation(len(images))[:n]))


class World:
    """What all tables share; fine-tuned models are made when they are first asked for."""

    def __init__(self) -> None:
        whole, self.clip = load_benchmark("digits"), load_clip("digits-rn")
        shifts = {name: part(images) for name, images in whole.shifts.items()}
        self.benchmark = dataclasses.replace(whole, reference=part(whole.reference), shifts=shifts)
        self.zero_shot = zero_shot_classifier(self.clip, self.benchmark)

    @functools.lru_cache(maxsize=8)  # noqa: B019  (one world a run)
    def fine_tuned(self, seed: int, lr: float = 3e-3, epochs: int = 8, bn: bool = False) -> ImageClassifier:
        """From zero-shot, on all training images."""
        config = FineTuneConfig(lr=lr, epochs=epochs, train_batchnorm=bn, seed=seed)
        return fine_tune(self.zero_shot, self.benchmark, config, progress=False, cache=True)

    def path(
        self,
        zero_shot: ImageClassifier,
        fine_tuned: ImageClassifier,
        alphas: tuple[float, ...] = ALPHAS,
        images: int = IMAGES,
    ) -> pd.DataFrame:
        """Accuracy along alpha on validation data, the reference and each group."""
        benchmark = self.benchmark
        sets = {"val": benchmark.val, **benchmark.test_sets}
        if images < IMAGES:
            sets |= {name: part(data, images) for name, data in benchmark.test_sets.items()}
        groups = places_of_mean(benchmark)
        table = sweep(zero_shot, fine_tuned, benchmark, alphas, sets, groups=groups, chord=True, progress=False)
        wanted = table[table.dataset.isin(["val", benchmark.reference_name, *groups])]
        return wanted.assign(distance=distance_of(zero_shot, fine_tuned))

    def again(self, zero_shot: ImageClassifier, fine_tuned: ImageClassifier) -> pd.DataFrame:
        """The same with BatchNorm's statistics estimated on training images anew, for every alpha."""
        benchmark, groups = self.benchmark, places_of_mean(self.benchmark)
        sets = {"val": benchmark.val, **benchmark.test_sets}
        models = {a: with_statistics_of(wise_ft(zero_shot, fine_tuned, a), benchmark.train) for a in ALPHAS}
        said = {
            name: {a: evaluate(model, data, progress=False) for a, model in models.items()}
            for name, data in sets.items()
        }
        rows = [{"alpha": a, "dataset": name} | p.row() for name, of in said.items() for a, p in of.items()]
        right = {name: np.stack([p.correct.numpy() for p in of.values()], axis=1) for name, of in said.items()}
        for group, names in groups.items():
            rows += mean_rows(group, {name: right[name] for name in names}, sets, ALPHAS)
        table = pd.DataFrame(rows).assign(chord_error=chord_errors(right, groups, sets, ALPHAS))
        wanted = table[table.dataset.isin(["val", benchmark.reference_name, *groups])]
        return wanted.assign(distance=distance_of(zero_shot, fine_tuned))


def distance_of(zero_shot: ImageClassifier, other: ImageClassifier) -> float:
    """Length of the step by the length of the zero-shot weights."""
    return float(moved(zero_shot, other, depth=0).relative.iloc[0])


def with_head(classifier: ImageClassifier, head: ImageClassifier) -> ImageClassifier:
    """One classifier's encoder under another's head."""
    mixed = copy.deepcopy(classifier)
    mixed.classification_head = copy.deepcopy(head.classification_head)
    return mixed


def with_random_head(zero_shot: ImageClassifier, seed: int) -> ImageClassifier:
    """The same encoder under a head as PyTorch begins one."""
    shape = zero_shot.classification_head.weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = ClassificationHead(torch.nn.Linear(shape.shape[1], shape.shape[0]).weight)
    mixed = copy.deepcopy(zero_shot)
    mixed.classification_head = head
    return mixed


def shots(world: World, draw: int, n: int, lr: float) -> ImageClassifier:
    """Fine-tuned on so many images a class, a fixed number of steps."""
    train, rng = world.benchmark.train, np.random.default_rng(draw)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(train.labels == c))[:n] for c in range(10)])
    few = dataclasses.replace(
        world.benchmark, train=train.subset(np.sort(chosen)), val=part(world.benchmark.val, FEW_VALIDATION, draw)
    )
    batch = min(BATCH, len(chosen))
    epochs = max(1, round(STEPS / -(-len(chosen) // batch)))
    config = FineTuneConfig(lr=lr, epochs=epochs, batch_size=batch, seed=draw)
    return fine_tune(world.zero_shot, few, config, progress=False)


def named_twice(benchmark: Benchmark, seed: int, together: bool) -> Benchmark:
    """One class gets a second name, and half of its training images that label; tests know the first name alone.

    Scored together, the two names are one label, by ``class_groups``.
    """
    train, rng = benchmark.train, np.random.default_rng(seed)
    of_class = np.flatnonzero(train.labels == TWICE)
    labels, names = train.labels.copy(), (*benchmark.class_names, SECOND_NAME)
    labels[rng.permutation(of_class)[: len(of_class) // 2]] = len(names) - 1
    groups = tuple((c, len(names) - 1) if c == TWICE else (c,) for c in range(len(benchmark.class_names)))

    def scored(images: Dataset) -> Dataset:
        images = copy.copy(images)
        if together:
            images.class_groups = groups
        return images

    sets = {name: scored(images) for name, images in benchmark.test_sets.items()}
    reference, name = sets.pop(benchmark.reference_name), benchmark.reference_name
    return dataclasses.replace(
        benchmark,
        class_names=names,
        train=ImageSet(train.images, labels),
        val=scored(benchmark.val),
        reference=reference,
        shifts=sets,
        reference_name=name,
    )
