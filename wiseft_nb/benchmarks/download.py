"""Fetch the parts of a benchmark: only when asked, resumed where it stopped, in place once its digest is right.

Explained in notebook 11_use_real_clip.
"""

import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from urllib.error import HTTPError

from tqdm.auto import tqdm

from wiseft_nb.benchmarks.parts import Part, Source, digest_of
from wiseft_nb.errors import WiseftError, reason

BLOCK = 1 << 20  # bytes read at a time
SILENCE = 60  # seconds without a byte, then it is given up


def download_parts(parts: Sequence[Part], root: Path, progress: bool = True) -> None:
    """Fetch those parts that are not below ``root`` and have sources; archives are unpacked and deleted.

    Raises
    ------
    WiseftError
        If a file cannot be reached or has another digest. What was fetched stays; called again, it goes on.
    """
    for part in parts:
        for source in part.sources if part.absent(root) else ():
            if source.unpack is not None or not (root / source.path).exists():
                fetch(source, root, progress)
                if source.unpack is not None:
                    unpack(root / source.path, root / source.unpack)


def fetch(source: Source, root: Path, progress: bool = True) -> Path:
    """Fetch one file; what an earlier call left in ``….part`` is not fetched again."""
    path = root / source.path
    if path.exists() and digest_of(path, source.digest) == source.digest:
        return path
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        receive(source, part, progress)
    except (OSError, HTTPException, ValueError) as error:
        raise WiseftError(
            f"{source.url} could not be fetched ({reason(error)}): call again to go on, or fetch it by hand and put it "
            f"at {path}"
        ) from error
    if digest_of(part, source.digest) != source.digest:
        part.unlink()
        raise WiseftError(
            f"{source.url} does not have the digest {source.digest}, so it was deleted: fetch it again; if that "
            "happens twice, its host has changed it"
        )
    part.replace(path)
    return path


def receive(source: Source, part: Path, progress: bool) -> None:
    """Append to ``part`` what it lacks; all anew where the host does not send from the middle."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "wiseft-nb"}  # some hosts turn urllib's own away
    request = urllib.request.Request(source.url, headers=headers | ({"Range": f"bytes={done}-"} if done else {}))
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE)
    except HTTPError as error:
        if error.code != 416:  # there is nothing after what we have: the digest will tell
            raise
        return
    with answer:
        resumed = done and answer.status == 206
        bar = tqdm(
            desc=Path(source.path).name,
            total=source.bytes,
            initial=done if resumed else 0,
            unit="B",
            unit_scale=True,
            disable=not progress,
        )
        with bar, part.open("ab" if resumed else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    if answer.length:
        raise OSError(f"the connection ended {answer.length:,} bytes early")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack beside its place, then move; members that point outside are refused."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as beside:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as file:
                    check_members(file.namelist())
                    file.extractall(beside)
            else:
                with tarfile.open(archive) as file:
                    file.extractall(beside, filter="data")
            for path in sorted(Path(beside).iterdir()):
                move_into(path, folder / path.name)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise WiseftError(
            f"{archive} cannot be unpacked ({reason(error)}): free some space, or delete it and fetch it again"
        ) from error
    archive.unlink()


def check_members(names: Sequence[str]) -> None:
    """Refuse what ``zipfile`` would bend to lie inside (``tarfile`` refuses it by itself)."""
    outside = [name for name in names if PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts]
    if outside:
        raise zipfile.BadZipFile(f"{outside[0]!r} points outside the archive")


def move_into(path: Path, target: Path) -> None:
    """Move a file or folder to where nothing is yet; what is there already stays."""
    if path.is_dir() and target.is_dir():
        for inside in sorted(path.iterdir()):
            move_into(inside, target / inside.name)
    elif not target.exists():
        path.replace(target)
