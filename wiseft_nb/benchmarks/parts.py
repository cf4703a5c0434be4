"""The parts of a benchmark that are too large to ship: what must be on disk, and where it comes from.

Explained in notebook 11_use_real_clip.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch.utils.data import Dataset

from wiseft_nb.errors import WiseftError
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

    Explained in notebook 11_use_real_clip.
    """

    name: str
    files: tuple[str, ...]
    bytes: int
    page: str
    licence: str
    sources: tuple[Source, ...] = ()

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


def data_folder(root: str | Path | None = None) -> Path:
    """Where datasets lie: ``root``, else ``WISEFT_NB_DATA``, else ``build/datasets``.

    Explained in notebook 11_use_real_clip.
    """
    return Path(root or os.environ.get("WISEFT_NB_DATA") or BUILD / "datasets")


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
