"""Listed images of your own -> a benchmark: what is to be shared out is, what is wrong is named.

Explained in notebook 11_use_real_clip.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wiseft_nb.benchmarks.base import Benchmark, check_shift_names
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.benchmarks.own.about import About
from wiseft_nb.benchmarks.own.problems import digests_of_copies, duplicates, look_at, missing_classes, refuse
from wiseft_nb.benchmarks.splits import held_out

VAL, TEST = 0.1, 0.1  # shares of what is shared out
# what splits are called, whatever their case
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "reference"), "reference"),
}
Files = list[tuple[Path, int]]


def assemble(
    name: str,
    root: Path,
    about: About,
    parts: Mapping[str, Files],
    seed: int,
    complete: bool,
    unread: Sequence[str] = (),
) -> Benchmark:
    """A benchmark of listed files; where there is no ``val`` or ``reference``, they are taken out of ``train``.

    Parameters
    ----------
    name : str
    root : Path
        For sentences, and the names of files in them.
    about : About
    parts : mapping
        ``train`` and perhaps ``val``, ``reference`` and ``shift:NAME``.
    seed : int
        Decides which images are held out. Copies of one image stay together.
    complete : bool
        Whether to look at every image, and refuse them if there are problems, all of them named.
    unread : sequence of str
        What was found and is not read, a line each.
    """
    check_shift_names([part.removeprefix("shift:") for part in parts if part.startswith("shift:")], "reference")
    paths = [path for files in parts.values() for path, _ in files]
    digests, unreadable = look_at(paths) if complete else ({}, [])
    if not {"val", "reference"} <= parts.keys():
        parts = shared_out(parts, digests if complete else digests_of_copies(path for path, _ in parts["train"]), seed)
    images = {part: ListedImages(root, parts[part], len(about.class_names)) for part in sorted(parts, key=in_order)}
    if complete:
        classes = missing_classes(images, about.class_names)
        refuse(root, [*unread, *classes, *unreadable, *duplicates(images, digests, about.class_names)])
    elif unread:
        warnings.warn("; ".join(unread), stacklevel=5)
    return Benchmark(
        name=name,
        class_names=about.class_names,
        templates=about.templates,
        train=images["train"],
        val=images["val"],
        reference=images["reference"],
        shifts={part.removeprefix("shift:"): found for part, found in images.items() if part.startswith("shift:")},
        groups=about.groups,
    )


def in_order(part: str) -> int:
    """train, val, reference, then shifts as they come."""
    return ("train", "val", "reference", part).index(part)


def shared_out(parts: Mapping[str, Files], digests: Mapping[Path, str], seed: int) -> dict[str, Files]:
    """The parts, with a reference and a val taken out of train where there are none, a like share of each class."""
    shares = {"reference": TEST, "val": VAL if "reference" in parts else VAL / (1 - TEST)}
    whole = dict(parts)
    for part, share in shares.items():
        if part not in parts:
            files = whole["train"]
            labels = np.array([label for _, label in files])
            kept, out = held_out(labels, share, seed, copies=[digests.get(path, path) for path, _ in files])
            whole |= {"train": [files[i] for i in kept], part: [files[i] for i in out]}
    return whole
