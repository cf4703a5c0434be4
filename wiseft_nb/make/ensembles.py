"""Measure what notebook 07 states over three seeds: ``python -m wiseft_nb.make.ensembles`` (about 25 minutes on 2 cores).

Fine-tunes with the course's recipe and follows the weights along the run, trains two standard models and a linear
classifier; then each test set is looked at once for each ensemble. Writes ``data/results/ensembles.csv``, seed after
seed and part after part. What stands there is not measured again; with names of parts those are, and no others:
"robust or not" when the table of standard models has changed, say.

Explained in notebook 07_compare_ensembles.
"""

import argparse
import copy
import os
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from wiseft_nb.analyse.averages import average_along, beta_weights, debias, running_average, with_statistics_of
from wiseft_nb.analyse.bootstrap import Statistic, accuracy_of
from wiseft_nb.analyse.calibration import at_temperature, fit_temperature
from wiseft_nb.analyse.ensembles import SPACES, departure_from_line
from wiseft_nb.analyse.per_image import (
    FailureSet,
    at_coefficients,
    choose_distance,
    distance_coefficients,
    distance_grid,
    encode,
    entropy_coefficients,
)
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.engine.batches import shuffled
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import FineTuneConfig
from wiseft_nb.interpolate import interpolate, random_interpolation, wise_ft
from wiseft_nb.intervals import MEAN
from wiseft_nb.make.measured import Measured, Said, along, says, together
from wiseft_nb.make.results import ALPHAS, RESULTS, SEEDS
from wiseft_nb.make.standard_ensembles import linear_classifier, robust_or_not
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.zero_shot import zero_shot_classifier

TABLE = RESULTS / "ensembles.csv"
DECAYS = (0.99, 0.995, 0.998)
BEST_DECAY = 0.995  # followed along the run, and interpolated once more
COINS = {0.5: 2}  # alpha -> how many draws of random weights


