"""The parts of a benchmark that are too large to ship: what must be on disk, and where it comes from.

Explained in notebook 11_use_real_clip.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
from torch.utils.data import Dataset

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.paths import BUILD


@dataclass(frozen=True)
class Source:
    """A file that its host gives to programs.

    Attributes
    ----------
    url : str
    path : str
        Where it goes, below the data folder.
    bytes : int
    digest : str
        ``"md5:…"`` or ``"sha256:…"``.
    unpack : str or None
        Where an archive is unpacked, below the data folder; None if it is no archive.

    Explained in notebook 11_use_real_clip.
    """

    url: str
    path: str
    bytes: int
    digest: str
    unpack: str | None = None


@dataclass(frozen=True)
class Part:
    """A dataset in its official layout.

    Attributes
    ----------
    name : str
        Of the test set or split, as in ``benchmark.test_sets``; or ``"train"``.
    files : tuple of str
        What must stand below the data folder, in the dataset's own layout.
    bytes : int
        What is downloaded.
    page : str
        The web page it comes from.
    licence : str
    sources : tuple of Source
        What ``download`` fetches; empty where the host gives it to people alone.
    digests : mapping of str to str
        Digests of official files, such as ``{"batches/test": "md5:…"}``, where they are known.

    Explained in notebook 11_use_real_clip.
    """

    name: str
    files: tuple[str, ...]
    bytes: int
    page: str
    licence: str
    sources: tuple[Source, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    def absent(self, root: Path) -> list[str]:
        """Those of its files that are not below ``root``."""
        return [name for name in self.files if not (root / name).exists()]


class NotOnDisk(Dataset):
    """Stands for a part that is missing, and says so as soon as it is used."""

    def __init__(self, part: Part, root: Path):
        self.part, self.root = part, root

    def refuse(self) -> WiseftError:
        """The sentence that says what is missing and how to get it."""
        how = "call benchmark.download()" if self.part.sources else f"fetch it by hand from {self.part.page}"
        absent = ", ".join(self.part.absent(self.root)) or self.part.name
        return WiseftError(f"{self.part.name} is not on disk, {self.root} lacks {absent}: {how}")

    def __len__(self) -> int:
        raise self.refuse()

    def __getitem__(self, index: int) -> tuple:
        raise self.refuse()


def first_on_disk(root: Path, *layouts: Part) -> Part:
    """The first of a part's layouts that is whole below ``root``; if none is, the one that is downloaded."""
    return next((part for part in layouts if not part.absent(root)), layouts[0])


def open_part(part: Part, root: Path, read: Callable[[], Dataset]) -> Dataset:
    """What ``read`` reads if the part is on disk; else what stands for it."""
    return NotOnDisk(part, root) if part.absent(root) else read()


def open_shifts(
    shifts: Mapping[str, tuple[Part, Callable[[], Dataset]]], root: Path, wanted: Sequence[str] | None, usual: str = "*"
) -> dict[str, Dataset]:
    """Read those shifts that are wanted and on disk; one warning names the others.

    ``wanted`` are names or patterns such as ``"cifar10-c/*/5"``; by default those that match ``usual``.
    """
    patterns = usual.split() if wanted is None else wanted
    chosen = {name: shift for name, shift in shifts.items() if any(fnmatch(name, p) for p in patterns)}
    strange = [p for p in wanted or () if not any(fnmatch(name, p) for name in shifts)]
    if strange:
        raise unknown("shift", strange[0], shifts)
    there = {part.name for part, _ in chosen.values() if not part.absent(root)}
    gone = {name if part.name in there else part.name for name, (part, _) in chosen.items() if part.absent(root)}
    if gone:
        warnings.warn(
            f"not on disk below {root}, so left out of the shifts: {', '.join(sorted(gone))}; benchmark.missing() says where "
            "they come from",
            stacklevel=4,
        )
    return {name: read() for name, (part, read) in chosen.items() if not part.absent(root)}


def check_count(name: str, found: int, expected: int, complete: bool) -> None:
    """Refuse a set that is not as large as the official one, the mark of a download that broke off."""
    if complete and found != expected:
        raise WiseftError(
            f"{name} holds {found:,} images, expected {expected:,}: fetch it again, it is incomplete or another "
            "version, or pass complete=False to take what is there"
        )


def data_folder(root: str | Path | None = None) -> Path:
    """Where datasets lie: ``root``, else ``WISEFT_NB_DATA``, else ``build/datasets``.

    Explained in notebook 11_use_real_clip.
    """
    return Path(root or os.environ.get("WISEFT_NB_DATA") or BUILD / "datasets").expanduser()


def missing_table(parts: Sequence[Part], root: Path) -> pd.DataFrame:
    """A row for each part that is not whole below ``root``.

    Explained in notebook 11_use_real_clip.
    """
    rows = [
        {
            "part": part.name,
            "lacks": ", ".join(part.absent(root)),
            "bytes": part.bytes,
            "page": part.page,
            "licence": part.licence,
            "download": bool(part.sources),
        }
        for part in parts
        if part.absent(root)
    ]
    return pd.DataFrame(rows, columns=["part", "lacks", "bytes", "page", "licence", "download"])


def official_table(parts: Sequence[Part], root: Path) -> pd.DataFrame:
    """A row for each file on disk: part, file, official (``pandas.NA`` where no digest of it is published).

    Explained in notebook 11_use_real_clip.
    """
    rows = [
        {"part": part.name, "file": name, "official": is_official(root / name, part.digests.get(name))}
        for part in parts
        for name in dict.fromkeys((*part.files, *part.digests))
        if (root / name).is_file()
    ]
    return pd.DataFrame(rows, columns=["part", "file", "official"]).astype({"official": "boolean"})


def is_official(path: Path, digest: str | None) -> object:
    """Whether a file has its official digest; ``pandas.NA`` if that is not known."""
    return digest_of(path, digest) == digest if digest else pd.NA


def digest_of(path: Path, like: str) -> str:
    """The digest of a file, of the kind of another: ``"md5:…"`` or ``"sha256:…"``."""
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
