"""A network run over a dataset: planned, shared among processes, read ahead, kept, put together.

Evaluation, sweeps, validation, features and classification are all this one loop.

Explained in notebook 03_interpolate.
"""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.engine.batches import Collate, batches, check_dataset, in_order
from wiseft_nb.engine.cache import fingerprint, recall, remember
from wiseft_nb.engine.nested import Batch, concatenate
from wiseft_nb.engine.processes import count, gather, is_main, share
from wiseft_nb.errors import WiseftError

BATCH = 250  # samples in one forward pass
PATIENCE = 2  # seconds before a bar shows
# inputs and the names of what is wanted -> a tensor for each, a row a sample
Forward = Callable[[Batch, Sequence[str]], dict[str, Tensor]]


@torch.no_grad()
def forward_over(
    forward: Forward,
    dataset: Dataset,
    wanted: Sequence[str],
    collate: Collate,
    classes: int,
    *,
    batch_size: int = BATCH,
    batches_at_once: int = 1,
    key: str | None = None,
    workers: int | None = None,
    bar: tqdm | None = None,
) -> dict[str, Tensor]:
    """What a network says of every sample, in order, on every process: each wanted column, and ``labels``.

    Parameters
    ----------
    forward : function
        Gets ``batches_at_once`` batches as one, and the names of the columns that are not kept yet.
    dataset : Dataset
        Map-style, yields ``(input, label)``.
    wanted : sequence of str
    collate : function
        Makes a batch of inputs.
    classes : int
        Labels must be below.
    batch_size, batches_at_once : int
    key : str, optional
        The fingerprint of all that decides the columns: they are kept under it, and not computed again.
    workers : int, optional
        Processes that read ahead.
    bar : tqdm, optional
        Moves on with every sample.
    """
    check_dataset(dataset)
    if batch_size < 1:
        raise WiseftError(f"batch_size is {batch_size}: expected 1 or more")
    at_once = batch_size * max(1, batches_at_once // count())  # several processes take smaller chunks, of like batches
    chunks = [range(start, min(start + at_once, len(dataset))) for start in range(0, len(dataset), at_once)]
    found = {chunk: recalled(key, chunk) for chunk in chunks}
    todo = [chunk for chunk in chunks if missing(found[chunk], wanted)]
    mine = {chunk: in_order(chunk.stop, batch_size, chunk.start) for chunk in share(todo)}
    ahead = batches(dataset, [batch for plan in mine.values() for batch in plan], collate, classes, workers)
    if bar:
        bar.update(sum(len(chunk) for chunk in chunks if chunk not in mine))

    def run(chunk: range) -> dict[str, Tensor]:
        inputs, labels = zip(*itertools.islice(ahead, len(mine[chunk])), strict=True)
        made = forward(concatenate(inputs), missing(found[chunk], wanted)) | {"labels": torch.cat(labels)}
        if key:
            remember(chunk_key(key, chunk), found[chunk] | made, everywhere=True)
        if bar:
            bar.update(len(chunk))
        return made

    for chunk, made in zip(todo, gather(map(run, mine)), strict=True):
        found[chunk] |= made
    return {name: torch.cat([found[chunk][name] for chunk in chunks]) for name in (*wanted, "labels")}


def missing(columns: dict[str, Tensor], wanted: Sequence[str]) -> list[str]:
    """The columns that are wanted and not there."""
    return [name for name in wanted if name not in columns]


def recalled(key: str | None, chunk: range) -> dict[str, Tensor]:
    """What is kept of a chunk."""
    kept = recall(chunk_key(key, chunk)) if key else None
    return kept[0] if kept else {}


def chunk_key(key: str, chunk: range) -> str:
    """Where the columns of a chunk are kept."""
    return fingerprint(key, chunk.start, chunk.stop)


def progress_bar(total: int, what: str, progress: bool, delay: float = 0) -> tqdm:
    """A bar on the main process; with a delay, work that is soon done shows none."""
    return tqdm(total=total, desc=what, delay=delay, disable=not (progress and is_main()))
