"""CIFAR-10 and its shifts, read from the files their authors publish.

CIFAR-10.1 and 10.2 were collected again by others in the same way, CIFAR-10-C is corrupted in 15 ways
and five severities, STL-10 has larger photographs of nine of the classes.

Explained in notebook 11_use_real_clip.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wiseft_nb.benchmarks import cifar_files as files
from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.cifar_parts import CIFAR10, CIFAR10_1, CIFAR10_2, CIFAR10_BINARY, CIFAR10_C, STL10
from wiseft_nb.benchmarks.parts import check_count, open_part, open_shifts
from wiseft_nb.benchmarks.splits import held_out
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10_NAMES = {"car": "automobile"}  # where it says otherwise; its monkeys are no class of CIFAR-10
CORRUPTIONS = [
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
VALIDATION = 5_000


def load_cifar10_benchmark(root: Path, shifts: Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """CIFAR-10 with CIFAR-10.1, CIFAR-10.2, CIFAR-10-C and STL-10 as shifts.

    Validation data are 5,000 training images, a tenth of each class, always the same. Shifts are named
    ``cifar10.1-v4``, ``cifar10.1-v6``, ``cifar10.2``, ``cifar10-c/fog/3`` (corruption and severity, 1 to
    5; severity 3 by default) and ``stl10``.

    Explained in notebook 11_use_real_clip.
    """
    binary = bool(CIFAR10.absent(root)) and not CIFAR10_BINARY.absent(root)
    part, read = (CIFAR10_BINARY, read_binary) if binary else (CIFAR10, read_python)
    train, val, reference = (
        open_part(part, root, functools.partial(read_split, read, root, name, complete))
        for name in ("train", "val", "test")
    )
    known = {
        "cifar10.1-v6": (CIFAR10_1["v6"], lambda: read_cifar10_1(root, "v6", 2_000, complete)),
        "cifar10.1-v4": (CIFAR10_1["v4"], lambda: read_cifar10_1(root, "v4", 2_021, complete)),
        "cifar10.2": (CIFAR10_2, lambda: read_cifar10_2(root, complete)),
        "stl10": (STL10, lambda: read_stl10(root, complete)),
    }
    for corruption in CORRUPTIONS:
        for severity in range(1, 6):
            corrupted = functools.partial(read_cifar10_c, root, corruption, severity, complete)
            known[f"cifar10-c/{corruption}/{severity}"] = (CIFAR10_C, corrupted)
    return Benchmark(
        name="cifar10",
        class_names=CLASS_NAMES,
        templates=load_templates("cifar"),
        train=train,
        val=val,
        reference=reference,
        shifts=open_shifts(known, root, shifts, usual="cifar10.* stl10 cifar10-c/*/3"),
        reference_name="cifar10",
        parts=(part, *CIFAR10_1.values(), CIFAR10_2, CIFAR10_C, STL10),
        root=root,
    )


def read_split(read, root: Path, name: str, complete: bool) -> ImageSet:  # noqa: ANN001
    """The training images but a tenth, that tenth, or the test images."""
    if name == "test":
        images, labels = read(root, ["test_batch"])
        check_count("CIFAR-10's test set", len(labels), 10_000, complete)
        return labelled(images, labels, root)
    images, labels = read(root, [f"data_batch_{i}" for i in range(1, 6)])
    check_count("CIFAR-10's training set", len(labels), 50_000, complete)
    train, val = held_out(labels, min(VALIDATION, len(labels) // 10))
    return labelled(images, labels, root).subset(train if name == "train" else val)


def read_python(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Batches of the python version, their class names checked."""
    folder = root / "cifar-10-batches-py"
    said = files.read_pickle(folder / "batches.meta").get("label_names", [])
    check_order([n.decode() if isinstance(n, bytes) else str(n) for n in said], folder / "batches.meta")
    return concatenated([files.read_python_batch(folder / name) for name in names])


