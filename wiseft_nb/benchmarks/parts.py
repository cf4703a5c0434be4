"""The parts of a benchmark that are too large to ship: what must be on disk, and where it comes from.

Explained in notebook 11_use_real_clip.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
        how = too_deep(self.part, self.root) or how
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


def too_deep(part: Part, root: Path) -> str:
    """The hint that ``root`` lies inside the folder that is meant; empty if it does not."""
    above = next((folder for folder in root.resolve().parents[:2] if not part.absent(folder)), None)
    return f"root is too deep, pass root={str(above)!r}" if above else ""


def among(groups: Mapping[str, Sequence[str]], shifts: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Groups with those of their shifts that are there; none without any."""
    there = {name: tuple(shift for shift in members if shift in shifts) for name, members in groups.items()}
    return {name: members for name, members in there.items() if members}


def choose_shifts(known: Iterable[str], wanted: str | Sequence[str] | None, usual: str = "*") -> list[str]:
    """Those of the known shifts that are wanted, by name or pattern, in their own order; a text is one name.

    By default those that match one of the patterns in ``usual``.
    """
    known = list(known)
    patterns = usual.split() if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    if wanted is not None:
        for pattern in patterns:
            if not any(is_meant(name, pattern) for name in known):
                raise unknown("shift", pattern, known)
    return [name for name in known if any(is_meant(name, pattern) for pattern in patterns)]


def is_meant(name: str, pattern: object) -> bool:
    """Whether a name is the one asked for, or matches the pattern."""
    return name == pattern or fnmatch(name, str(pattern))


def open_shifts(
    shifts: Mapping[str, tuple[Part, Callable[[], Dataset]]],
    root: Path,
    wanted: str | Sequence[str] | None,
    usual: str = "*",
    main: Sequence[Part] = (),
) -> dict[str, Dataset]:
    """Read those shifts that are wanted and on disk; one warning names the others.

    ``wanted`` are names or patterns such as ``"cifar10-c/*/5"``; by default those that match ``usual``.
    ``main`` are the parts of the reference: if all of them are missing, that is said, too.
    """
    chosen = {name: shifts[name] for name in choose_shifts(shifts, wanted, usual)}
    found = {name: read() for name, (part, read) in chosen.items() if not part.absent(root)}
    there = {chosen[name][0].name for name in found}
    gone = {name if part.name in there else part.name for name, (part, _) in chosen.items() if name not in found}
    lines = [f"left out of the shifts: {', '.join(sorted(gone))}"] if gone else []
    if main and all(part.absent(root) for part in main):
        hint = too_deep(main[0], root)
        lines = [
            f"{' and '.join(part.name for part in main)}, the reference itself{f' ({hint})' if hint else ''}",
            *lines,
        ]
    if lines:
        warnings.warn(
            f"not on disk below {root}: {'; '.join(lines)}; benchmark.missing() says where they come from",
            stacklevel=4,
        )
    return found


def read_json(path: Path) -> object:
    """What a JSON file holds; Windows' editors put a mark before it."""
    return json.loads(path.read_text(encoding="utf-8-sig"))


def check_count(name: str, found: int, expected: int, complete: bool) -> None:
    """Refuse a set that is not as large as the official one, the mark of a download that broke off."""
    if complete and found != expected:
        raise WiseftError(
            f"{name} holds {found:,} images, expected {expected:,}: fetch it again, it is incomplete or another "
            "version, or pass complete=False to take what is there"
        )


def data_folder(root: str | Path | None = None) -> Path:
    """Where datasets lie: ``root``, else ``WISEFT_NB_DATA``, else ``build/datasets``."""
    return Path(root or os.environ.get("WISEFT_NB_DATA") or BUILD / "datasets").expanduser()


def missing_table(parts: Sequence[Part], root: Path) -> pd.DataFrame:
    """A row for each part that is not whole below ``root``."""
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
    """A row for each file on disk: part, file, official (``pandas.NA`` where no digest of it is published)."""
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
