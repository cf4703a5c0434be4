"""Measure what notebook 10 states over three seeds: ``python -m wiseft_nb.make.beyond [methods]``.

For every method of ``beyond_methods`` and every seed: trains what it needs, chooses its knob, asks every classifier on
its own alpha curve for validation data, all test sets and letters, and measures. Everything is kept under
``build/beyond`` run after run and alpha after alpha, so a command that was killed goes on; with names, only those.
``--seed 0`` takes one seed; ``--again`` measures anew from the predictions that are kept, in seconds a method;
``--tiny`` goes through everything on a few images, in a minute or two, and writes beside its runs. A changed recipe
needs ``build/beyond`` deleted. Two commands at a time may share the runs, if not the same methods; what one overwrites in
a table of the other's comes back when the command is run once more at the end with ``--again``.

**The knob** (a penalty's weight, a learning rate, a rank) is chosen on seed 0 by validation accuracy of the fine-tuned
end: of those within one standard error of the best, the one that holds strongest to zero-shot, which stands first in the
grid. **The alpha** "chosen" is, by the same rule on validation data, the smallest within one standard error of the best.

Writes under ``data/results/beyond``:

    curves.csv    of every method, seed and alpha: accuracy, gain over plain WiSE-FT at equal reference accuracy (for both
                  learning rates of the plain baseline), calibration error, effective robustness, letters
    methods.csv   what each cost: steps, networks kept, networks run for a training image, labels, seconds
    knobs.csv     validation accuracy of every knob, and which was chosen
    tasks.csv     one encoder for digits and letters: PAINT, task arithmetic, TIES, DARE, Fisher

How long: a run of 224 steps took 2.4 minutes with both cores at work, about one with a core to itself; a step costs,
beside a plain one, FLYP 1.1, distillation 1.25, Lipsum-FT 1.3, trajectory 1.35. A classifier takes 10 s for all test sets.
So a method and a seed take 1 to 2 minutes where its runs are there (soups, LiNeS, TPGM), 4 with one run of its own, 9 with
four (DiWA); all of them two and a half hours on two cores. ``plain`` and ``plain-low`` go first, the others are measured
against them.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.benchmarks.digits.other_prompts import other_prompts
from wiseft_nb.engine.files import replacing
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import FineTuneConfig
from wiseft_nb.make.beyond_curves import BASELINES, measure, within_error
from wiseft_nb.make.beyond_methods import METHODS, name_of
from wiseft_nb.make.beyond_tasks import tasks
from wiseft_nb.make.beyond_world import World
from wiseft_nb.make.results import ALPHAS, LINEAR_EPOCHS, RESULTS, SEEDS
from wiseft_nb.models.clip import load_clip
from wiseft_nb.paths import BUILD

BEYOND = RESULTS / "beyond"
OWN = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # a method's own curve; the plain ones have all of ALPHAS
TASKS = "tasks"


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
    if there.knob.tolist() != [name_of(k) for k in knobs]:  # not yet, or another grid
        n = len(world.benchmark.val)
        found = [evaluate(method.make(world, 0, k), world.benchmark.val, progress=False).accuracy() for k in knobs]
        first = within_error(found, n)
        there = pd.DataFrame({"method": name, "knob": [name_of(k) for k in knobs], "val_accuracy": found, "n": n})
        there = there.assign(chosen=there.index == first)
        table = pd.concat([table[table.method != name], there]) if len(table) else there
    return knobs[list(there.chosen).index(True)], table


def read(path: Path, *columns: str) -> pd.DataFrame:
    """A table as it stands, or an empty one."""
    return pd.read_csv(path, dtype={"knob": str}) if path.exists() else pd.DataFrame(columns=list(columns))


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
    parser.add_argument(
        "methods", nargs="*", choices=[*METHODS, TASKS, []], help="default: all; lora if peft is installed"
    )
    parser.add_argument("--seed", action="append", type=int, choices=SEEDS, help="this one alone; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure anew what was predicted already")
    parser.add_argument("--tiny", action="store_true", help="a few images and steps, under build/beyond-tiny")
    asked = parser.parse_args(arguments)
    world = a_tiny_world(BUILD / "beyond-tiny") if asked.tiny else the_world()
    tables = world.folder / "tables" if asked.tiny else BEYOND
    alphas = dict.fromkeys((*BASELINES, "own"), (0.0, 0.5, 1.0))
    if not asked.tiny:
        alphas = {"own": OWN, **dict.fromkeys(BASELINES, ALPHAS)}
    names = asked.methods or [name for name in (*METHODS, TASKS) if name != "lora" or find_spec("peft")]
    for seed, name in tqdm([(seed, name) for seed in asked.seed or SEEDS for name in names], desc="methods"):
        one(world, tables, name, seed, alphas, asked.again)


if __name__ == "__main__":
    main()
