"""All that is wrong with images of your own, found at once.

Explained in notebook 11_use_real_clip.
"""

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from wiseft_nb.benchmarks.images import ListedImages, decode, read_bytes
from wiseft_nb.errors import WiseftError

SHOWN = 5  # of each kind of problem
PATIENCE = 2000  # images; with more, a bar shows progress


def refuse(root: Path, problems: Sequence[str]) -> None:
    """Refuse images of your own that have problems, and name them all."""
    if problems:
        lines = [f"- {line.replace(f'{root}/', '')}" for line in problems]
        raise WiseftError(
            f"{root} has problems, mend them or pass complete=False to do without these checks:\n" + "\n".join(lines)
        )


def look_at(paths: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """The digest of each file that is a readable image, and a line for each that is not."""
    paths = list(dict.fromkeys(paths))

    def look(path: Path) -> str | WiseftError:
        try:
            content = read_bytes(path)
            decode(content, path)
            return hashlib.sha256(content).hexdigest()
        except WiseftError as error:
            return error

    with ThreadPoolExecutor() as pool:  # decoding lets other threads run
        bar = tqdm(pool.map(look, paths), total=len(paths), desc="checking images", disable=len(paths) < PATIENCE)
        found = dict(zip(paths, bar, strict=True))
    lines = [str(error) for error in found.values() if isinstance(error, WiseftError)]
    return {path: digest for path, digest in found.items() if isinstance(digest, str)}, first_of(lines, "images")


def digests_of_copies(paths: Iterable[Path]) -> dict[Path, str]:
    """The digests of files that may be copies: of those of one size, the others are not read."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        with contextlib.suppress(OSError):  # unreadable: its own, then
            sizes[path.stat().st_size].append(path)
    digests = {}
    for path in (path for same in sizes.values() if len(same) > 1 for path in same):
        with contextlib.suppress(WiseftError):
            digests[path] = hashlib.sha256(read_bytes(path)).hexdigest()
    return digests


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


def duplicates(parts: Mapping[str, ListedImages], digests: Mapping[Path, str], class_names: Sequence[str]) -> list[str]:
    """A line for each image that has two labels, or stands in train or val and somewhere else as well."""
    where: dict[str, dict[tuple[str, int], Path]] = defaultdict(dict)
    for part, images in parts.items():
        for path, label in images.files:
            if path in digests:
                where[digests[path]].setdefault((part, label), path)
    lines = []
    for found in where.values():
        same = ", ".join(dict.fromkeys(map(str, found.values())))
        labels = dict.fromkeys(class_names[label] for _, label in found)
        among = dict.fromkeys(part for part, _ in found)
        if len(labels) > 1:
            lines.append(f"{same} are one image with the labels {' and '.join(labels)}: keep the one that is right")
        elif len(among) > 1 and not among.keys().isdisjoint(("train", "val")):
            lines.append(f"{same} are one image in {' and '.join(among)}: keep it in one of them")
    return first_of(lines, "images that are twice there")


def first_of(lines: Sequence[str], kind: str) -> list[str]:
    """The first few lines, and how many more there are."""
    more = [f"and {len(lines) - SHOWN:,} more {kind}"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
