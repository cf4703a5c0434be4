"""Would a coefficient for every part of the network be better than one? ``python -m wiseft_nb.make.depth``.

Some minutes on one core, after ``wiseft_nb.make.endpoints``. Coefficients rise or fall linearly from the first part to
the last, over a grid of 5 x 5; the rule "confidence", labels of the target, and a few labels choose from the grid and
from its diagonal, which is one alpha for all. Writes ``data/results/choosing/depth.csv``, endpoint after endpoint.

Explained in notebook 09_choose_alpha.
"""

import copy
import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.analyse.calibration import at_temperature, confidence, fit_temperature, negative_log_likelihood
from wiseft_nb.analyse.views import rotated
from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.interpolate import interpolate
from wiseft_nb.make.choosing import FOLDER
from wiseft_nb.make.endpoints import ENDPOINTS, Endpoint
from wiseft_nb.make.why import PARTS, part_of
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.zero_shot import zero_shot_classifier

TABLE = FOLDER / "depth.csv"
GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
RECIPE = "lr 0.003"
N, FEW = 200, 50  # images of each set; those of them whose labels are known


WORTH = {
    "confidence": lambda said: confidence(said).mean(),
    "50 labels": lambda said: -negative_log_likelihood(Predictions(said.logits[:FEW], said.labels[:FEW])),
    "all labels": Predictions.accuracy,
}


def by_depth(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, first: float, last: float) -> dict:
    """A state dict whose coefficients go from ``first`` at the stem to ``last`` at the head."""
    theta_0, theta_1, mixed = zero_shot.state_dict(), fine_tuned.state_dict(), {}
    for part, alpha in zip(PARTS, np.linspace(first, last, len(PARTS)), strict=True):
        names = [name for name in theta_0 if part_of(name) == part]
        mixed |= interpolate({n: theta_0[n] for n in names}, {n: theta_1[n] for n in names}, float(alpha))
    return mixed


def said_by(model: ImageClassifier, sets: dict[str, Dataset]) -> dict[str, Predictions]:
    """Predictions at the temperature fitted on rotated validation images, but for those themselves."""
    said = {name: evaluate(model, data, progress=False) for name, data in sets.items()}
    temperature = fit_temperature(said.pop("rotated"))
    return {name: at_temperature(found, temperature) for name, found in said.items()}


def measure(
    endpoint: Endpoint, sets: dict[str, Dataset], zero_shot: ImageClassifier, tuned: ImageClassifier
) -> Iterator:
    """A row a shift and way to choose: from the grid and from its diagonal."""
    mixed, said = copy.deepcopy(zero_shot), {}
    for pair in tqdm(list(itertools.product(GRID, GRID)), desc=f"{endpoint.recipe}, seed {endpoint.seed}", leave=False):
        mixed.load_state_dict(by_depth(zero_shot, tuned, *pair))
        said[pair] = said_by(mixed, sets)
    for name in (name for name in sets if name != "rotated"):
        for which, pairs in (("diagonal", [(a, a) for a in GRID]), ("grid", [*said])):
            for rule, of in WORTH.items():
                first, last = max(
                    pairs, key=lambda pair, of=of: (of(said[pair][name]), -sum(abs(a - 0.5) for a in pair))
                )
                accuracy, half = said[first, last][name].accuracy(), said[0.5, 0.5][name].accuracy()
                row = {"dataset": name, "coefficients": which, "rule": rule, "first": first, "last": last}
                yield row | {"accuracy": accuracy, "gain": accuracy - half}


def main() -> None:
    """Measure the endpoints that the table lacks."""
    benchmark, rng = load_benchmark("digits"), np.random.default_rng(0)
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    sets: dict[str, Dataset] = {"rotated": rotated(benchmark.val)}
    for name, data in benchmark.shifts.items():
        sets[name] = data.subset(rng.permutation(len(data))[:N])
    for endpoint in (endpoint for endpoint in ENDPOINTS if endpoint.recipe == RECIPE):
        there = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["recipe", "seed"])
        if ((there.recipe == endpoint.recipe) & (there.seed == endpoint.seed)).any():
            continue
        rows = pd.DataFrame(measure(endpoint, sets, zero_shot, endpoint.fine_tuned(zero_shot, benchmark)))
        rows = rows.assign(recipe=endpoint.recipe, seed=endpoint.seed).round(5)
        (pd.concat([there, rows]) if len(there) else rows).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
