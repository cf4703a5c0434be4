"""Hold some images out of a training set: always the same ones, a like share of each class.

Explained in notebook 11_use_real_clip.
"""

import numpy as np
from sklearn.model_selection import train_test_split


def held_out(labels: np.ndarray, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all but ``n`` samples, and of those ``n``, a like share of each class; both in order.

    Explained in notebook 11_use_real_clip.
    """
    _, counts = np.unique(labels, return_counts=True)
    # a class of one cannot be shared out, and fewer samples than classes cannot hold each: then at random
    stratify = labels if counts.min() > 1 and len(counts) <= min(n, len(labels) - n) else None
    kept, out = train_test_split(np.arange(len(labels)), test_size=n, random_state=seed, stratify=stratify)
    return np.sort(kept), np.sort(out)
