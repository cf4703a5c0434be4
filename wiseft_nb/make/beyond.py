"""Measure what notebook 10 states over three seeds: ``python -m wiseft_nb.make.beyond [methods]``.

For every method of ``beyond_methods`` and every seed: trains what it needs, chooses its knob, asks every classifier on
its own alpha curve for validation data, all test sets and letters, and measures. Everything is kept under
``build/beyond`` run after run and alpha after alpha, so a command that was killed goes on; with names, only those.
``--seed 0`` takes one seed; ``--again`` measures anew from the predictions that are kept, in seconds a method;
``--tiny`` goes through everything on a few images, in a minute or two, and writes beside its runs. A changed recipe
needs ``build/beyond`` deleted. Two commands at a time may share the runs, not one table: at the end run
it once more with ``--again``.

**The knob** (a penalty's weight, a learning rate, a rank) is chosen on seed 0 by validation accuracy of the fine-tuned
end: of those within one standard error of the best, the one that holds strongest to zero-shot, which stands first in the
grid. **The alpha** "chosen" is, by the same rule on validation data, the smallest within one standard error of the best.

Writes under ``data/results/beyond``:

    curves.csv    of every method, seed and alpha: accuracy, gain over plain WiSE-FT at equal reference accuracy (for both
                  learning rates of the plain baseline), calibration error, effective robustness, letters
    methods.csv   what each cost: steps, networks kept, networks run for a training image, labels, seconds
    knobs.csv     validation accuracy of every knob, and which was chosen
    tasks.csv     one encoder for digits and letters: PAINT, task arithmetic, TIES, DARE, Fisher

How long it takes on one core, in minutes: a plain run 3.2, a curve of six alphas 1, of eleven 2. All seeds together:

    plain, plain-low            16 each     lp-ft                       15     l2                   19 (5 runs)
    distillation, lipsum-ft     24 each     trajectory                  26     flyp, flyp-multi     20 each
    uniform-soup                23 (6 runs more, greedy-soup and model-stock then 4 each)  diwa      32 (9 runs)
    lines, tpgm                  4 each     lora                        20     paint                13
    tasks                       20 (letters 3 runs, Fisher a minute a seed)

Together about 5 hours on one core, of which about 1.9 for the first seed; ``plain`` and ``plain-low`` go first.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from wiseft_nb.analyse.bootstrap import Statistic
from wiseft_nb.analyse.calibration import at_temperature, calibration_error, fit_temperature
from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.benchmarks.digits.other_prompts import other_prompts
from wiseft_nb.engine.files import replacing
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.fine_tune import FineTuneConfig
from wiseft_nb.make.beyond_methods import METHODS, name_of
from wiseft_nb.make.beyond_tasks import tasks
from wiseft_nb.make.beyond_world import World
from wiseft_nb.make.measured import Measured, Said
from wiseft_nb.make.results import ALPHAS, HAS_LINE, LINEAR_EPOCHS, RESULTS, SEEDS
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import load_clip
from wiseft_nb.paths import BUILD
from wiseft_nb.robustness import fit_table, load_standard_models

BEYOND = RESULTS / "beyond"
BASELINES = ("plain", "plain-low")
OWN = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # a method's own curve; the plain ones have all of ALPHAS
TASKS = "tasks"
LETTERS = "letters"


def the_world() -> World:
    """Digits, letters and the recipes of the course."""
    return World(
        benchmark=load_benchmark("digits"),
        letters=other_prompts()["letters"],
        clip=load_clip("digits-rn"),
        folder=BUILD / "beyond",
        recipe=FineTuneConfig(),
        probe=FineTuneConfig(method="linear", lr=3e-2, epochs=LINEAR_EPOCHS),
        elsewhere=FineTuneConfig(epochs=25),  # about as many steps: a third as many images
    )


def a_tiny_world(folder: Path, images: int = 60) -> World:
    """The same with the first images of each set, and two steps a run."""
    world, config = the_world(), FineTuneConfig(epochs=1, batch_size=images // 2)
    benchmark = world.benchmark
    few = {part: getattr(benchmark, part).subset(slice(images)) for part in ("train", "val", "reference")}
    shifts = {name: shift.subset(slice(images)) for name, shift in benchmark.shifts.items()}
    return dataclasses.replace(
        world,
        benchmark=dataclasses.replace(benchmark, **few, shifts=shifts),
        letters=other_prompts(n=52)["letters"],
        folder=folder,
        recipe=config,
        probe=dataclasses.replace(config, method="linear"),
        elsewhere=config,
    )


def choose(world: World, name: str, table: pd.DataFrame) -> tuple[object, pd.DataFrame]:
    """The knob of a method, and the table of knobs with it: looked up, or chosen on seed 0."""
    knobs, method = METHODS[name].knobs, METHODS[name]
    if len(knobs) == 1:
        return knobs[0], table
    there = table[table.method == name]
    if len(there) < len(knobs):
        n = len(world.benchmark.val)
        found = [evaluate(method.make(world, 0, k), world.benchmark.val, progress=False).accuracy() for k in knobs]
        first = within_error(found, n)
        there = pd.DataFrame({"method": name, "knob": [name_of(k) for k in knobs], "val_accuracy": found, "n": n})
        there = there.assign(chosen=there.index == first)
        table = pd.concat([table[table.method != name], there]) if len(table) else there
    return knobs[list(there.chosen).index(True)], table


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


def read(path: Path, *columns: str) -> pd.DataFrame:
    """A table as it stands, or an empty one."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(columns))


