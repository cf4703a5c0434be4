"""Hold some images out of a training set: always the same ones, a like share of each class.

Explained in notebook 11_use_real_clip.
"""

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np


def held_out(
    labels: np.ndarray, share: float, seed: int = 0, copies: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the samples that stay, and of those held out, both in order.

    Parameters
    ----------
    labels : numpy.ndarray
        int ``(n,)``.
    share : float
        In (0, 1): of each class that share is held out, at least one sample, and none of a class of one.
    seed : int
        Decides which.
    copies : sequence, optional
        Something of each sample that is equal where samples are copies of one another: these stay together.

    Examples
    --------
    >>> kept, out = held_out(np.array([0] * 20 + [1] * 10 + [2] * 3), 0.1)
    >>> len(kept), len(out)
    (29, 4)
    """
    if copies is not None:
        number = {copy: i for i, copy in enumerate(dict.fromkeys(copies))}
        unit = np.array([number[copy] for copy in copies])
        kept, out = held_out(labels[np.unique(unit, return_index=True)[1]], share, seed)
        return np.flatnonzero(np.isin(unit, kept)), np.flatnonzero(np.isin(unit, out))
    rng, out = np.random.default_rng(seed), []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        out.append(rows[: max(1, round(share * len(rows))) if len(rows) > 1 else 0])
    chosen = np.sort(np.concatenate(out))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def digests_of(images: np.ndarray) -> list[bytes]:
    """The digest of each image in memory, by which copies are told."""
    return [hashlib.sha256(np.ascontiguousarray(image)).digest() for image in images]
