"""Dataset -> batches ready for a network, made ahead of time by worker processes where that pays.

What a batch holds follows from its indices and its seed alone, so that it is the same however many
workers there are, and wherever a run that was interrupted goes on.

Explained in notebook 02_fine_tune.
"""

import math
import multiprocessing
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from wiseft_nb.engine.compute import seeded
from wiseft_nb.engine.nested import Batch, mapped
from wiseft_nb.errors import WiseftError

Collate = Callable[[Sequence], Batch]  # raw inputs -> one batch
Plan = Sequence[tuple[Sequence[int], int]]  # for each batch the indices of its samples, and a seed
AHEAD = 3  # batches of a worker that wait in shared memory, at most


class Planned(Dataset):
    """The batches of a plan, by number."""

    def __init__(self, dataset: Dataset, plan: Plan, collate: Collate, classes: int):
        self.dataset, self.plan, self.collate, self.classes = dataset, plan, collate, classes

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> tuple[Batch, Tensor] | WiseftError:
        indices, seed = self.plan[number]
        with seeded(seed):  # crops draw from torch's global generator
            try:
                inputs, labels = zip(*(pair(self.dataset[i]) for i in indices), strict=True)
                return self.collate(inputs), as_labels(labels, self.classes)
            except WiseftError as error:
                return error  # raised in a worker, its sentence would be buried in a traceback


def batches(
    dataset: Dataset, plan: Plan, collate: Collate, classes: int, workers: int | None = None
) -> Iterator[tuple[Batch, Tensor]]:
    """Inputs and labels of every batch of a plan, labels checked.

    Parameters
    ----------
    dataset : Dataset
        Map-style, yields ``(input, label)``.
    plan : sequence of (indices, seed)
    collate : function
        Makes a batch of inputs.
    classes : int
    workers : int, optional
        Processes that prepare batches ahead. By default none for what is in memory, else one a core
        (at most eight) where processes can be forked.
    """
    check_dataset(dataset)
    if not plan:  # of several processes, one may have no share
        return
    planned = Planned(dataset, plan, collate, classes)
    if workers is None:
        workers = with_room(default_workers(dataset), planned)
    workers = min(workers, len(plan))
    loader = DataLoader(
        planned,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork" if workers and can_fork() else None,
        generator=torch.Generator(),  # else it would draw from the global one
    )
    for batch in loader:
        if isinstance(batch, WiseftError):
            raise batch
        yield batch


def can_fork() -> bool:
    """Whether worker processes can be forked: they need no pickling then, so preprocessing may be a lambda.

    macOS has fork too, but its own libraries may die in it.
    """
    return sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()


def default_workers(dataset: Dataset) -> int:
    """No workers for what is in memory or where processes cannot be forked, else one a core, at most eight."""
    while hasattr(dataset, "dataset"):  # torch's Subset and its like
        dataset = dataset.dataset
    if isinstance(dataset, list) or getattr(dataset, "in_memory", False) or not can_fork():
        return 0
    return min(len(os.sched_getaffinity(0)), 8)


def with_room(workers: int, planned: Planned) -> int:
    """The workers, or none where the shared memory cannot hold their batches: they would wait for ever."""
    shared = "/dev/shm"
    if not workers or not os.path.isdir(shared):
        return workers
    indices, seed = planned.plan[0]
    first = Planned(planned.dataset, [(indices[:1], seed)], planned.collate, planned.classes)[0]
    if isinstance(first, WiseftError):
        raise first
    sizes: list[int] = []
    mapped(lambda tensor: sizes.append(tensor.nbytes) or tensor, first[0])
    needed, free = sum(sizes) * len(indices) * workers * AHEAD, shutil.disk_usage(shared).free
    if needed <= free:
        return workers
    warnings.warn(
        f"{shared} has {free / 1e6:.0f} MB free, {workers} workers need {needed / 1e6:.0f}, so images are read without "
        "workers: make it larger (docker run --shm-size=2g), or pass a smaller batch size",
        stacklevel=4,
    )
    return 0


def in_order(n: int, batch_size: int, first: int = 0) -> list[tuple[range, int]]:
    """The plan that goes through samples ``first`` to ``n - 1`` once, in order."""
    return [(range(start, min(start + batch_size, n)), start) for start in range(first, n, batch_size)]


def shuffled(n: int, batch_size: int, epochs: int, seed: int) -> list[tuple[list[int], int]]:
    """The plan that goes through all samples once an epoch, each time in another order."""
    plan: list[tuple[list[int], int]] = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n).tolist()
        for start in range(0, n, batch_size):
            own = np.random.SeedSequence([seed, epoch, start]).generate_state(1, np.uint64)
            plan.append((order[start : start + batch_size], int(own[0])))
    return plan


def in_pieces(batch: tuple[Sequence[int], int], size: int) -> Plan:
    """A batch in pieces of ``size``, each with a seed of its own; one that is no larger stays as it is."""
    indices, seed = batch
    if size >= len(indices):
        return [batch]
    seeds = np.random.SeedSequence([seed, size]).generate_state(math.ceil(len(indices) / size), np.uint64)
    return [(indices[k * size : (k + 1) * size], int(own)) for k, own in enumerate(seeds)]


def check_dataset(dataset: Dataset) -> None:
    """Refuse what is no map-style dataset with samples in it."""
    map_style = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if not map_style or isinstance(dataset, DataLoader | IterableDataset | Mapping | str):
        raise WiseftError(
            f"expected a map-style dataset that yields (input, label), got a {type(dataset).__name__}: "
            "pass the dataset itself, such as loader.dataset, benchmark.val, or a list of pairs"
        )
    if not len(dataset):
        raise WiseftError("the dataset is empty: expected at least one (input, label)")


def pair(sample: object) -> tuple[object, object]:
    """The input and the label of a sample; a dict of columns is one with a ``label`` among them."""
    if isinstance(sample, Mapping) and "label" in sample:
        columns = {name: value for name, value in sample.items() if name != "label"}
        return (next(iter(columns.values())) if len(columns) == 1 else columns), sample["label"]
    if isinstance(sample, tuple | list) and len(sample) == 2:
        return sample[0], sample[1]
    what = f"{len(sample)} values" if isinstance(sample, tuple | list) else f"a {type(sample).__name__}"
    raise WiseftError(
        f"the dataset yields {what}, expected pairs (input, label), or dicts with a 'label': wrap it in a dataset that "
        "gives those two"
    )


def as_labels(labels: Sequence, classes: int) -> Tensor:
    """Labels as int64 ``(n,)``; refuses what is no class index."""
    try:
        values = np.asarray([np.asarray(label) for label in labels])
        if values.ndim == 2 and values.shape[1] == 1:  # an array of one label, as medical datasets have them
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind not in "iuf" or (values != np.floor(values)).any():
            raise ValueError
        targets = values.astype(np.int64)
    except (TypeError, ValueError):
        raise WiseftError(
            f"a label is {labels[0]!r}, expected one class index each, a whole number from 0 to {classes - 1}: "
            "for one-hot labels give the dataset their argmax, for names their index in class_names"
        ) from None
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise WiseftError(
            f"labels run from {low} to {high}, but there are {classes} classes, 0 to {classes - 1}: "
            "give the dataset the classifier's class indices"
        )
    return torch.from_numpy(targets)
