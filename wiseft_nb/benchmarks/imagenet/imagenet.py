"""ImageNet and its shifts, read from the folders their authors publish.

Explained in notebook 11_use_real_clip.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.imagenet import parts
from wiseft_nb.benchmarks.imagenet.classes import CLASS_NAMES, WNIDS, by_wnid, numbered
from wiseft_nb.benchmarks.imagenet.objectnet import read_objectnet
from wiseft_nb.benchmarks.imagenet.shards import ShardImages, is_shards
from wiseft_nb.benchmarks.imagenet.video import read_vid_robust
from wiseft_nb.benchmarks.imagenet.ytbb import read_ytbb_robust
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.benchmarks.parts import open_part, open_shifts
from wiseft_nb.benchmarks.splits import held_out
from wiseft_nb.benchmarks.templates import load_templates

VALIDATION = 0.01  # of the training images
TRAINING = 1_281_167  # images


def load_imagenet_benchmark(root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """ImageNet with V2, R, Sketch, ObjectNet, A, Vid-Robust and YTBB-Robust as shifts.

    Validation data are a hundredth of the training images, a like share of each class; ImageNet's own
    "validation" images are the reference test set, as in the paper. Shifts are named ``v2``, ``r``,
    ``sketch``, ``objectnet``, ``a``, and, on request, ``vid-robust/pm-0``, ``vid-robust/pm-10``,
    ``ytbb-robust/pm-0`` and ``ytbb-robust/pm-10``.
    """
    folder = root / "imagenet/train"

    @functools.cache  # read once for both
    def whole() -> ListedImages | ShardImages:
        return (ShardImages if is_shards(folder) else by_wnid)(folder, TRAINING, complete)

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
        shifts=open_shifts(known, root, shifts, "v2 r sketch objectnet a", (parts.TRAIN, parts.VAL)),
        reference_name="imagenet",
        about={"val": "a hundredth of the training images; choose on it, not on the reference"},
        parts=(parts.TRAIN, parts.VAL, parts.V2, parts.R, parts.SKETCH, parts.OBJECTNET, parts.A, *videos),
        root=root,
    )


class Portion(Dataset):
    """The training images but those held out (0), or those (1); divided when they are first asked for."""

    def __init__(self, whole: Callable[[], ListedImages | ShardImages], which: int):
        self.whole, self.which = whole, which

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """Which of the training images."""
        labels = np.array([label for _, label in self.whole().files])
        return held_out(labels, VALIDATION)[self.which]

    @functools.cached_property
    def part(self) -> ListedImages | ShardImages:
        """These images alone."""
        return self.whole().subset(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple:
        return self.part[index]

    def subset(self, indices: Sequence[int] | np.ndarray | slice) -> ListedImages | ShardImages:
        """The images at ``indices``, in that order."""
        return self.part.subset(indices)

    def content(self) -> Iterator[bytes]:
        """What the samples follow from: files' names, labels and bytes."""
        return self.part.content()
