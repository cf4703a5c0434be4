"""How fast, at what cost: ``python -m wiseft_nb.make.timing`` (about half an hour on 2 cores).

Ours, the naive way and open_clip's own, side by side in one process: within each repetition one after
the other, so that a machine that speeds up or slows down does so for all. What is compared is first
shown to give the same answer. Memory is measured in a process of its own for each number of alphas.
Writes ``data/results/benchmark.json`` and from it the README's tables. ``--only NAME ...`` measures
some again and keeps the rest.
"""

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm.auto import tqdm

from wiseft_nb.engine.files import write_whole
from wiseft_nb.errors import WiseftError
from wiseft_nb.make import comparisons, growth
from wiseft_nb.make.readme import write_between
from wiseft_nb.paths import DATA

RESULT = DATA / "results" / "benchmark.json"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two ways to one answer.

    ``sides`` makes the two callables, the first one ours, and raises if their answers differ. The ratio
    is the other's time by ours, which is to be at least ``wanted``; with ``cost`` it is ours by the
    other's, to be at most ``wanted``.
    """

    what: str
    against: str
    wanted: float
    sides: Callable[[comparisons.Size, Path], comparisons.Sides]
    repetitions: int = 3
    cost: bool = False


COMPARISONS = {
    "head": Comparison(
        "`zero_shot_head`, {architecture}, {classes} classes x 80 templates",
        "open_clip's `build_zero_shot_classifier`",
        5.0,
        comparisons.head,
    ),
    "sweep": Comparison(
        "`sweep`, {files:,} JPEG files, 11 alphas, bundled CLIP",
        "a DataLoader for each alpha",
        5.0,
        comparisons.sweep_files,
    ),
    "sweep, two workers": Comparison(
        "`sweep`, {files:,} JPEG files, 11 alphas, bundled CLIP",
        "a DataLoader with two workers for each alpha",
        5.0,
        comparisons.sweep_files_by_workers,
    ),
    "sweep, pure forward": Comparison(
        "`sweep`, {few:,} JPEG files, 5 alphas, {architecture}",
        "the same forward passes on tensors in memory",
        1.15,
        comparisons.sweep_forward,
        cost=True,
    ),
    "linear": Comparison(
        "`sweep` of a linear classifier, {images:,} images, 101 alphas",
        "the same at its two ends",
        1.2,
        comparisons.sweep_linear,
        repetitions=7,
        cost=True,
    ),
    "fine_tune": Comparison(
        "`fine_tune`, {images:,} images, with its augmentation",
        "a hand-written loop on tensors in memory",
        0.95,
        comparisons.fine_tuning,
        repetitions=7,
    ),
}
TABLES = ("compute", "memory", *growth.GROWTHS)


def measured(sides: comparisons.Sides, repetitions: int) -> dict[str, list[float]]:
    """Seconds of every side, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repetitions):
        for name, run in sides.items():
            seconds[name].append(comparisons.timed(run))
    return seconds


def compared(comparison: Comparison, size: comparisons.Size, folder: Path) -> dict:
    """A row of the result: seconds, their ratios a repetition, and whether the median is what is wanted."""
    seconds = measured(comparison.sides(size, folder), comparison.repetitions)
    ours, other = seconds.values()
    ratios = [(a / b if comparison.cost else b / a) for a, b in zip(ours, other, strict=True)]
    median = statistics.median(ratios)
    return {
        "what": comparison.what.format(**dataclasses.asdict(size)),
        "against": comparison.against,
        "measure": "our time by theirs" if comparison.cost else "times as fast",
        "ratio": median,
        "lowest": min(ratios),
        "highest": max(ratios),
        "wanted": comparison.wanted,
        "met": median <= comparison.wanted if comparison.cost else median >= comparison.wanted,
        "seconds": seconds,
    }


def memory(size: comparisons.Size) -> list[dict]:
    """Peak memory of a whole process that sweeps, for 3 and 101 alphas."""
    context, rows = multiprocessing.get_context("spawn"), []
    for alphas in (3, 101):
        with context.Pool(1) as pool:
            rows.append({"alphas": alphas, "mebibytes": pool.apply(comparisons.peak_of_sweep, (alphas, size.images))})
    return rows


def run(names: list[str], size: comparisons.Size) -> dict:
    """Measure what is named."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(names, desc="benchmark"):
            if name in COMPARISONS:
                results[name] = compared(COMPARISONS[name], size, Path(folder))
            elif name == "memory":
                results[name] = memory(size)
            elif name == "compute":
                results[name] = comparisons.compute_options(size)
            else:
                results[name] = growth.grown(name, size)
    return results


def tables(results: dict) -> list[str]:
    """The README's lines."""
    lines = ["| what | against | median (lowest to highest) | wanted |", "|---|---|---|---|"]
    for row in (results[name] for name in COMPARISONS if name in results):
        fast = row["measure"] == "times as fast"
        ratio = "{ratio:.2f} ({lowest:.2f} to {highest:.2f}) times {0}".format("as fast" if fast else "the time", **row)
        wanted = f"{'at least' if fast else 'at most'} {row['wanted']:g}" + ("" if row["met"] else ", **not reached**")
        lines.append(f"| {row['what']} | {row['against']} | {ratio} | {wanted} |")
    if "compute" in results:
        lines += ["", "| bundled CLIP, MNIST test set | times as fast | accuracy | largest difference of a logit |"]
        lines += ["|---|---|---|---|"]
        for row in results["compute"]:
            if "failed" in row:
                lines.append(f"| {row['option']} | {row['failed']} | | |")
                continue
            changed = f"{100 * row['difference']:+.1f} points"
            lines.append(f"| {row['option']} | {row['ratio']:.2f} | {changed} | {row['logits']:.1g} |")
    grown = [name for name in growth.GROWTHS if name in results]
    if grown:
        lines += ["", "| cost grows with | from | to | time grows |", "|---|---|---|---|"]
    for name in grown:
        first, last = results[name][0], results[name][-1]
        times = f"{last['seconds'] / first['seconds']:.1f} times"
        lines.append(
            f"| {growth.GROWTHS[name]} | {first['size']:,} | {last['size']:,}, {last['size'] / first['size']:.1f} times "
            f"| {times} |"
        )
    if "memory" in results:
        peaks = " and ".join(f"{row['mebibytes']:,.0f} MiB at {row['alphas']} alphas" for row in results["memory"])
        lines += ["", f"Peak memory of a process that sweeps: {peaks}."]
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the JSON, and the README's tables from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*COMPARISONS, *TABLES]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULT, help="the JSON file; README is written for the default")
    options = parser.parse_args(arguments)
    if options.quick and options.out == RESULT:
        raise WiseftError("--quick measures nothing worth keeping: pass --out with a file to write instead")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results |= run(options.only, comparisons.QUICK if options.quick else comparisons.FULL)
    results["versions"] = {name: version(name) for name in ("torch", "open_clip_torch")}
    results["threads"] = torch.get_num_threads()
    write_whole(options.out, (json.dumps(results, indent=1) + "\n").encode())
    lines = tables(results)
    if options.out == RESULT:
        write_between("benchmark", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
