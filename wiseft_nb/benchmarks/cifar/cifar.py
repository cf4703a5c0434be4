"""CIFAR-10 and its shifts, read from the files their authors publish.

CIFAR-10.1 and 10.2 were collected again by others in the same way, CIFAR-10-C is corrupted in 15 ways
and five severities, STL-10 has larger photographs of nine of the classes.

Explained in notebook 11_use_real_clip.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.cifar import files
from wiseft_nb.benchmarks.cifar.parts import (
    CIFAR10,
    CIFAR10_1,
    CIFAR10_2,
    CIFAR10_BINARY,
    CIFAR10_C,
    CORRUPTIONS,
    MORE_CORRUPTIONS,
    STL10,
    cifar10_c,
)
from wiseft_nb.benchmarks.parts import NotOnDisk, Part, among, check_count, first_on_disk, open_shifts
from wiseft_nb.benchmarks.splits import digests_of, held_out
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10_NAMES = {"car": "automobile"}  # where it says otherwise; its monkeys are no class of CIFAR-10
VALIDATION = 0.1  # of the training images
ABOUT = {
    "cifar10": "photographs of 32 x 32 pixels, the reference distribution (CIFAR-10's test images)",
    "cifar10.1-v6": "collected again as CIFAR-10 was (CIFAR-10.1, the version its authors recommend)",
    "cifar10.1-v4": "collected again as CIFAR-10 was (CIFAR-10.1, the first version)",
    "cifar10.2": "collected again by other people (CIFAR-10.2's test split)",
    "stl10": "photographs of 96 x 96 pixels of the nine shared classes (STL-10's test images)",
}


def load_cifar10_benchmark(root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """CIFAR-10 with CIFAR-10.1, CIFAR-10.2, CIFAR-10-C and STL-10 as shifts.

    Validation data are 5,000 training images, a tenth of each class, always the same. Shifts are named
    ``cifar10.1-v4``, ``cifar10.1-v6``, ``cifar10.2``, ``cifar10-c/fog/3`` (corruption and severity, 1 to
    5; severity 3 by default) and ``stl10``.
    """
    part = first_on_disk(root, CIFAR10, CIFAR10_BINARY)
    train = val = reference = NotOnDisk(part, root)
    if not part.absent(root):
        read = read_binary if part is CIFAR10_BINARY else read_python
        train, val = read_training(read, root, complete)
        reference = read_test(read, root, complete)
    known, parts = shifts_known(root, complete)
    usual = ["cifar10.*", "stl10", *(f"cifar10-c/{corruption}/3" for corruption in CORRUPTIONS)]
    opened = open_shifts(known, root, shifts, " ".join(usual), (part,))
    corrupted = {
        name: "CIFAR-10's test images, {1}, severity {2} of 5".format(*name.split("/"))
        for name in opened
        if "/" in name
    }
    return Benchmark(
        name="cifar10",
        class_names=CLASS_NAMES,
        templates=load_templates("cifar10"),
        train=train,
        val=val,
        reference=reference,
        shifts=opened,
        reference_name="cifar10",
        about=ABOUT | corrupted,
        groups=among(groups_of(opened), opened),
        parts=(part, *parts),
        root=root,
    )


def groups_of(opened: Iterable[str]) -> dict[str, list[str]]:
    """Photographs that were collected anew, and test images that were corrupted by code."""
    return {"natural": [n for n in opened if "/" not in n], "corrupted": [n for n in opened if "/" in n]}


def shifts_known(root: Path, complete: bool) -> tuple[dict[str, tuple[Part, Callable[[], ImageSet]]], list[Part]]:
    """Every shift by name: what it needs and how it is read; and the parts they come from."""
    v6, v4 = (first_on_disk(root, *CIFAR10_1[version]) for version in ("v6", "v4"))
    second = first_on_disk(root, *CIFAR10_2)
    known = {
        "cifar10.1-v6": (v6, lambda: read_cifar10_1(root, v6, 2_000, complete)),
        "cifar10.1-v4": (v4, lambda: read_cifar10_1(root, v4, 2_021, complete)),
        "cifar10.2": (second, lambda: read_cifar10_2(root, second, complete)),
        "stl10": (STL10, lambda: read_stl10(root, complete)),
    }
    for corruption in CORRUPTIONS + MORE_CORRUPTIONS:
        for severity in range(1, 6):
            read = functools.partial(read_cifar10_c, root, corruption, severity, complete)
            known[f"cifar10-c/{corruption}/{severity}"] = (cifar10_c(corruption), read)
    return known, [v4, v6, second, CIFAR10_C, STL10]


def read_training(read: Callable, root: Path, complete: bool) -> tuple[ImageSet, ImageSet]:
    """The training images but a tenth, and that tenth."""
    images, labels = read(root, [f"data_batch_{i}" for i in range(1, 6)])
    check_count("CIFAR-10's training set", len(labels), 50_000, complete)
    whole = labelled(images, labels, root)
    train, val = held_out(labels, VALIDATION, copies=digests_of(images))
    return whole.subset(train), whole.subset(val)


def read_test(read: Callable, root: Path, complete: bool) -> ImageSet:
    """The test images."""
    images, labels = read(root, ["test_batch"])
    check_count("CIFAR-10's test set", len(labels), 10_000, complete)
    return labelled(images, labels, root)


def read_python(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Batches of the python version, their class names checked."""
    folder = root / "cifar-10-batches-py"
    check_order(files.read_pickle(folder / "batches.meta").get("label_names"), folder / "batches.meta")
    return concatenated([files.read_python_batch(folder / name) for name in names])


