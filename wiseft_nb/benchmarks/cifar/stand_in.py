"""Stand-ins for CIFAR-10: noise in ten colours, in exactly the official files.

They show that the machinery reads those formats, and nothing about any model.

Explained in notebook 11_use_real_clip.
"""

import pickle
from pathlib import Path

import numpy as np
import seaborn as sns

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def pictures(n: int, seed: int, dim: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Noise around a colour a class: images, uint8 ``(n, 32, 32, 3)``, and labels ``(n,)``, 0 to 9.

    ``dim``, between 0 and 1, darkens the images, as a shift might.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 10)
    colours = 255 * np.array(sns.color_palette("hls", 10))
    images = dim * colours[labels][:, None, None] + rng.normal(0, 60, (n, 32, 32, 3))
    return images.clip(0, 255).astype(np.uint8), labels


def write_batch(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """One file of CIFAR-10's python version: rows of 1024 red, 1024 green, 1024 blue values, pickled."""
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    path.write_bytes(pickle.dumps({b"data": rows, b"labels": labels.tolist()}))


def write_stand_in(folder: str | Path, train: int = 500, test: int = 200) -> Path:
    """CIFAR-10, CIFAR-10.1 (v6) and CIFAR-10.2 as files of noise, below one folder.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.
    train, test : int
        Images of the training set, in five files, and of each test set.

    Returns
    -------
    Path
        The folder, for ``load_benchmark("cifar10", root=..., complete=False)``.

    Explained in notebook 11_use_real_clip.
    """
    folder = Path(folder)
    python, v6, second = (folder / name for name in ("cifar-10-batches-py", "CIFAR-10.1/datasets", "cifar-10.2"))
    for part in (python, v6, second):
        part.mkdir(parents=True, exist_ok=True)
    (python / "batches.meta").write_bytes(pickle.dumps({b"label_names": [name.encode() for name in NAMES]}))
    for i in range(1, 6):
        write_batch(python / f"data_batch_{i}", *pictures(train // 5, seed=i))
    write_batch(python / "test_batch", *pictures(test, seed=6))
    images, labels = pictures(test, seed=7, dim=0.6)
    np.save(v6 / "cifar10.1_v6_data.npy", images)
    np.save(v6 / "cifar10.1_v6_labels.npy", labels)
    images, labels = pictures(test, seed=8, dim=0.4)
    np.savez(second / "cifar102_test.npz", images=images, labels=labels)
    return folder
