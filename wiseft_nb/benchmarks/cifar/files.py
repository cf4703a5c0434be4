"""The files of CIFAR and its relatives -> arrays, without executing what a pickle may hold.

Explained in notebook 11_use_real_clip.
"""

import pickle
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wiseft_nb.errors import WiseftError, reason

# All that arrays, texts, lists and dicts ask for, under the names of Python 2, numpy 1 and numpy 2
HARMLESS = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class HarmlessUnpickler(pickle.Unpickler):
    """Reads pickles of arrays, texts, numbers, lists and dicts; refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no dataset needs and could run code")
        return super().find_class(module, name)


def read_pickle(path: Path) -> dict:
    """A pickled dict of arrays, texts and lists, keys as texts; also one that ``numpy.save`` pickled into a ``.npy``.

    Raises
    ------
    WiseftError
        If it asks for anything else, or is damaged.
    """
    try:
        with path.open("rb") as file:
            if path.suffix == ".npy":  # numpy's header of an array of one object, then its pickle
                read_npy_header(file)
            found = HarmlessUnpickler(file, encoding="latin1").load()
        found = found.item() if isinstance(found, np.ndarray) and found.shape == () else found
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in found.items()}
    except Exception as error:  # a damaged pickle fails in a hundred ways, each harmless
        raise WiseftError(
            f"{path} is no pickle of arrays, texts, lists and dicts ({reason(error)}): fetch the official file again"
        ) from error


def read_npy_header(file: BinaryIO) -> None:
    """Move behind the header of a ``.npy`` file."""
    version = np.lib.format.read_magic(file)
    (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)


def read_array(path: Path, memory: bool = True) -> np.ndarray:
    """The array of a ``.npy`` file without pickles; with ``memory`` False it stays on disk until it is looked at."""
    try:
        array = np.load(path, allow_pickle=False, mmap_mode=None if memory else "r")
        if not isinstance(array, np.ndarray) or not array.ndim:
            raise ValueError("it holds something else than one array")
        return array
    except Exception as error:  # numpy and zipfile raise errors of many kinds
        raise WiseftError(f"{path} is no plain .npy file, or truncated ({reason(error)}): fetch it again") from error


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Those arrays of a ``.npz``, or of a dict pickled into a ``.npy``, that are there, by name."""
    if path.suffix == ".npy":
        return {name: np.asarray(value) for name, value in read_pickle(path).items() if name in names}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.atleast_1d(file[name]) for name in names if name in file}
    except Exception as error:
        raise WiseftError(f"{path} is no plain .npz file, or truncated ({reason(error)}): fetch it again") from error


def read_words(path: Path) -> list[str]:
    """The words of a text file, here the names of classes."""
    return path.read_text(encoding="utf-8", errors="replace").split()


def from_planes(rows: np.ndarray, size: int, path: Path, column_major: bool = False) -> np.ndarray:
    """Rows of all red, all green, all blue values -> uint8 ``(n, size, size, 3)``."""
    if rows.dtype != np.uint8 or rows.size % (3 * size * size):
        raise WiseftError(f"{path} does not hold rows of {3 * size * size:,} bytes: it is truncated, fetch it again")
    planes = rows.reshape(-1, 3, size, size)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1) if column_major else planes.transpose(0, 2, 3, 1))


def read_python_batch(path: Path, label_key: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one file of the python version."""
    found = read_pickle(path)
    try:
        rows, labels = np.asarray(found["data"]), np.asarray(found[label_key], dtype=np.int64)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise WiseftError(f"{path} lacks data or {label_key} ({reason(error)}): fetch the official file") from error
    images = from_planes(rows, 32, path)
    if labels.shape != (len(images),):  # batch by batch: joined, two wrong ones could seem right
        raise WiseftError(f"{path} holds {len(images)} images but {labels.size} labels: fetch the official file")
    return images, labels


def read_binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one file of CIFAR-10's binary version: rows of a label and 3,072 values."""
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if content.size % 3073:
        raise WiseftError(f"{path} does not hold rows of 3,073 bytes: it is truncated, fetch it again")
    rows = content.reshape(-1, 3073)
    return from_planes(rows[:, 1:], 32, path), rows[:, 0].astype(np.int64)
