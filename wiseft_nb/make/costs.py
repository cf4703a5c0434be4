"""What things cost by themselves, for ``make benchmark``: seconds, milliseconds, memory, and ways to compute."""

import dataclasses
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from wiseft_nb.benchmarks.own.folder import ImageFiles
from wiseft_nb.engine.cache import fingerprint, remember
from wiseft_nb.engine.compute import Compute
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.make.comparisons import accuracies
from wiseft_nb.make.peak import peak_mebibytes
from wiseft_nb.make.samples import Size, bundled, photograph_files, two_ends
from wiseft_nb.recipes import FineTuneConfig

CALLS = 100  # of remember
REPETITIONS = 3
NUMBERS = "from wiseft_nb import mean_of_shifts, plot_curves, published, fit_baseline, robustness_explorer"
EVERYTHING = "import wiseft_nb; [getattr(wiseft_nb, name) for name in wiseft_nb.__all__]"


@dataclasses.dataclass(frozen=True)
class Cost:
    """One figure: ``measure`` yields it several times, in ``unit``."""

    what: str
    unit: str
    measure: Callable[[Size, Path], Iterator[float]]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def linear_tuning(size: Size, folder: Path) -> Iterator[float]:
    """A linear classifier of the bundled CLIP, features included."""
    zero_shot, benchmark = bundled()
    benchmark = dataclasses.replace(benchmark, train=benchmark.train.subset(slice(size.linear)))
    config = FineTuneConfig(method="linear", epochs=size.epochs)
    for _ in range(min(REPETITIONS, size.repetitions)):
        yield timed(lambda: fine_tune(zero_shot, benchmark, config, progress=False))


def hashing(size: Size, folder: Path) -> Iterator[float]:
    """The files' bytes, as they decide a key of the cache."""
    files = ImageFiles(photograph_files(folder, size.photographs, 500, 375), bundled()[1].class_names)
    for _ in range(min(REPETITIONS, size.repetitions)):
        yield 1000 * timed(lambda: fingerprint(files)) / len(files)


def decoding(size: Size, folder: Path) -> Iterator[float]:
    """The same files read as images."""
    files = ImageFiles(photograph_files(folder, size.photographs, 500, 375), bundled()[1].class_names)
    for _ in range(min(REPETITIONS, size.repetitions)):
        yield 1000 * timed(lambda: [image.load() for image, _ in files]) / len(files)


def remembering(size: Size, folder: Path) -> Iterator[float]:
    """A small entry into a cache that holds many; a process looks through them once in a while, which is counted."""
    tensors = {"predicted": torch.zeros(1000, dtype=torch.int64)}
    with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, {"WISEFT_NB_CACHE": cache}):
        remember(fingerprint("first"), tensors)
        (first,) = Path(cache).iterdir()
        for i in range(size.entries):
            shutil.copy(first, first.with_name(first.name.replace(fingerprint("first"), fingerprint(i))))
        for repetition in range(min(REPETITIONS, size.repetitions)):
            keys = [fingerprint(repetition, call, "new") for call in range(CALLS)]
            yield 1000 * timed(lambda keys=keys: [remember(key, tensors) for key in keys]) / CALLS


def importing(line: str) -> Callable[[Size, Path], Iterator[float]]:
    """CPU seconds of a fresh process, compiled files being there."""
    command = [sys.executable, "-c", f"import time; {line}; print(time.process_time())"]

    def measure(size: Size, folder: Path) -> Iterator[float]:
        seconds = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
            for _ in range(1 + min(REPETITIONS, size.repetitions))
        ]
        yield from map(float, seconds[1:])

    return measure


COSTS = {
    "cost, linear": Cost("`fine_tune` of a linear classifier, {linear:,} images, {epochs} epochs", "s", linear_tuning),
    "cost, hashing": Cost("hashing a 500 x 375 JPEG file for the cache, not decoded", "ms an image", hashing),
    "cost, decoding": Cost("decoding it", "ms an image", decoding),
    "cost, remember": Cost("`remember` with {entries:,} entries in the cache", "ms a call", remembering),
    "cost, numbers": Cost("importing what tables and figures need", "s of CPU time", importing(NUMBERS)),
    "cost, everything": Cost("importing every public name", "s of CPU time", importing(EVERYTHING)),
}


def cost(name: str, size: Size, folder: Path) -> dict:
    """A row of the result: every repetition and their median."""
    values = list(COSTS[name].measure(size, folder))
    what = COSTS[name].what.format(**dataclasses.asdict(size))
    return {"what": what, "unit": COSTS[name].unit, "median": statistics.median(values), "values": values}


def memory(size: Size) -> list[dict]:
    """Peak memory of a whole process that sweeps, for 3 and 101 alphas."""
    context, rows = multiprocessing.get_context("spawn"), []
    for alphas in (3, 101):
        with context.Pool(1) as pool:
            rows.append({"alphas": alphas, "mebibytes": pool.apply(peak_of_sweep, (alphas, size.images))})
    return rows


def peak_of_sweep(alphas: int, images: int) -> float:
    """Most memory this process ever had, in MiB, after a sweep."""
    zero_shot, benchmark = bundled()
    some = {"images": benchmark.reference.subset(slice(images))}
    accuracies(two_ends(zero_shot), some, tuple(np.linspace(0, 1, alphas).tolist()))
    return peak_mebibytes()


def compute_options(size: Size) -> list[dict]:
    """Speed and accuracy of each way to compute, against float32; a row for one that cannot run says so."""
    zero_shot, benchmark = bundled()
    images = benchmark.reference.subset(slice(size.images))
    options = {
        "bfloat16": Compute("bfloat16"),
        "channels last": Compute(channels_last=True),
        "torch.compile": Compute(compile=True),
    }
    exact, rows = evaluate(zero_shot, images), []
    for name, compute in options.items():
        try:
            found = evaluate(zero_shot, images, compute=compute)  # and warm up
        except RuntimeError as error:  # torch.compile without a compiler
            rows.append({"option": name, "failed": f"cannot run here ({type(error).__name__})"})
            continue
        ratios = []
        for _ in range(min(5, size.repetitions)):
            seconds = [timed(lambda c=c: evaluate(zero_shot, images, compute=c)) for c in (Compute(), compute)]
            ratios.append(seconds[0] / seconds[1])
        logits = (found.logits - exact.logits).abs().max().item()
        difference = found.accuracy() - exact.accuracy()
        rows.append(
            {"option": name, "ratio": statistics.median(ratios), "ratios": ratios}
            | {"difference": difference, "logits": logits, "n": exact.n}
        )
    return rows
