"""Several processes, on several GPUs or machines, that work as one: started by Hugging Face Accelerate or torchrun.

Alone, which is the rule, everything here does nothing. Under ``accelerate launch`` or
``notebook_launcher`` each process takes its share, and what they found is put together on all of them.

Explained in notebook 11_use_real_clip.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError

Item = TypeVar("Item")


def alone() -> bool:
    """Whether this is the only process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size() == 1
    return int(os.environ.get("WORLD_SIZE") or 1) == 1 or "RANK" not in os.environ


def state():  # noqa: ANN201
    """Accelerate's ``PartialState``; the first call lets the processes find each other."""
    try:
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env
    except ImportError as error:
        raise WiseftError("several processes need Accelerate: pip install accelerate") from error
    # accelerate itself looks for GPUs first, and without any would not see the other processes
    return PartialState(cpu=not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU"))


def count() -> int:
    """How many processes there are."""
    return 1 if alone() else state().num_processes


def is_main() -> bool:
    """Whether this is process 0, the one that writes files and shows progress."""
    return alone() or state().is_main_process


def own_device(device: torch.device) -> torch.device:
    """Where this process computes: as asked when alone, else where Accelerate says."""
    return device if alone() else state().device


def share(items: Sequence[Item]) -> list[Item]:
    """The items of this process: every ``count()``-th."""
    return list(items) if alone() else list(items[state().process_index :: count()])


def gather(found: Iterable[Item]) -> list[Item]:
    """What all processes found for their shares, in the order of the items, each once, on every process."""
    if alone():
        return list(found)
    from accelerate.utils import gather_object

    shares = gather_object([list(found)])
    longest = max(map(len, shares))
    return [items[i] for i in range(longest) for items in shares if i < len(items)]


def from_main(make: Callable[[], Item]) -> Item:
    """What ``make`` gives on process 0, on every process."""
    if alone():
        return make()
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([make() if is_main() else None])[0]


def add_up(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Sum the gradients of all processes, in place, and the losses, which are returned."""
    if alone():
        return loss
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([loss.reshape(1), *(parameter.grad.reshape(-1) for parameter in parameters)])
    torch.distributed.all_reduce(flat)
    start = 1
    for parameter in parameters:
        parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()
    return flat[0]


def wait() -> None:
    """Go on when all processes have come here."""
    if not alone():
        state().wait_for_everyone()
