"""What the classifiers on a method's own alpha curve say, and the figures of it: for ``make.beyond``.

Explained in notebook 10_go_beyond.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from safetensors.torch import load_file, save_file

from wiseft_nb.analyse.bootstrap import Statistic
from wiseft_nb.analyse.calibration import at_temperature, calibration_error, fit_temperature
from wiseft_nb.engine.files import replacing
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.make.beyond_methods import METHODS, name_of
from wiseft_nb.make.beyond_world import World
from wiseft_nb.make.measured import Measured, Said
from wiseft_nb.make.results import HAS_LINE
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.robustness import fit_table, load_standard_models

BASELINES = ("plain", "plain-low")
LETTERS = "letters"


def within_error(accuracies: list[float], n: int) -> int:
    """The first that n validation images cannot tell from the best: within one standard error."""
    best = max(accuracies)
    return next(i for i, found in enumerate(accuracies) if found >= best - (best * (1 - best) / n) ** 0.5)


def says(world: World, end: ImageClassifier, stem: str, alpha: float) -> Said:
    """What a method's classifier at alpha says of validation data, every test set and letters; kept."""
    path = world.folder / "said" / (f"{stem}-{alpha:g}.safetensors" if alpha else "zero-shot.safetensors")
    sets = {"val": world.benchmark.val, **world.benchmark.test_sets}
    if not path.exists():
        mixed, of_letters = world.at(end, alpha)
        found = {name: evaluate(mixed, images, progress=False) for name, images in sets.items()}
        found[LETTERS] = evaluate(of_letters, world.letters.reference, progress=False)
        tensors = {f"{what} {name}": getattr(p, what) for name, p in found.items() for what in ("logits", "labels")}
        with replacing(path) as part:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
    kept = load_file(path)
    sets[LETTERS] = world.letters.reference
    return {n: Predictions.on(images, kept[f"logits {n}"], kept[f"labels {n}"]) for n, images in sets.items()}


def curve(world: World, name: str, seed: int, knob: object, alphas: tuple) -> dict[float, Said]:
    """What the classifiers on a method's own alpha curve say."""
    stem, end = " ".join(filter(None, (name, name_of(knob), str(seed)))), METHODS[name].make(world, seed, knob)
    return {alpha: says(world, end, stem, alpha) for alpha in alphas}


def measure(world: World, name: str, seed: int, knob: object, alphas: Mapping[str, tuple]) -> tuple[list, dict]:
    """The rows of a method and a seed for curves.csv, and its row for methods.csv."""
    world.used.clear()
    said = curve(world, name, seed, knob, alphas[name if name in BASELINES else "own"])
    cost = cost_of(world, name, seed, knob)
    tests = {alpha: {n: p for n, p in of.items() if n in world.benchmark.test_sets} for alpha, of in said.items()}
    measured, bases = Measured(world.benchmark, seed), {}
    for base in BASELINES:
        of_base = curve(world, base, seed, None, alphas[base])
        bases[base] = {a: {n: of_base[a][n] for n in world.benchmark.test_sets} for a in of_base}
    lines = robustness(world, measured)
    for alpha, of in tests.items():
        measured.accuracies("curve", name, alpha, of)
        for base, along in bases.items():
            measured.above_curve(f"against {base}", name, alpha, of, along)
        for place in ("val", LETTERS):
            p = said[alpha][place]
            measured.add("curve", name, alpha, "accuracy", place, p.accuracy(), *p.interval())
        calibration(measured, name, alpha, said[alpha])
        measured.figures("curve", name, alpha, lines, of)
    own = list(said)
    chosen = own[within_error([said[alpha]["val"].accuracy() for alpha in own], len(world.benchmark.val))]
    measured.add("curve", name, chosen, "chosen alpha", "val", chosen)
    return measured.rows, cost


def robustness(world: World, measured: Measured) -> dict[tuple[str, str], Statistic]:
    """Effective robustness in every place: the mean over its shifts that have a line of standard models."""
    standard, reference = load_standard_models(), world.benchmark.reference_name
    found = {shift: fit_table(standard, shift, reference) for shift in world.benchmark.shifts}
    lines = {shift: line for shift, line in found.items() if line.r2 >= HAS_LINE}

    def rho(names: Sequence[str]) -> Statistic:
        own = {name: lines[name] for name in names if name in lines}
        return lambda found: np.mean(
            [line.effective_robustness(found[reference][:, 0], found[name][:, 0]) for name, line in own.items()], axis=0
        )

    places = {place: names for place, names in measured.places.items() if set(names) & set(lines)}
    return {("effective robustness", place): rho(names) for place, names in places.items()}


def calibration(measured: Measured, name: str, alpha: float, said: Said) -> None:
    """Calibration error in every place, as it is and at the temperature that validation data ask for."""
    try:
        temperature = fit_temperature(said["val"])
    except WiseftError:  # every validation image right, or none
        temperature = np.nan
    for figure, t in (("calibration error", 1.0), ("calibration error at temperature", temperature)):
        for place, names in measured.places.items():
            errors = [calibration_error(at_temperature(said[n], t)) if np.isfinite(t) else np.nan for n in names]
            measured.add("curve", name, alpha, figure, place, np.mean(errors))


def cost_of(world: World, name: str, seed: int, knob: object) -> dict:
    """What a method took, of the runs it asked for."""
    runs, method = world.used, METHODS[name]
    labels = int(max(run["labels"] for run in runs.values())) + method.decides * len(world.benchmark.val)
    return {
        "method": name,
        "seed": seed,
        "knob": name_of(knob),
        "steps": int(sum(run["steps"] for run in runs.values())),
        "head_steps": int(sum(run["head_steps"] for run in runs.values())),
        "networks": method.networks,
        "passes_training": int(max(run["passes"] for run in runs.values())),
        "passes_predicting": 1,
        "labels": labels,
        "labels_for_knob": len(world.benchmark.val) if len(method.knobs) > 1 else 0,
        "knobs": len(method.knobs),
        "seconds": sum(run["seconds"] for run in runs.values()),
    }
