"""Dataset -> batches ready for a classifier, made ahead of time by worker processes where that pays.

What a batch holds follows from its indices and its seed alone, so that it is the same however many
workers there are, and wherever a run that was interrupted goes on.

Explained in notebook 02_fine_tune.
"""

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wiseft_nb.benchmarks import ImageSet
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier

Collate = Callable[[Sequence], Tensor]  # raw inputs -> one tensor
Plan = Sequence[tuple[Sequence[int], int]]  # for each batch the indices of its samples, and a seed


class Planned(Dataset):
    """The batches of a plan, by number."""

    def __init__(self, dataset: Dataset, plan: Plan, collate: Collate, classes: int):
        self.dataset, self.plan, self.collate, self.classes = dataset, plan, collate, classes

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | WiseftError:
        indices, seed = self.plan[number]
        # crops draw from torch's global generator: lend it the batch's seed, then give it back as it was
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                inputs, labels = zip(*(self.dataset[i] for i in indices), strict=True)
                targets = torch.tensor(labels)
                check_labels(targets, self.classes)
                return self.collate(inputs), targets
            except WiseftError as error:
                return error  # raised in a worker, its sentence would be buried in a traceback


def batches(
    dataset: Dataset, plan: Plan, collate: Collate, classes: int, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels of every batch of a plan, labels checked.

    Parameters
    ----------
    dataset : Dataset
        Map-style, yields ``(input, label)``.
    plan : sequence of (indices, seed)
    collate : function
        Makes a tensor of the inputs of a batch.
    classes : int
    workers : int, optional
        Processes that prepare batches ahead. By default none for images in memory, else one a core
        (at most eight) where processes can be forked.

    Explained in notebook 02_fine_tune.
    """
    check_filled(dataset)
    if not plan:  # of several processes, one may have no share
        return
    if workers is None:
        workers = default_workers(dataset)
    workers = min(workers, len(plan))
    # forked workers need no pickling: preprocessing may be a lambda, and notebooks need no main guard
    context = "fork" if workers and "fork" in multiprocessing.get_all_start_methods() else None
    loader = DataLoader(
        Planned(dataset, plan, collate, classes),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=context,
        generator=torch.Generator(),  # else it would draw from the global one
    )
    for batch in loader:
        if isinstance(batch, WiseftError):
            raise batch
        yield batch


def default_workers(dataset: Dataset) -> int:
    """No workers for images in memory or where processes cannot be forked, else one a core, at most eight."""
    if isinstance(dataset, ImageSet) or "fork" not in multiprocessing.get_all_start_methods():
        return 0
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


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


def collate_with(collater: ImageClassifier | None, augment: bool = False) -> Collate:
    """What makes one tensor of the inputs of a batch: a classifier's preprocessing, or mere stacking."""
    return functools.partial(collater.collate, augment=augment) if collater else stack


def stack(inputs: Sequence[Tensor]) -> Tensor:
    """Inputs that are tensors already, as one."""
    return torch.stack(list(inputs))


def check_filled(dataset: Dataset) -> None:
    """Refuse a dataset without samples."""
    if not len(dataset):
        raise WiseftError("the dataset is empty: expected at least one (input, label)")


def check_labels(labels: Tensor, classes: int) -> None:
    """Refuse labels that are no class."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise WiseftError(
            f"labels run from {low} to {high}, but there are {classes} classes, 0 to {classes - 1}: "
            "give the dataset the classifier's class indices"
        )
