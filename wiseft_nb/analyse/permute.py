"""The same function from other weights: channels inside a block in another order.

Explained in notebook 06_see_why_it_works.
"""

import copy

import torch
from torch import nn

from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier


def permute_channels(classifier: ImageClassifier, seed: int = 0) -> ImageClassifier:
    """A copy that gives the same logits, with the channels inside each residual block in a random order.

    A block's first two convolutions write channels that its next one alone reads. Reorder the writer's outputs (and
    their BatchNorm) and the reader's inputs alike, and nothing changes outside the block (Entezari et al. 2022,
    arXiv 2110.06296; Ainsworth et al. 2023, arXiv 2209.04836).

    Parameters
    ----------
    classifier : ImageClassifier
        Its encoder has bottleneck blocks (conv1, bn1, conv2, bn2, conv3), as CLIP's ResNets; not changed.
    seed : int

    Raises
    ------
    WiseftError
        If there is no such block.

    Explained in notebook 06_see_why_it_works.
    """
    permuted, rng = copy.deepcopy(classifier), torch.Generator().manual_seed(seed)
    blocks = [
        m for m in permuted.modules() if all(hasattr(m, part) for part in ("conv1", "bn1", "conv2", "bn2", "conv3"))
    ]
    blocks = [block for block in blocks if hasattr(block, "downsample")]  # the stem of the encoder is no block
    if not blocks:
        raise WiseftError("the encoder has no bottleneck blocks whose channels could be permuted: give a CLIP ResNet")
    for block in blocks:
        for writer, norm, reader in ((block.conv1, block.bn1, block.conv2), (block.conv2, block.bn2, block.conv3)):
            reorder(writer, norm, reader, torch.randperm(writer.out_channels, generator=rng))
    return permuted


@torch.no_grad()
def reorder(writer: nn.Conv2d, norm: nn.BatchNorm2d, reader: nn.Conv2d, order: torch.Tensor) -> None:
    """One layer's channels in another order, in place."""
    writer.weight.copy_(writer.weight[order])
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.copy_(tensor[order])
    reader.weight.copy_(reader.weight[:, order])
