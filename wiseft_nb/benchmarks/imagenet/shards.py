"""WebDataset shards: tar files of images and labels, read where they lie.

Training draws images in any order, so each shard is listed once, and an image is read from its place
in the tar without unpacking.

Explained in notebook 11_use_real_clip.
"""

import functools
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.imagenet.classes import WNIDS
from wiseft_nb.benchmarks.images import decode, subset
from wiseft_nb.benchmarks.listing import ENDINGS, contents, folders_in, is_left_behind
from wiseft_nb.benchmarks.parts import check_count
from wiseft_nb.errors import WiseftError, reason

Place = tuple[Path, int, int]  # the tar, where in it, how many bytes


class ShardImages(Dataset):
    """Images in ``*.tar`` files, each a pair ``key.jpg`` and ``key.cls``; yields ``(PIL.Image, label)``.

    Parameters
    ----------
    folder : Path
        With the shards, which are read in the order of their names.
    expected : int
        How many images there are if it is complete.
    complete : bool
        Whether to refuse another number.
    """

    class_subset = None

    def __init__(self, folder: Path, expected: int, complete: bool = True):
        self.folder, self.expected, self.complete = folder, expected, complete

    @functools.cached_property
    def files(self) -> list[tuple[Place, int]]:
        """Where each image lies, with its label."""
        found = [pair for path in tars_in(self.folder) for pair in list_shard(path)]
        check_count(f"{self.folder}, shards,", len(found), self.expected, self.complete)
        return found

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        place, label = self.files[index]
        return decode(read_place(place), f"{place[0]} at byte {place[1]}"), label

    def subset(self, indices: Sequence[int] | np.ndarray | slice) -> Self:
        """The images at ``indices``, in that order."""
        return subset(self, indices)

    def content(self) -> Iterator[bytes]:
        """What the samples follow from: of each image its label, then its bytes."""
        for place, label in self.files:
            yield str(label).encode()
            yield read_place(place)


def tars_in(folder: Path) -> list[Path]:
    """The tar files in a folder, in order."""
    return [folder / name for name in contents(folder)[1] if name.endswith(".tar")]


def is_shards(folder: Path) -> bool:
    """Whether a folder holds WebDataset shards; class folders come first, ImageNet's own tars are none."""
    tars = [] if set(folders_in(folder)) & set(WNIDS) else tars_in(folder)
    packed = [path.name for path in tars if path.stem in WNIDS or path.stem.startswith("ILSVRC2012")]
    if packed:
        raise WiseftError(
            f"{folder} holds ImageNet's own archives ({packed[0]} …) and no class folders: unpack each into a "
            f"folder of its class, such as {WNIDS[0]}"
        )
    return bool(tars)


def list_shard(path: Path) -> list[tuple[Place, int]]:
    """Images and labels of one tar, paired by their key: the name up to the first dot."""
    images: dict[str, Place] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, mode="r:") as tar:  # a compressed one has no places to read from
            for member in tar:
                name = Path(member.name)
                key, _, ending = name.name.partition(".")
                key = f"{name.parent}/{key}"
                if is_left_behind(name.name):
                    continue
                if f".{ending.lower()}" in ENDINGS:
                    images[key] = (path, member.offset_data, member.size)
                elif ending == "cls":
                    labels[key] = int(tar.extractfile(member).read())
            # tarfile takes a damaged header for the end, where two empty blocks belong
            tar.fileobj.seek(tar.offset)
            if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it does not end as a tar does")
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise WiseftError(f"{path} is no whole shard ({reason(error)}): fetch it again") from error
    wrong = next((key for key, label in labels.items() if not 0 <= label < len(WNIDS)), None)
    if wrong is not None:
        raise WiseftError(f"{path} labels {wrong!r} {labels[wrong]}, expected 0 to 999: fetch ImageNet's shards")
    unpaired = sorted(images.keys() ^ labels.keys())
    if unpaired or not images:
        what = f"{unpaired[0]!r} without its image or label" if unpaired else "no images"
        raise WiseftError(f"{path} holds {what}: expected pairs key.jpg and key.cls, fetch it again")
    return [(images[key], labels[key]) for key in sorted(images)]


def read_place(place: Place) -> bytes:
    """The bytes of an image."""
    path, offset, size = place
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise WiseftError(f"{path} cannot be read ({error.strerror}): fetch it again") from error
