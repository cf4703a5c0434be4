"""ImageNet and its shifts, read from the folders their authors publish.

Explained in notebook 11_use_real_clip.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
from timm.data import ImageNetInfo
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.imagenet import parts
from wiseft_nb.benchmarks.imagenet.objectnet import read_objectnet
from wiseft_nb.benchmarks.imagenet.shards import ShardImages
from wiseft_nb.benchmarks.imagenet.video import read_vid_robust
from wiseft_nb.benchmarks.imagenet.ytbb import read_ytbb_robust
from wiseft_nb.benchmarks.images import ImagesLater, images_in
from wiseft_nb.benchmarks.parts import check_count, open_part, open_shifts
from wiseft_nb.benchmarks.splits import held_out
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError

# open_clip's list names two pairs of classes alike; WordNet tells them apart
DISTINCT = {744: "projectile", 836: "sunglass"}
CLASS_NAMES = tuple(DISTINCT.get(i, name) for i, name in enumerate(open_clip.IMAGENET_CLASSNAMES))
WNIDS = tuple(ImageNetInfo("imagenet-1k").label_names())  # in the order of their indices, which is sorted
VALIDATION = 0.01  # of the training images
Files = list[tuple[Path, int]]


def load_imagenet_benchmark(root: Path, shifts: Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """ImageNet with V2, R, Sketch, ObjectNet, A, Vid-Robust and YTBB-Robust as shifts.

    Validation data are a hundredth of the training images, a like share of each class; ImageNet's own
    "validation" images are the reference test set, as in the paper. Shifts are named ``v2``, ``r``,
    ``sketch``, ``objectnet``, ``a``, and, on request, ``vid-robust/pm-0``, ``vid-robust/pm-10``,
    ``ytbb-robust/pm-0`` and ``ytbb-robust/pm-10``.

    Explained in notebook 11_use_real_clip.
    """
    folder = root / "imagenet/train"
    listed = (lambda: ShardImages(folder)) if is_shards(folder) else (lambda: by_wnid(folder, 1_281_167, complete))
    whole = functools.cache(listed)  # read once for both
    train, val = (open_part(parts.TRAIN, root, lambda i=i: Portion(whole, i)) for i in (0, 1))
    known = {
        "v2": (parts.V2, lambda: numbered(root / "imagenetv2-matched-frequency-format-val", 10_000, complete)),
        "r": (parts.R, lambda: by_wnid(root / "imagenet-r", 30_000, complete, 200)),
        "sketch": (parts.SKETCH, lambda: by_wnid(root / "sketch", 50_889, complete)),
        "objectnet": (parts.OBJECTNET, lambda: read_objectnet(root / "objectnet-1.0", complete)),
        "a": (parts.A, lambda: by_wnid(root / "imagenet-a", 7_500, complete, 200)),
    }
    for k in (0, 10):
        frames = functools.partial(read_vid_robust, root / parts.VID_ROBUST_FOLDER, k, WNIDS, complete)
        known[f"vid-robust/pm-{k}"] = (parts.VID_ROBUST, frames)
        frames = functools.partial(read_ytbb_robust, root / parts.YTBB_ROBUST_FOLDER, k)
        known[f"ytbb-robust/pm-{k}"] = (parts.YTBB_ROBUST, frames)
    videos = (parts.VID_ROBUST, parts.YTBB_ROBUST)
    return Benchmark(
        name="imagenet",
        class_names=CLASS_NAMES,
        templates=load_templates("openai-imagenet"),
        train=train,
        val=val,
        reference=open_part(parts.VAL, root, lambda: by_wnid(root / "imagenet/val", 50_000, complete)),
        shifts=open_shifts(known, root, shifts, usual="v2 r sketch objectnet a"),
        reference_name="imagenet",
        about={"val": "a hundredth of the training images; choose on it, not on the reference"},
        parts=(parts.TRAIN, parts.VAL, parts.V2, parts.R, parts.SKETCH, parts.OBJECTNET, parts.A, *videos),
        root=root,
    )


class Portion(Dataset):
    """The training images but those held out (0), or those (1); divided when they are first asked for."""

    def __init__(self, whole, which: int):  # noqa: ANN001
        self.whole, self.which = whole, which

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """Which of the training images."""
        labels = np.array([label for _, label in self.whole().files])
        return held_out(labels, VALIDATION)[self.which]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple:
        return self.whole()[int(self.indices[index])]


def is_shards(folder: Path) -> bool:
    """Whether a folder holds WebDataset shards."""
    return folder.is_dir() and any(folder.glob("*.tar"))


def by_wnid(folder: Path, expected: int, complete: bool, classes: int = 1000) -> ImagesLater:
    """A folder of class folders named by WordNet; a set with fewer classes tells only those apart."""
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    strange = sorted(names - set(WNIDS))
    if strange or not names:
        inside = f"folders {strange[:3]}" if strange else "no folders"
        raise WiseftError(
            f"{folder} has {inside}, expected one folder a class, such as {WNIDS[0]}: sort the images into those"
        )
    if complete and len(names) != classes:
        raise WiseftError(f"{folder} has {len(names)} class folders, expected {classes}: fetch it again")
    present = [(WNIDS.index(name), folder / name) for name in sorted(names)]
    return listed(folder, present, expected, complete)


def numbered(folder: Path, expected: int, complete: bool) -> ImagesLater:
    """A folder of class folders named 0 to 999: the name is the label, whatever order they are listed in."""
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    if not names or not all(name.isascii() and name.isdecimal() and int(name) < 1000 for name in names):
        raise WiseftError(f"{folder} has folders {sorted(names)[:3]}, expected 0 to 999: fetch ImageNet-V2 again")
    return listed(folder, sorted((int(name), folder / name) for name in names), expected, complete)


def listed(folder: Path, present: Sequence[tuple[int, Path]], expected: int, complete: bool) -> ImagesLater:
    """The images of class folders, counted when they are listed."""

    def files() -> Files:
        found = [(path, label) for label, inside in present for path in images_in(inside)]
        check_count(str(folder), len(found), expected, complete)
        return found

    subset = tuple(sorted(label for label, _ in present))
    return ImagesLater(folder, files, subset if len(subset) < 1000 else None)
