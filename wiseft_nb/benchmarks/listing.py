"""Which files below a folder are images: one rule for folders of your own, ``classify`` and ImageNet's reader.

Every depth is searched and links are followed, in torchvision's order. Hidden files and what systems
leave behind are passed over, text too; any other file that is not taken is named.

Explained in notebook 11_use_real_clip.
"""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, features

from wiseft_nb.errors import WiseftError, reason

AVIF = features.check("avif")
ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
    *((".avif",) if AVIF else ()),
)
# no other decoder is tried: EPS runs a program
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", *(("AVIF",) if AVIF else ()))
UNREAD = (".heic", ".heif", ".avif", ".svg", ".eps", ".jp2", ".jxl", ".tga", ".ico", ".psd", ".dng", ".cr2", ".nef")
LEFT_BEHIND = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # bytes that text has none of


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files below a folder, and the files there that are none but may have been meant as some."""
    images, others = [], []
    for place, names in sorted(walk(os.fspath(folder))):
        for name in sorted(names):
            path = Path(place, name)
            if is_taken(path):
                images.append(path)
            elif not is_text(path):
                others.append(path)
    return images, others


def walk(folder: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Every folder with the names of its files; links are followed, but never back to a folder above."""
    here = os.path.realpath(folder)
    if here in above:
        return
    above |= {here, *map(str, Path(here).parents)}
    folders, files = contents(folder)
    yield folder, files
    for name in folders:
        yield from walk(os.path.join(folder, name), above)


def contents(folder: str | Path) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder, in order, but for what is hidden or left behind."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, is_folder(entry)) for entry in entries if not is_left_behind(entry.name))
    except OSError as error:
        raise WiseftError(f"{folder} cannot be listed ({reason(error)}): check that you may read it") from error
    return [name for name, inside in found if inside], [name for name, inside in found if not inside]


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one; a link that leads round in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders_in(folder: Path) -> dict[str, Path]:
    """The folders in a folder by name, in order, but for what is hidden or left behind."""
    return {name: folder / name for name in contents(folder)[0]}


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is hidden, or one that macOS, Windows, Jupyter or a file server leaves."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def is_taken(path: Path) -> bool:
    """Whether a file is an image by its ending; without one, by what it holds."""
    return path.suffix.lower() in ENDINGS or (not path.suffix and is_image(path))


def is_image(path: Path) -> bool:
    """Whether Pillow knows the format of a file by its first bytes."""
    try:
        if not path.is_file():  # a pipe would never end
            return False
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # noqa: BLE001 (Pillow's readers let out errors of every kind)
        return False


def is_text(path: Path) -> bool:
    """Whether a file holds text, such as notes, a table or a licence, and no picture drawn as text."""
    if path.suffix.lower() in UNREAD or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return not CONTROL.search(file.read(1024))
    except OSError:
        return False


def strays_in(folder: Path) -> list[Path]:
    """Files straight in a folder of folders that look like images by their endings."""
    return [folder / name for name in contents(folder)[1] if Path(name).suffix.lower() in (*ENDINGS, *UNREAD)]


def not_taken(others: Sequence[Path]) -> list[str]:
    """A line on the files that were not taken as images; none if there are none."""
    if not others:
        return []
    shown = ", ".join(str(path) for path in others[:3])
    return [f"{len(others):,} not taken as images, such as {shown}: save images as PNG or JPEG, move what is none"]


def warn_not_taken(others: Sequence[Path]) -> None:
    """Say which files were not taken as images."""
    for line in not_taken(others):
        warnings.warn(line, stacklevel=3)