def write(path: Path, new: pd.DataFrame, method: str, seed: int, key: str = "method") -> None:
    """Put the rows of a method and a seed in the place of those that were there."""
    there = read(path, key, "seed")
    there = there[(there[key] != method) | (there.seed != seed)]
    table = pd.concat([there, new.round(6)]) if len(there) else new.round(6)
    with replacing(path) as part:
        table.to_csv(part, index=False)


def one(world: World, tables: Path, name: str, seed: int, alphas: Mapping[str, tuple], again: bool) -> None:
    """A method and a seed, unless its rows are there."""
    path = tables / ("tasks.csv" if name == TASKS else "curves.csv")
    key = "part" if name == TASKS else "method"
    there = read(path, key, "seed")
    if not again and ((there[key] == name) & (there.seed == seed)).any():
        return
    if name == TASKS:
        write(path, pd.DataFrame(tasks(world, seed)), name, seed, key)
        return
    before = read(tables / "knobs.csv", "method", "knob", "val_accuracy", "n", "chosen")
    knob, knobs = choose(world, name, before)
    if knobs is not before:
        with replacing(tables / "knobs.csv") as part:
            knobs.round(6).to_csv(part, index=False)
    rows, cost = measure(world, name, seed, knob, alphas)
    write(tables / "methods.csv", pd.DataFrame([cost]), name, seed)
    write(path, pd.DataFrame(rows), name, seed)  # last: its rows say that all is done


def main(arguments: list[str] | None = None) -> None:
    """Make what is missing, seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", choices=[*METHODS, TASKS, []], help="default: all")
    parser.add_argument("--seed", action="append", type=int, choices=SEEDS, help="this one alone; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure anew what was predicted already")
    parser.add_argument("--tiny", action="store_true", help="a few images and steps, under build/beyond-tiny")
    asked = parser.parse_args(arguments)
    world = a_tiny_world(BUILD / "beyond-tiny") if asked.tiny else the_world()
    tables = world.folder / "tables" if asked.tiny else BEYOND
    alphas = dict.fromkeys((*BASELINES, "own"), (0.0, 0.5, 1.0))
    if not asked.tiny:
        alphas = {"own": OWN, **dict.fromkeys(BASELINES, ALPHAS)}
    names = asked.methods or [*METHODS, TASKS]
    for seed, name in tqdm([(seed, name) for seed in asked.seed or SEEDS for name in names], desc="methods"):
        one(world, tables, name, seed, alphas, asked.again)


if __name__ == "__main__":
    main()
