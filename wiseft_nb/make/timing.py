"""How fast, at what cost: ``python -m wiseft_nb.make.timing`` (about an hour on 2 cores; leave the machine alone).

Ours and another way side by side in one process: within each repetition one after the other, so that a
machine that speeds up or slows down does so for all. Both do the same work, and every repetition is
checked to give the same answer. Writes ``data/results/benchmark.json`` after each measurement, and from it
the README's tables. ``--only NAME ...`` measures some again, all whose names begin so, and keeps the rest.
"""

import argparse
import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from wiseft_nb.engine.files import write_whole
from wiseft_nb.errors import WiseftError
from wiseft_nb.make import comparisons, costs, growth
from wiseft_nb.make.readme import write_between
from wiseft_nb.make.samples import FULL, QUICK, Size
from wiseft_nb.paths import DATA

RESULT = DATA / "results" / "benchmark.json"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two ways to one answer.

    ``sides`` makes the two callables, the first one ours; their answers may differ by ``margin``. The ratio
    is the other's time by ours, which is to be at least ``wanted``; with ``cost`` it is ours by the
    other's, to be at most ``wanted``.
    """

    what: str
    against: str
    wanted: float
    sides: Callable[[Size, Path], comparisons.Sides]
    repetitions: int = 3
    cost: bool = False
    margin: float = 0.0
    threads: int | None = None


SWEPT = {
    "photographs": "{photographs:,} photographs, JPEG files of 500 x 375",
    "thumbnails": "{thumbnails:,} JPEG files of 32 x 32",
    "memory": "12 sets of {each} digits in memory",
}
COMPARISONS = {
    "head": Comparison(
        "`zero_shot_head`, {architecture}, {classes} classes x 80 templates",
        "open_clip's `build_zero_shot_classifier`",
        5.0,
        comparisons.head,
        margin=2e-4,
    ),
    **{
        f"sweep, {kind}, {workers} workers, {threads} threads": Comparison(
            f"`sweep`, {images}, {{alphas}} alphas, {threads} thread{'s' * (threads > 1)}",
            f"a model for each alpha, a DataLoader with {workers} workers",
            5.0,
            comparisons.sweep_of(kind, workers),
            threads=threads,
        )
        for kind, images in SWEPT.items()
        for threads in (1, 2)
        for workers in (0, 2)
    },
    "forward": Comparison(
        "`sweep`, {few:,} photographs, JPEG files of 500 x 375, 5 alphas, {architecture}",
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
    **{
        f"fine_tune, {kind}": Comparison(
            "`fine_tune`, {images:,} images, an epoch with crops and validation", other, wanted, sides, 7, margin=0.05
        )
        for kind, other, wanted, sides in (
            ("0 workers", "a loop by hand with a DataLoader, the same crops", 1.0, comparisons.fine_tuning(0)),
            ("2 workers", "the same with two workers", 1.0, comparisons.fine_tuning(2)),
            ("tensors", "a loop by hand on tensors in memory, no crops", 0.95, comparisons.fine_tuning(None)),
        )
    },
}
TABLES = {"compute": costs.compute_options, "memory": costs.memory}
KNOWN = [*COMPARISONS, *costs.COSTS, *TABLES, *growth.GROWTHS]


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """PyTorch's threads, for a while; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured(sides: comparisons.Sides, repetitions: int, margin: float = 0.0) -> dict[str, list[float]]:
    """Seconds of every side, in turns; refuses answers that differ, for then a ratio would say nothing."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repetitions):
        answers = []
        for name, run in sides.items():
            began = time.perf_counter()
            answers.append(run())
            seconds[name].append(time.perf_counter() - began)
        ours, other = map(np.asarray, answers)
        if ours.shape != other.shape or not np.allclose(ours, other, rtol=0, atol=margin):
            raise WiseftError(f"two ways give two answers, {answers}: a comparison of speed would say nothing")
    return seconds


def compared(comparison: Comparison, size: Size, folder: Path) -> dict:
    """A row of the result: seconds, their ratios a repetition, and whether the median is what is wanted."""
    with threads(comparison.threads):
        seconds = measured(
            comparison.sides(size, folder), min(comparison.repetitions, size.repetitions), comparison.margin
        )
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


def measure(name: str, size: Size, folder: Path) -> object:
    """What one name stands for."""
    if name in COMPARISONS:
        return compared(COMPARISONS[name], size, folder)
    if name in costs.COSTS:
        return costs.cost(name, size, folder)
    return TABLES[name](size) if name in TABLES else growth.grown(name, size)


def tables(results: dict) -> list[str]:
    """The README's lines."""
    lines = ["| what | against | median (lowest to highest) | wanted |", "|---|---|---|---|"]
    for row in (results[name] for name in COMPARISONS if name in results):
        fast = row["measure"] == "times as fast"
        ratio = "{ratio:.2f} ({lowest:.2f} to {highest:.2f}) times {0}".format("as fast" if fast else "the time", **row)
        wanted = f"{'at least' if fast else 'at most'} {row['wanted']:g}" + ("" if row["met"] else ", **not reached**")
        lines.append(f"| {row['what']} | {row['against']} | {ratio} | {wanted} |")
    if found := [results[name] for name in costs.COSTS if name in results]:
        lines += ["", "| cost | median (lowest to highest) |", "|---|---|"]
    for row in found:
        low, high = min(row["values"]), max(row["values"])
        lines.append(f"| {row['what']} | {row['median']:.2g} ({low:.2g} to {high:.2g}) {row['unit']} |")
    if "compute" in results:
        lines += ["", "| bundled CLIP, MNIST test set | times as fast | accuracy | largest difference of a logit |"]
        lines += ["|---|---|---|---|"]
        for row in results["compute"]:
            if "failed" in row:
                lines.append(f"| {row['option']} | {row['failed']} | | |")
                continue
            changed = f"{100 * row['difference']:+.1f} points"
            lines.append(f"| {row['option']} | {row['ratio']:.2f} | {changed} | {row['logits']:.1g} |")
    if grown := [name for name in growth.GROWTHS if name in results]:
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
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="; ".join(KNOWN))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULT, help="the JSON file; README is written for the default")
    options = parser.parse_args(arguments)
    if options.quick and options.out == RESULT:
        raise WiseftError("--quick measures nothing worth keeping: pass --out with a file to write instead")
    names = [name for name in KNOWN if name.startswith(tuple(options.only))]
    if not names:
        raise WiseftError(f"nothing begins with {' or '.join(options.only)}: expected one of {'; '.join(KNOWN)}")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results = {name: row for name, row in results.items() if name in KNOWN}  # not what was once measured otherwise
    results["versions"] = {name: version(name) for name in ("torch", "open_clip_torch")}
    results["threads"] = torch.get_num_threads()  # where a row says nothing else
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(names, desc="benchmark"):
            results[name] = measure(name, QUICK if options.quick else FULL, Path(folder))
            write_whole(options.out, (json.dumps(results, indent=1) + "\n").encode())
    lines = tables(results)
    if options.out == RESULT:
        write_between("benchmark", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