def read_binary(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Batches of the binary version, their class names checked."""
    folder = root / "cifar-10-batches-bin"
    check_order(files.read_words(folder / "batches.meta.txt"), folder / "batches.meta.txt")
    return concatenated([files.read_binary_batch(folder / f"{name}.bin") for name in names])


def check_order(said: object, path: Path) -> None:
    """Refuse labels that mean other classes than ours; ``said`` are their names, as texts or bytes."""
    names = said.tolist() if isinstance(said, np.ndarray) else said
    if isinstance(names, list | tuple):
        names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names]
    if names != list(CLASS_NAMES):
        raise WiseftError(f"{path} names the classes {names}, expected {list(CLASS_NAMES)}: fetch the official file")


def concatenated(batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Several batches as one."""
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def labelled(images: np.ndarray, labels: np.ndarray, path: Path, subset: tuple[int, ...] | None = None) -> ImageSet:
    """An image set; refuses images of another shape and labels that are no class."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise WiseftError(f"{path} holds {images.dtype} of shape {images.shape}, expected uint8 (n, height, width, 3)")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not np.isin(labels, range(10)).all():
        raise WiseftError(f"{path} has labels that are no class, expected whole numbers from 0 to 9: fetch it again")
    if len(images) != len(labels):
        raise WiseftError(f"{path} holds {len(images)} images but {len(labels)} labels: fetch it again")
    return ImageSet(images, labels, subset)


def read_cifar10_1(root: Path, part: Part, count: int, complete: bool) -> ImageSet:
    """CIFAR-10.1, v4 or v6."""
    images, labels = (files.read_array(root / name) for name in part.files)
    check_count(part.name, len(labels), count, complete)
    return labelled(images, labels, root / part.files[0])


def read_cifar10_2(root: Path, part: Part, complete: bool) -> ImageSet:
    """CIFAR-10.2's test split; it also has a training split of 10,000 images, which is no shift."""
    path = root / part.files[0]
    found = files.read_arrays(path, ("images", "labels"))
    if not {"images", "labels"} <= found.keys():
        raise WiseftError(f"{path} holds {sorted(found)}, expected images and labels: fetch it again")
    check_count("CIFAR-10.2's test split", len(found["labels"]), 2_000, complete)
    return labelled(np.asarray(found["images"]), np.asarray(found["labels"]), path)


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
    names = files.read_words(folder / "class_names.txt")
    ours = [CLASS_NAMES.index(n) if (n := STL10_NAMES.get(name, name)) in CLASS_NAMES else -1 for name in names]
    images = np.frombuffer((folder / "test_X.bin").read_bytes(), dtype=np.uint8)
    images = files.from_planes(images, 96, folder / "test_X.bin", column_major=True)
    theirs = np.frombuffer((folder / "test_y.bin").read_bytes(), dtype=np.uint8)
    check_count("STL-10's test set", len(theirs), 8_000, complete)
    if len(images) != len(theirs) or not np.isin(theirs, np.arange(len(names)) + 1).all():
        raise WiseftError(f"{folder} has {len(images)} images, {len(theirs)} labels from 1 to {len(names)} expected")
    labels = np.array(ours)[theirs.astype(int) - 1]  # they count from 1, in another order
    shared = labels >= 0
    return labelled(images[shared], labels[shared], folder, tuple(sorted(n for n in ours if n >= 0)))
