"""All that is wrong with images of your own, found at once.

Explained in notebook 11_use_real_clip.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from wiseft_nb.benchmarks.images import ListedImages, read_bytes, read_image
from wiseft_nb.errors import WiseftError

SHOWN = 5  # of each kind of problem
PATIENCE = 2000  # images; with more, a bar shows progress


def refuse_problems(root: Path, parts: Mapping[str, ListedImages], class_names: Sequence[str]) -> None:
    """Look at every image; refuse the lot if there are problems, and name them all.

    Parameters
    ----------
    root : Path
        For the sentence, and the names of files in it.
    parts : mapping
        ``train``, ``val``, ``reference`` and ``shift:NAME``.
    class_names : sequence of str

    Raises
    ------
    WiseftError
        If a class is missing in train, val or reference, an image cannot be read, or the same file lies
        on both sides of a split.

    Explained in notebook 11_use_real_clip.
    """
    digests, unreadable = look_at([path for images in parts.values() for path, _ in images.files])
    problems = [*missing_classes(parts, class_names), *unreadable, *duplicates(parts, digests)]
    if problems:
        lines = [f"- {line.replace(f'{root}/', '')}" for line in problems]
        raise WiseftError(
            f"{root} has problems, mend them or pass complete=False to do without these checks:\n" + "\n".join(lines)
        )


def look_at(paths: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """The digest of each file that is a readable image, and a line for each that is not."""

    def look(path: Path) -> str | WiseftError:
        try:
            read_image(path)
            return hashlib.sha256(read_bytes(path)).hexdigest()
        except WiseftError as error:
            return error

    with ThreadPoolExecutor() as pool:  # decoding lets other threads run
        bar = tqdm(pool.map(look, paths), total=len(paths), desc="checking images", disable=len(paths) < PATIENCE)
        found = dict(zip(paths, bar, strict=True))
    lines = [str(error) for error in found.values() if isinstance(error, WiseftError)]
    return {path: digest for path, digest in found.items() if isinstance(digest, str)}, first_of(lines, "images")


def missing_classes(parts: Mapping[str, ListedImages], class_names: Sequence[str]) -> list[str]:
    """A line for each split that lacks classes; shifts may."""
    lines = []
    for part in ("train", "val", "reference"):
        present = {label for _, label in parts[part].files}
        absent = [name for label, name in enumerate(class_names) if label not in present]
        if absent:
            more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
            lines.append(f"{part} has no images of {', '.join(absent[:SHOWN])}{more}: every class needs some")
    return lines


def duplicates(parts: Mapping[str, ListedImages], digests: Mapping[Path, str]) -> list[str]:
    """A line for each file that stands in a test set as well as in train or val, or in both of those."""
    where: dict[str, dict[str, Path]] = defaultdict(dict)
    for part, images in parts.items():
        for path, _ in images.files:
            if path in digests:
                where[digests[path]].setdefault(part, path)
    lines = []
    for found in where.values():
        learned = [part for part in ("train", "val") if part in found]
        if learned and len(found) > 1:
            same = ", ".join(str(path) for path in found.values())
            lines.append(f"{same} are one image in {' and '.join(found)}: keep it in one of them")
    return first_of(lines, "images that are twice there")


def first_of(lines: Sequence[str], kind: str) -> list[str]:
    """The first few lines, and how many more there are."""
    more = [f"and {len(lines) - SHOWN:,} more {kind}"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
