"""Batches may be tensors, or dicts, lists and tuples of them, as text models take."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wiseft_nb.errors import WiseftError

Batch = Any  # a tensor, or a dict, list or tuple of batches


def mapped(function: Callable[..., Tensor], *batches: Batch) -> Batch:
    """A function applied to every tensor of batches of one structure."""
    first = batches[0]
    if isinstance(first, Tensor):
        return function(*batches)
    if isinstance(first, Mapping):
        return {name: mapped(function, *(batch[name] for batch in batches)) for name in first}
    if isinstance(first, list | tuple):
        return [mapped(function, *parts) for parts in zip(*batches, strict=True)]
    raise WiseftError(
        f"a batch holds a {type(first).__name__}, expected tensors, or dicts, lists or tuples of them: "
        "make tensors of the dataset's inputs, in the dataset or in the classifier's preprocess"
    )


def move(batch: Batch, device: torch.device) -> Batch:
    """Every tensor on a device."""
    return mapped(lambda tensor: tensor.to(device, non_blocking=True), batch)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other, as one."""
    return batches[0] if len(batches) == 1 else mapped(lambda *tensors: torch.cat(tensors), *batches)


def split(batch: Batch, size: int) -> list[Batch]:
    """A batch in pieces of ``size`` samples."""
    return [mapped(lambda tensor, i=i: tensor[i : i + size], batch) for i in range(0, count(batch), size)]


def count(batch: Batch) -> int:
    """How many samples a batch holds."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    return len(batch)