def followed(zero_shot: ImageClassifier, benchmark: Benchmark, seed: int) -> tuple[ImageClassifier, dict]:
    """The course's fine-tuning, and the averages along it."""
    config = FineTuneConfig(seed=seed)
    steps = len(plan(benchmark))
    averages = {f"EMA {decay}": {"multi_avg_fn": get_ema_multi_avg_fn(decay)} for decay in DECAYS}
    averages |= {f"Beta {b}": {"multi_avg_fn": running_average(beta_weights(steps, b))} for b in (0.5,)}
    windows = {"SWA, last quarter": (3 * steps // 4, steps)}
    for share in (0.5,):
        stop = round(share * steps)
        averages[f"EMA {BEST_DECAY} at {share:.0%}"] = averages[f"EMA {BEST_DECAY}"]
        windows |= {f"EMA {BEST_DECAY} at {share:.0%}": (0, stop), f"stopped at {share:.0%}": (stop, stop)}
    averages |= {name: {} for name in windows if not name.startswith("EMA")}
    return average_along(zero_shot, benchmark, config, averages, windows)


def spaces(measured: Measured, part: str, curve: dict[float, Said]) -> None:
    """Weights against outputs at every alpha, and how straight the path is."""
    ends = curve[0.0], curve[1.0]
    for alpha, weights in curve.items():
        measured.accuracies(part, "weights", alpha, weights)
        if 0 < alpha < 1:
            for space in SPACES:
                outputs = together(*ends, alpha, space)
                measured.accuracies(part, space, alpha, outputs, against=weights)
                if alpha in (0.3, 0.5, 0.7):
                    measured.above_curve(part, space, alpha, outputs, curve)
    alphas = list(curve)
    for last in alphas[2::2]:  # pieces of the path that begin at zero-shot
        middle = alphas[alphas.index(last) // 2]
        for place, names in measured.places.items():
            rows = [departure_from_line({a: curve[a][name] for a in (0.0, middle, last)}).iloc[1] for name in names]
            for figure in ("departure", "agreement"):
                value = np.mean([row[figure] for row in rows])
                measured.add(part, "weights", last, figure, place, value)


def per_image(measured: Measured, models: tuple, curve: dict[float, Said]) -> None:
    """VRF and DaWin against the curve of interpolated weights, and the plain ensembles beside them."""
    benchmark, ends = measured.benchmark, (curve[0.0], curve[1.0])
    val, train = ([evaluate(m, data, progress=False) for m in models] for data in (benchmark.val, benchmark.train))
    temperatures = [fit_temperature(said) for said in val]
    calibrated = [
        {name: at_temperature(p, t) for name, p in end.items()} for end, t in zip(ends, temperatures, strict=True)
    ]
    failures = FailureSet.of(encode(models[1], benchmark.train), *train)
    distances = {name: failures.distance(encode(models[1], data)) for name, data in benchmark.test_sets.items()}
    calibrated_val = [at_temperature(said, t) for said, t in zip(val, temperatures, strict=True)]
    a, b = choose_distance(failures.distance(encode(models[1], benchmark.val)), *calibrated_val)
    lambdas = {name: entropy_coefficients(*(end[name] for end in calibrated)) for name in benchmark.test_sets}
    paths = {name: {alpha: said[name] for alpha, said in curve.items()} for name in benchmark.test_sets}
    methods = {
        "VRF": together(*calibrated, lambda name: distance_coefficients(distances[name], a, b)),
        "VRF, its code's constants": together(
            *calibrated, lambda name: distance_coefficients(distances[name].square(), 1.5, 0.6)
        ),
        "DaWin": {name: at_coefficients(paths[name], lambdas[name]) for name in paths},
        "DaWin, outputs": together(*calibrated, lambdas.get),
        "probabilities, calibrated, alpha 0.5": together(*calibrated, 0.5),
        "probabilities, alpha 0.5": together(*ends, 0.5),
        "logits, alpha 0.5": together(*ends, 0.5, "logits"),
        "weights, alpha 0.5": curve[0.5],
    }
    for method, said in methods.items():
        measured.accuracies("per image", method, np.nan, said)
        measured.above_curve("per image", method, np.nan, said, curve)
    grid = distance_grid(distances[benchmark.reference_name])  # what no choice on validation data can surpass
    all_of_grid = [together(*calibrated, lambda name, p=p: distance_coefficients(distances[name], *p)) for p in grid]
    best = max(all_of_grid, key=lambda said: np.mean([said[name].accuracy() for name in benchmark.shifts]))
    measured.accuracies("per image", "VRF, a and b chosen on the shifts", np.nan, best)
    measured.above_curve("per image", "VRF, a and b chosen on the shifts", np.nan, best, curve)
    facts = {"failures": len(failures.features), "k": failures.k, "a": a, "b": b}
    facts |= {"zero-shot right alone": (val[0].correct & ~val[1].correct).sum().item()}
    facts |= {f"DaWin, mean alpha on {name}": lambdas[name].mean().item() for name in (*benchmark.test_sets,)}
    facts |= {f"distance, median on {name}": distance.median().item() for name, distance in distances.items()}
    facts |= {f"temperature, {end}": t for end, t in zip(("zero-shot", "fine-tuned"), temperatures, strict=True)}
    for name, value in facts.items():
        measured.add("per image", "facts", np.nan, name, "val", value)


def trajectory(measured: Measured, ends: tuple, averages: dict, curve: dict[float, Said]) -> None:
    """Averages along the run against the curve; BatchNorm's statistics as they were, and estimated again."""
    benchmark, (zero_shot, fine_tuned) = measured.benchmark, ends
    models = dict(averages)
    measured.above_curve("trajectory", "fine-tuned", np.nan, curve[1.0], curve)
    ema = f"EMA {BEST_DECAY}"
    theta_0, steps = zero_shot.state_dict(), len(plan(benchmark))
    debiased = debias(theta_0, averages[ema].state_dict(), BEST_DECAY, steps)
    for alpha in (0.5, 0.75, 1.0):
        name = f"debiased {ema}, WiSE-FT {alpha}"
        models[name] = copy.deepcopy(zero_shot)
        models[name].load_state_dict(interpolate(theta_0, debiased, alpha))
    models["fine-tuned, update_bn"] = with_statistics_of(fine_tuned, benchmark.train)
    half = wise_ft(zero_shot, fine_tuned, 0.5)
    models["weights, alpha 0.5, update_bn"] = with_statistics_of(half, benchmark.train)
    for name, model in tqdm(models.items(), desc="averages", leave=False):
        said = says(model, benchmark)
        measured.accuracies("trajectory", name, np.nan, said, curve[1.0], where=("reference", MEAN))
        measured.above_curve("trajectory", name, np.nan, said, curve)


def plan(benchmark: Benchmark) -> list:
    """The batches of the course's fine-tuning, step after step."""
    config = FineTuneConfig()
    return shuffled(len(benchmark.train), config.batch_size, config.epochs, config.seed)


def coins(measured: Measured, models: tuple, curve: dict[float, Said]) -> None:
    """Weights from either end by a coin, against interpolated ones; and the coin for each image, the chord."""
    ends, mixed = (curve[0.0], curve[1.0]), copy.deepcopy(models[0])
    for alpha, draws in COINS.items():
        against = curve.get(alpha)
        for draw in range(draws):
            mixed.load_state_dict(random_interpolation(*(model.state_dict() for model in models), alpha, seed=draw))
            said = says(mixed, measured.benchmark)
            measured.accuracies("coins", f"weights, draw {draw}", alpha, said, against)
            if against is not None:
                thetas = (model.state_dict() for model in models)
                mixed.load_state_dict(random_interpolation(*thetas, alpha, seed=draw, whole_tensors=True))
                said = says(mixed, measured.benchmark)
                measured.accuracies("coins", f"tensors, draw {draw}", alpha, said, against)
        chords = {("accuracy", place): chord(names, alpha) for place, names in measured.places.items()}
        measured.figures("coins", "images", alpha, chords, *ends)


def chord(names: Sequence[str], alpha: float) -> Statistic:
    """What one expects of asking the second classifier with probability alpha, and else the first."""
    first, second = accuracy_of(names, 0), accuracy_of(names, 1)
    return lambda found: (1 - alpha) * first(found) + alpha * second(found)


class Run:
    """What the parts of one seed share, each made when it is first asked for."""

    def __init__(self, benchmark: Benchmark, seed: int) -> None:
        self.benchmark, self.seed = benchmark, seed
        self.zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)

    @cached_property
    def followed(self) -> tuple[ImageClassifier, dict]:
        """The fine-tuned model, and the averages along its run."""
        return followed(self.zero_shot, self.benchmark, self.seed)

    @property
    def models(self) -> tuple[ImageClassifier, ImageClassifier]:
        """Zero-shot and fine-tuned."""
        return self.zero_shot, self.followed[0]

    @cached_property
    def curve(self) -> dict[float, Said]:
        """What interpolated weights say."""
        return along(*self.models, self.benchmark, ALPHAS)


def standard(measured: Measured, run: Run) -> None:
    """Ensembles with standard models; of the zero-shot classifier alone, no fine-tuning is needed."""
    said = says(run.zero_shot, run.benchmark)
    robust_or_not(measured, said, evaluate(run.zero_shot, run.benchmark.val, progress=False))


PARTS: dict[str, Callable[[Measured, Run], None]] = {
    "spaces": lambda measured, run: spaces(measured, "spaces", run.curve),
    "per image": lambda measured, run: per_image(measured, run.models, run.curve),
    "trajectory": lambda measured, run: trajectory(measured, run.models, run.followed[1], run.curve),
    "coins": lambda measured, run: coins(measured, run.models, run.curve),
    "robust or not": standard,
    "linear classifier": lambda measured, run: linear_classifier(measured, run.zero_shot),
}


def one_part(part: str, run: Run) -> None:
    """Measure a part of one seed, and write it where it belongs in the table."""
    measured = Measured(run.benchmark, run.seed)
    PARTS[part](measured, run)
    new, there = pd.DataFrame(measured.rows).round(5), read()
    table = pd.concat([there[(there.seed != run.seed) | (there.part != part)], new] if len(there) else [new])
    order = {name: place for place, name in enumerate(PARTS)}
    table = table.sort_values(["seed", "part"], key=lambda column: column.replace(order), kind="stable")
    temporary = TABLE.with_suffix(".tmp")
    table.to_csv(temporary, index=False)
    os.replace(temporary, TABLE)


def read() -> pd.DataFrame:
    """The table as it stands, or an empty one."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["seed", "part"])


def main() -> None:
    """Measure what the table lacks, or the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"measure these anew: {', '.join(map(repr, PARTS))}")
    anew = parser.parse_args().parts
    if unknown_parts := set(anew) - set(PARTS):
        parser.error(f"no part is called {unknown_parts}: choose from {list(PARTS)}")
    benchmark = load_benchmark("digits")
    for seed in SEEDS:
        done = set() if anew else set(read().query("seed == @seed").part)
        run = Run(benchmark, seed)
        for part in tqdm([part for part in anew or PARTS if part not in done], desc=f"seed {seed}"):
            one_part(part, run)


if __name__ == "__main__":
    main()
