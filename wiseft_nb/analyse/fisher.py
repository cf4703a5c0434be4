"""Weights averaged by how much each matters to its model: Fisher merging.

Explained in notebook 10_go_beyond.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wiseft_nb.analyse.merging import check_pool
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.batches import pair
from wiseft_nb.engine.compute import evaluating
from wiseft_nb.errors import WiseftError
from wiseft_nb.interpolate import StateDict
from wiseft_nb.models.classifier import ImageClassifier


def fisher_diagonal(
    classifier: ImageClassifier, benchmark: Benchmark, images: int = 100, seed: int = 0
) -> dict[str, Tensor]:
    """The diagonal of the Fisher information: E_x E_{y ~ p(y|x)} of the squared gradient of log p(y|x).

    Matena and Raffel 2022 (arXiv 2111.09832), equation 6; y runs over all classes, weighted by what the
    classifier says, so labels are not needed. Estimated on **training** images, ``benchmark.train``, alone.

    Parameters
    ----------
    classifier : ImageClassifier
        Not changed; evaluated without crops, BatchNorm as it is.
    benchmark : Benchmark
    images : int
        How many training images, drawn by the seed; each takes a backward pass a class.
    seed : int

    Returns
    -------
    dict of str to Tensor
        A tensor for each parameter, of its shape.

    Explained in notebook 10_go_beyond.
    """
    if images < 1:
        raise WiseftError(f"{images} images: expected 1 or more")
    train = benchmark.train
    drawn = np.random.default_rng(seed).permutation(len(train))[:images].tolist()
    named = dict(classifier.named_parameters())
    found = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    device = next(iter(named.values())).device
    with evaluating(classifier), torch.enable_grad():
        for i in drawn:
            inputs = classifier.collate([pair(train[i])[0]]).to(device)
            log_p = classifier(inputs)[0].log_softmax(0)
            for y, share in enumerate(log_p.detach().exp()):
                gradients = torch.autograd.grad(log_p[y], list(named.values()), retain_graph=True, allow_unused=True)
                for name, gradient in zip(named, gradients, strict=True):
                    if gradient is not None:
                        found[name] += share * gradient.detach().square() / len(drawn)
    return found


def fisher_merge(thetas: Sequence[StateDict], fishers: Sequence[StateDict], floor: float = 1e-6) -> dict[str, Tensor]:
    """sum F_i theta_i / sum F_i, weight by weight.

    Matena and Raffel 2022 (arXiv 2111.09832), equation 5.

    Parameters
    ----------
    thetas : sequence of state dicts
    fishers : sequence of dicts
        Of ``fisher_diagonal``, in that order; what has none, such as BatchNorm's statistics, is averaged.
    floor : float
        Added to every F, so that weights that matter to no model are averaged.

    Explained in notebook 10_go_beyond.
    """
    check_pool(thetas)
    if len(fishers) != len(thetas) or not floor > 0:
        raise WiseftError(
            f"{len(fishers)} Fisher diagonals for {len(thetas)} sets of weights, floor {floor}: give one each, and a "
            "floor above 0"
        )
    merged = {}
    for name, first in thetas[0].items():
        if not first.is_floating_point():
            merged[name] = first.detach().clone()
            continue
        total, mass = torch.zeros_like(first), torch.zeros_like(first)
        for theta, fisher in zip(thetas, fishers, strict=True):
            share = fisher[name] + floor if name in fisher else torch.ones_like(first)
            total, mass = total + share * theta[name].detach(), mass + share
        merged[name] = total / mass
    return merged
