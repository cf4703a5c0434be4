"""What a benchmark is: a reference distribution to fine-tune on, and its shifts.

Explained in notebook 00_start_here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.download import download_parts
from wiseft_nb.benchmarks.parts import NotOnDisk, Part, data_folder, missing_table, official_table
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.intervals import MEAN

# what a dataset may say of itself; see ``wiseft_nb.benchmarks.asked``
ASKED = ("class_subset", "class_groups", "metric", "border")
Template = str | Callable[[str], str]


class ImageSet(Dataset):
    """Images in memory that yield ``(PIL.Image, label)``.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 of shape ``(n, height, width, 3)``.
    labels : numpy.ndarray
        int of shape ``(n,)``.
    class_subset : tuple of int, optional
        The classes that occur, if not all of them do.
    source : numpy.ndarray, optional
        int ``(n,)``: the number of what each image was made of. Shifts that are made of the same digits
        share these numbers, so that their mean can be given its true interval.

    Explained in notebook 00_start_here.
    """

    in_memory = True  # worker processes would cost more than they save

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        class_subset: tuple[int, ...] | None = None,
        source: np.ndarray | None = None,
    ):
        images, labels = np.asarray(images), np.asarray(labels)
        if len(images) != len(labels):
            raise WiseftError(f"{len(images)} images but {len(labels)} labels: give one label an image")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise WiseftError(
                f"images are {images.dtype} {images.shape}: expected uint8 (n, height, width, 3), values from 0 to 255"
            )
        self.images, self.labels = images, labels.astype(np.int64)
        self.class_subset, self.source = class_subset, source

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.images[index]), int(self.labels[index])

    def subset(self, indices: np.ndarray) -> "ImageSet":
        """The images at ``indices``, in that order."""
        source = None if self.source is None else self.source[indices]
        return ImageSet(self.images[indices], self.labels[indices], self.class_subset, source)

    def content(self) -> Iterator[bytes]:
        """What the samples are, for the cache."""
        yield fingerprint(self.images, self.labels).encode()


@dataclass(frozen=True)
class Benchmark:
    """A reference distribution (train, val, reference test set) and its shifts.

    Datasets are map-style and yield ``(input, label)``. A shift that has only some of the classes says
    so in an attribute ``class_subset``, a tuple of class indices; one whose labels stand for several
    classes each in ``class_groups``; one that is not judged by its accuracy in ``metric``
    (``wiseft_nb.metrics``). ``groups`` names shifts that belong together, such as those in print; tables and
    figures can take their means. ``parts`` lie below ``root``, those of a benchmark that does not ship.

    Explained in notebook 00_start_here.
    """

    name: str
    class_names: Sequence[str]
    templates: Sequence[Template]
    train: Dataset
    val: Dataset
    reference: Dataset
    shifts: dict[str, Dataset]
    reference_name: str = "reference"
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)  # name -> the shifts that belong together
    about: dict[str, str] = field(default_factory=dict)  # dataset name -> one line on what it is
    parts: Sequence[Part] = ()
    root: Path | None = None
    reload: "Callable[[], Benchmark] | None" = None  # reads it again, once more of it is on disk

    def __post_init__(self) -> None:
        check_class_names(self.class_names)
        check_shift_names(self.shifts, self.reference_name)
        check_groups(self.groups, self.test_sets, self.shifts)

    @property
    def test_sets(self) -> dict[str, Dataset]:
        """The reference test set and every shift, by name, the reference first."""
        return {self.reference_name: self.reference, **self.shifts}

    def content(self) -> Iterator[bytes]:
        """What a result follows from, for the cache: classes, prompts, images, and what each set asks for."""
        prompts = [t(name) if callable(t) else t for t in self.templates for name in self.class_names]
        sets = {"train": self.train, "val": self.val, **self.test_sets}
        asked = [[getattr(data, name, None) for name in ASKED] for data in sets.values()]
        yield fingerprint(self.class_names, prompts, sets, asked, dict(self.groups)).encode()

    def missing(self) -> pd.DataFrame:
        """The parts that are not on disk: part, lacks (files), bytes, page, licence, download (whether it can be).

        Explained in notebook 11_use_real_clip.
        """
        return missing_table(self.parts, data_folder(self.root))

    def official(self) -> pd.DataFrame:
        """Whether files on disk are the official ones, by checksum: part, file, official.

        ``official`` is ``pandas.NA`` for a file of which no checksum is published.

        Explained in notebook 11_use_real_clip.
        """
        return official_table(self.parts, data_folder(self.root))

    def download(self, parts: Sequence[str] | None = None, progress: bool = True) -> "Benchmark":
        """Fetch the parts that are missing and can be fetched; returns the benchmark read again.

        Parameters
        ----------
        parts : sequence of str, optional
            Names as in ``missing()``; by default all that can be fetched.
        progress : bool
            Whether to show a progress bar.

        Raises
        ------
        WiseftError
            If a name is unknown, its host gives it to people alone, it cannot be reached, or its checksum is wrong.

        Explained in notebook 11_use_real_clip.
        """
        known = {part.name: part for part in self.parts}
        for name in parts or ():
            if name not in known:
                raise unknown("part", name, known)
            if not known[name].sources:
                raise NotOnDisk(known[name], data_folder(self.root)).refuse()
        download_parts([known[name] for name in parts or known], data_folder(self.root), progress)
        return self.reload() if self.reload else self


def check_shift_names(shifts: Iterable[str], reference_name: str) -> None:
    """Refuse shifts without a name, and names that a table of results gives to something else."""
    reserved = {name.casefold() for name in (reference_name, "reference", "train", "val", "test", MEAN)}
    for name in shifts:
        if not name.strip() or name.strip().casefold() in reserved:
            raise WiseftError(
                f"a shift is called {name!r}, which is no name or names something else in tables of results: rename it"
            )


def check_groups(groups: Mapping[str, Sequence[str]], test_sets: Iterable[str], shifts: Iterable[str]) -> None:
    """Refuse groups of no or unknown shifts, and names that a row of results has already."""
    taken = {name.casefold() for name in (*test_sets, MEAN)}
    for name, members in groups.items():
        if not name.strip() or name.strip().casefold() in taken:
            raise WiseftError(f"a group of shifts is called {name!r}, which is no name or names a dataset: rename it")
        if isinstance(members, str) or not members or len(set(members)) < len(members):
            raise WiseftError(f"group {name!r} is {members!r}: give a list of names of shifts, each once")
        for member in members:
            if member not in shifts:
                raise unknown(f"shift in group {name!r}", member, shifts)


def check_class_names(class_names: Sequence[str]) -> None:
    """Refuse no class names, empty ones and repeated ones."""
    names = list(class_names)
    if not names or any(not str(name).strip() for name in names):
        raise WiseftError(f"class names must not be empty, but they are {names}: give every class a name")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise WiseftError(f"class names must differ, but {repeated} stand more than once: rename or merge them")
