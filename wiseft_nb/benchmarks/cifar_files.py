"""The files of CIFAR and its relatives -> arrays, without executing what a pickle may hold.

Explained in notebook 11_use_real_clip.
"""

import pickle
from io import BytesIO
from pathlib import Path

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
    """A pickled dict of arrays, texts and lists, keys as texts, as CIFAR's python version has them.

    Raises
    ------
    WiseftError
        If it asks for anything else, or is damaged.

    Explained in notebook 11_use_real_clip.
    """
    return harmless(path, path.read_bytes())


def harmless(path: Path, content: bytes) -> dict:
    """The dict in the pickle; ``path`` is for the error alone."""
    try:
        found = HarmlessUnpickler(BytesIO(content), encoding="latin1").load()
        found = found.item() if isinstance(found, np.ndarray) and found.shape == () else found
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in found.items()}
    except Exception as error:  # a damaged pickle fails in a hundred ways, each harmless
        raise WiseftError(
            f"{path} is no pickle of arrays, texts, lists and dicts ({reason(error)}): fetch the official file again"
        ) from error


def read_array(path: Path, memory: bool = True) -> np.ndarray:
    """The array of a ``.npy`` file without pickles; with ``memory`` False it stays on disk until it is looked at."""
    try:
        return np.load(path, allow_pickle=False, mmap_mode=None if memory else "r")
    except (OSError, ValueError, EOFError) as error:
        raise WiseftError(f"{path} is no plain .npy file, or truncated ({reason(error)}): fetch it again") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz``, or of a ``.npy`` that holds a pickled dict of them, by name."""
    if path.suffix == ".npy":  # numpy's header of an object array, then a pickle
        content = path.read_bytes()
        start = content.find(b"\n") + 1
        return harmless(path, content[start:])
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # zipfile and numpy raise errors of many kinds
        raise WiseftError(f"{path} is no plain .npz file, or truncated ({reason(error)}): fetch it again") from error


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
        return from_planes(np.asarray(found["data"]), 32, path), np.asarray(found[label_key], dtype=np.int64)
    except (KeyError, ValueError, TypeError) as error:
        raise WiseftError(f"{path} lacks data or {label_key} ({reason(error)}): fetch the official file") from error


def read_binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one file of CIFAR-10's binary version: rows of a label and 3,072 values."""
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if content.size % 3073:
        raise WiseftError(f"{path} does not hold rows of 3,073 bytes: it is truncated, fetch it again")
    rows = content.reshape(-1, 3073)
    return from_planes(rows[:, 1:], 32, path), rows[:, 0].astype(np.int64)
