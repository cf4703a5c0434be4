"""Small trees in exactly the formats that CIFAR-10 and its shifts are published in."""

import io
import pickle
import struct
from typing import ClassVar

import numpy as np

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
STL_NAMES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def pictures(n, seed=0, size=32):
    """Random pictures; labels go round the classes."""
    images = np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    return images, np.arange(n) % 10


def rows(images):
    """As CIFAR stores them: all red, all green, all blue values, each row by row."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


class Python2Pickler(pickle._Pickler):
    """Writes texts and bytes alike as the ``str`` of Python 2, which today's pickle can read but not write."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_python_2_str(self, value):
        content = value.encode("latin1") if isinstance(value, str) else value
        short = len(content) < 256
        start = pickle.SHORT_BINSTRING + bytes([len(content)]) if short else pickle.BINSTRING
        self.write(start + (b"" if short else struct.pack("<i", len(content))) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_python_2_str


def as_python_2_pickled(batch):
    """Protocol 2, Python 2's strings, numpy 1's names: what the official files hold."""
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(batch)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def write_python_version(root, n=20, names=NAMES):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, file in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = pictures(n, seed)
        batch = {"batch_label": file, "labels": labels.tolist(), "data": rows(images)}
        (folder / file).write_bytes(as_python_2_pickled(batch))
    meta = {"num_cases_per_batch": n, "label_names": list(names), "num_vis": 3072}
    (folder / "batches.meta").write_bytes(as_python_2_pickled(meta))
    return folder


def write_binary_version(root, n=20):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, file in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = pictures(n, seed)
        (folder / f"{file}.bin").write_bytes(np.column_stack([labels.astype(np.uint8), rows(images)]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def write_cifar10_1(root, version="v6", n=30, folder="CIFAR-10.1/datasets"):
    folder = root / folder
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = pictures(n, seed=10)
    np.save(folder / f"cifar10.1_{version}_data.npy", images)
    np.save(folder / f"cifar10.1_{version}_labels.npy", labels.astype(np.int32))


def write_cifar10_2(root, n=30):
    """Both splits, of which only the test split is a shift."""
    folder = root / "cifar-10.2"
    folder.mkdir(parents=True)
    for split, size in (("train", 5 * n), ("test", n)):
        images, labels = pictures(size, seed=size)
        np.savez(folder / f"cifar102_{split}.npz", images=images, labels=labels)


def write_cifar10_c(root, corruptions=("fog", "snow"), n=20):
    """Five severities one after the other; the severity shows in every pixel."""
    folder = root / "CIFAR-10-C"
    folder.mkdir(parents=True)
    severity = np.repeat(np.arange(1, 6, dtype=np.uint8), n)
    for corruption in corruptions:
        np.save(folder / f"{corruption}.npy", np.broadcast_to(severity[:, None, None, None], (5 * n, 32, 32, 3)))
    np.save(folder / "labels.npy", np.tile(np.arange(n) % 10, 5))


def write_stl10(root, n=20):
    """96 x 96 pixels, each channel column by column; labels count from 1, in an order of their own."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    images, labels = pictures(n, seed=20, size=96)
    (folder / "test_X.bin").write_bytes(images.transpose(0, 3, 2, 1).tobytes())
    (folder / "test_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
    (folder / "class_names.txt").write_text("\n".join(STL_NAMES) + "\n")


def write_all(root):
    write_python_version(root)
    write_cifar10_1(root, "v4")
    write_cifar10_1(root, "v6")
    write_cifar10_2(root)
    write_cifar10_c(root)
    write_stl10(root)
    return root