def read_binary(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Batches of the binary version, their class names checked."""
    folder = root / "cifar-10-batches-bin"
    check_order((folder / "batches.meta.txt").read_text(encoding="utf-8").split(), folder / "batches.meta.txt")
    return concatenated([files.read_binary_batch(folder / f"{name}.bin") for name in names])


def check_order(said: Sequence[str], path: Path) -> None:
    """Refuse labels that mean other classes than ours."""
    if tuple(said) != CLASS_NAMES:
        raise WiseftError(
            f"{path} names the classes {list(said)}, expected {list(CLASS_NAMES)}: fetch the official file"
        )


def concatenated(batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several batches as one."""
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def labelled(images: np.ndarray, labels: np.ndarray, path: Path, subset: tuple[int, ...] | None = None) -> ImageSet:
    """An image set; refuses images of another shape and labels that are no class."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(labels):
        raise WiseftError(f"{path} holds {images.dtype} of shape {images.shape}, expected uint8 (n, height, width, 3)")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < len(CLASS_NAMES):
        raise WiseftError(f"{path} has labels that are no class, expected whole numbers from 0 to 9: fetch it again")
    return ImageSet(images, labels, subset)


def read_cifar10_1(root: Path, version: str, count: int, complete: bool) -> ImageSet:
    """CIFAR-10.1, v4 or v6."""
    path = root / f"CIFAR-10.1/datasets/cifar10.1_{version}_data.npy"
    images, labels = files.read_array(path), files.read_array(path.with_name(f"cifar10.1_{version}_labels.npy"))
    check_count(f"CIFAR-10.1 {version}", len(labels), count, complete)
    return labelled(images, labels, path)


def read_cifar10_2(root: Path, complete: bool) -> ImageSet:
    """CIFAR-10.2's test split; it also has a training split of 10,000 images, which is no shift."""
    path = root / "cifar-10.2/cifar102_test.npz"
    found = files.read_arrays(path)
    if not {"images", "labels"} <= found.keys():
        raise WiseftError(f"{path} holds {sorted(found)}, expected images and labels: fetch cifar102_test.npz again")
    check_count("CIFAR-10.2's test split", len(found["labels"]), 2_000, complete)
    return labelled(found["images"], np.asarray(found["labels"]), path)


def read_cifar10_c(root: Path, corruption: str, severity: int, complete: bool) -> ImageSet:
    """One corruption at one severity: a fifth of a file, which stays on disk until it is looked at."""
    path = root / f"CIFAR-10-C/{corruption}.npy"
    images, labels = files.read_array(path, memory=False), files.read_array(path.with_name("labels.npy"))
    check_count(f"CIFAR-10-C's {corruption}", len(images), 50_000, complete)
    if len(images) != len(labels) or len(labels) % 5:
        raise WiseftError(
            f"{path} holds {len(images)} images and {len(labels)} labels, expected five times as many each"
        )
    fifth = slice(len(labels) // 5 * (severity - 1), len(labels) // 5 * severity)
    return labelled(images[fifth], labels[fifth], path)


def read_stl10(root: Path, complete: bool) -> ImageSet:
    """STL-10's test images of the classes it shares with CIFAR-10, labelled as there; frogs do not occur."""
    folder = root / "stl10_binary"
    names = (folder / "class_names.txt").read_text(encoding="utf-8").split()
    ours = [CLASS_NAMES.index(n) if (n := STL10_NAMES.get(name, name)) in CLASS_NAMES else -1 for name in names]
    images = np.frombuffer((folder / "test_X.bin").read_bytes(), dtype=np.uint8)
    images = files.from_planes(images, 96, folder / "test_X.bin", column_major=True)
    theirs = np.frombuffer((folder / "test_y.bin").read_bytes(), dtype=np.uint8)
    check_count("STL-10's test set", len(theirs), 8_000, complete)
    if len(images) != len(theirs) or not 1 <= theirs.min() <= theirs.max() <= len(names):
        raise WiseftError(f"{folder} has {len(images)} images, {len(theirs)} labels from 1 to {len(names)} expected")
    labels = np.array(ours)[theirs.astype(int) - 1]  # they count from 1, in another order
    shared = labels >= 0
    return labelled(images[shared], labels[shared], folder, tuple(sorted(n for n in ours if n >= 0)))
