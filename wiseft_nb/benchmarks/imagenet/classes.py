"""ImageNet's thousand classes, and folders of images that are named by them.

Explained in notebook 11_use_real_clip.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import open_clip
from timm.data import ImageNetInfo

from wiseft_nb.benchmarks.images import ImagesLater
from wiseft_nb.benchmarks.listing import folders_in, list_images, warn_not_taken
from wiseft_nb.benchmarks.parts import check_count
from wiseft_nb.errors import WiseftError

# open_clip's list names two pairs of classes alike; WordNet tells them apart
DISTINCT = {744: "projectile", 836: "sunglass"}
CLASS_NAMES = tuple(DISTINCT.get(i, name) for i, name in enumerate(open_clip.IMAGENET_CLASSNAMES))
WNIDS = tuple(ImageNetInfo("imagenet-1k").label_names())  # in the order of their indices, which is sorted
Files = list[tuple[Path, int]]


def by_wnid(folder: Path, expected: int, complete: bool, classes: int = 1000) -> ImagesLater:
    """A folder of class folders named by WordNet; a set with fewer classes tells only those apart."""
    names = set(folders_in(folder))
    strange = sorted(names - set(WNIDS))
    if strange or not names:
        inside = f"folders {strange[:3]}" if strange else "no folders"
        raise WiseftError(
            f"{folder} has {inside}, expected one folder a class, such as {WNIDS[0]}: sort the images into those"
        )
    if complete and len(names) != classes:
        raise WiseftError(f"{folder} has {len(names)} class folders, expected {classes}: fetch it again")
    present = [(WNIDS.index(name), folder / name) for name in sorted(names)]
    return of_classes(folder, present, expected, complete)


def numbered(folder: Path, expected: int, complete: bool) -> ImagesLater:
    """A folder of class folders named 0 to 999: the name is the label, whatever order they are listed in."""
    names = list(folders_in(folder))
    if not names or not all(name.isascii() and name.isdecimal() and int(name) < 1000 for name in names):
        raise WiseftError(f"{folder} has folders {sorted(names)[:3]}, expected 0 to 999: fetch ImageNet-V2 again")
    return of_classes(folder, sorted((int(name), folder / name) for name in names), expected, complete)


def of_classes(folder: Path, present: Sequence[tuple[int, Path]], expected: int, complete: bool) -> ImagesLater:
    """The images of class folders; where classes are absent, only those that are there are told apart."""
    subset = tuple(sorted(label for label, _ in present))
    files = listed(str(folder), present, expected, complete)
    return ImagesLater(folder, files, subset if len(subset) < 1000 else None)


def listed(name: str, present: Sequence[tuple[int, Path]], expected: int, complete: bool) -> Callable[[], Files]:
    """What lists the images of class folders and counts them; files that are not taken are named."""

    def files() -> Files:
        found, others = [], []
        for label, inside in present:
            images, strange = list_images(inside)
            found += [(path, label) for path in images]
            others += strange
        warn_not_taken(others)
        check_count(name, len(found), expected, complete)
        return found

    return files
