"""Two small networks that share a beginning, or do not: can they be averaged?

The experiment of Frankle et al. 2020 (arXiv 1912.05671), small. Explained in notebook 06_see_why_it_works.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.interpolate import interpolate
from wiseft_nb.make.standard_models import CNN

STEPS, BATCH, LR, WIDTH = 350, 100, 2e-3, 32
COMMON = (0, 35, 175)  # steps that both ends have in common


def branch(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], seed: int, common: int | None) -> Iterator[dict]:
    """One pair: accuracy of both ends and of points between them; ``common`` None is two beginnings."""
    roots = [started(seed), started(seed if common is not None else seed + 100)]
    if common:
        root = trained(roots[0], train, order=seed, start=0, stop=common)
        roots = [root, root]
    ends = [trained(root, train, order=1000 * (i + 1) + seed, start=common or 0) for i, root in enumerate(roots)]
    mixed = copy.deepcopy(ends[0])
    for alpha in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed.load_state_dict(interpolate(*ends, alpha))
        with torch.no_grad():
            accuracy = (mixed(test[0]).argmax(1) == test[1]).double().mean().item()
        yield {"common": -1 if common is None else common, "alpha": alpha, "accuracy": accuracy, "n": len(test[1])}


def started(seed: int) -> nn.Module:
    """A small network at its random beginning."""
    torch.manual_seed(seed)
    return CNN(WIDTH)


def trained(
    network: nn.Module, data: tuple[Tensor, Tensor], order: int, start: int, stop: int | None = None
) -> nn.Module:
    """A copy, trained from step ``start`` on with AdamW along one cosine, on batches drawn by ``order``."""
    images, labels = data
    network, rng, steps = copy.deepcopy(network).train(), torch.Generator().manual_seed(order), STEPS
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    for step in range(start, steps if stop is None else stop):
        chosen = torch.randint(len(images), (BATCH,), generator=rng)
        optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + np.cos(np.pi * step / steps))
        loss = F.cross_entropy(network(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()
