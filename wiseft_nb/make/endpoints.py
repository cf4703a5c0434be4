"""What many fine-tuned models say along alpha, for notebook 09: ``python -m wiseft_nb.make.endpoints``.

About an hour on one core. Fine-tunes with every recipe and seed, and keeps the logits for eleven alphas under
``build/endpoints``, a file an endpoint; one that is there is not made again. ``wiseft_nb.make.choosing`` judges rules
for alpha by them.

Explained in notebook 09_choose_alpha.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.analyse.ensembles import predict_along
from wiseft_nb.analyse.views import Transformed
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.evaluate import Predictions
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.make.hard_views import JUNK, KINDS
from wiseft_nb.make.results import ALPHAS, LINEAR_EPOCHS, SEEDS
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.paths import BUILD
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.zero_shot import zero_shot_classifier

FOLDER = BUILD / "endpoints"
# the study's three learning rates, and recipes that played no part when its rule was found
RATES = {f"lr {lr:g}": {"lr": lr} for lr in (3e-3, 1e-2, 1e-3)}
OTHERS = {
    "linear": {"method": "linear", "lr": 3e-2, "epochs": LINEAR_EPOCHS},
    "BatchNorm trained": {"train_batchnorm": True},
}
RECIPES = RATES | OTHERS
EVERY = 2  # of the made shifts of test digits, every second image
EVERY_JUNK = 4


@dataclass(frozen=True)
class Endpoint:
    """One fine-tuned model: its recipe and seed."""

    recipe: str
    seed: int

    @property
    def file(self) -> Path:
        """Where its logits are kept: dataset -> float32 ``(alphas, n, classes)``."""
        return FOLDER / f"{self.recipe}, seed {self.seed}.npz"

    def fine_tuned(self, zero_shot: ImageClassifier, benchmark: Benchmark) -> ImageClassifier:
        """The model, trained once."""
        config = FineTuneConfig(seed=self.seed, **RECIPES[self.recipe])
        return fine_tune(zero_shot, benchmark, config, progress=False, cache=True)


ENDPOINTS = [Endpoint(recipe, seed) for recipe in RECIPES for seed in SEEDS]


def hard_validation(benchmark: Benchmark) -> dict[str, Dataset]:
    """The validation images by every kind of change: what a temperature can be fitted on without the target."""
    return {f"val, {kind}": Transformed(benchmark.val, change, seed=1) for kind, change in KINDS.items()}


def further_shifts(benchmark: Benchmark) -> dict[str, Dataset]:
    """The same changes of test images: eleven shifts that no rule has seen."""
    some = benchmark.reference.subset(np.arange(0, len(benchmark.reference), EVERY))
    return {f"test, {kind}": Transformed(some, change, seed=2) for kind, change in KINDS.items()}


def junk(benchmark: Benchmark) -> dict[str, Dataset]:
    """Images of each shift with their patches shuffled, which show no digit."""
    return {
        f"junk, {name}": Transformed(data.subset(np.arange(0, len(data), EVERY_JUNK)), JUNK, seed=3)
        for name, data in benchmark.shifts.items()
    }


def datasets_of(benchmark: Benchmark, further: bool = True) -> dict[str, Dataset]:
    """All that endpoints are asked about."""
    sets = {"val": benchmark.val, **benchmark.test_sets, **hard_validation(benchmark)}
    return sets | (further_shifts(benchmark) | junk(benchmark) if further else {})


def paths_of(endpoint: Endpoint, labels: dict[str, Tensor]) -> dict[str, dict[float, Predictions]]:
    """What was kept of an endpoint: dataset -> alpha -> predictions, given the labels of each dataset."""
    with np.load(endpoint.file) as kept:
        found = {name: torch.from_numpy(kept[name]) for name in kept.files}
    return {
        name: {alpha: Predictions(of_alpha, labels[name]) for alpha, of_alpha in zip(ALPHAS, logits, strict=True)}
        for name, logits in found.items()
    }


def missing() -> Iterator[Endpoint]:
    """Endpoints whose logits are not there yet."""
    return (endpoint for endpoint in ENDPOINTS if not endpoint.file.exists())


def main() -> None:
    """Make what is missing, endpoint after endpoint."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    benchmark = load_benchmark("digits")
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    for endpoint in tqdm(list(missing()), desc="endpoints"):
        tuned = endpoint.fine_tuned(zero_shot, benchmark)
        sets = datasets_of(benchmark, further=endpoint.recipe in RATES)
        said = {name: predict_along(zero_shot, tuned, data, ALPHAS, progress=False) for name, data in sets.items()}
        logits = {name: torch.stack([p.logits for p in path.values()]).numpy() for name, path in said.items()}
        draft = endpoint.file.with_suffix(".tmp")
        with draft.open("wb") as file:
            np.savez(file, **logits)
        os.replace(draft, endpoint.file)


if __name__ == "__main__":
    main()
