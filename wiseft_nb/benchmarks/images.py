"""Image files -> upright RGB images, and datasets of them.

Explained in notebook 00_start_here.
"""

import copy
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
from PIL import ExifTags, Image
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.listing import FORMATS
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.metrics import Metric

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# what an image may carry that says how to turn it
ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}


class ListedImages(Dataset):
    """Image files with their labels; yields ``(PIL.Image, label)``.

    Parameters
    ----------
    folder : Path
        Which the files lie in, at any depth.
    files : sequence of (Path, int)
    classes : int
        How many classes there are; where only some of them occur, ``class_subset`` says which.

    Explained in notebook 11_use_real_clip.
    """

    def __init__(self, folder: Path, files: Sequence[tuple[Path, int]], classes: int):
        self.folder, self.files = folder, list(files)
        present = tuple(sorted({label for _, label in self.files}))
        self.class_subset = present if len(present) < classes else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self.files[index]
        return read_image(path), label

    def subset(self, indices: Sequence[int] | np.ndarray | slice) -> Self:
        """The images at ``indices``, in that order."""
        return subset(self, indices)

    def content(self) -> Iterator[bytes]:
        """What the samples follow from: of each file its name in the folder with its label, then its bytes."""
        for path, label in self.files:
            name = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
            yield os.fsencode(f"{name.as_posix()} {label}")
            yield read_bytes(path)


def subset(images: Dataset, indices: Sequence[int] | np.ndarray | slice) -> Dataset:
    """A copy of a dataset that lists its samples in ``files``, with those at ``indices``, in that order."""
    few, rows, metric = (
        copy.copy(images),
        np.arange(len(images.files))[indices].tolist(),
        getattr(images, "metric", None),
    )
    few.files = [images.files[i] for i in rows]
    if hasattr(metric, "subset"):  # it knows each image
        few.metric = metric.subset(rows)
    return few


class ImagesLater(ListedImages):
    """Image files that are listed when they are first asked for: ImageNet's 1.3 million take a while.

    Parameters
    ----------
    folder : Path
        Which the files lie in, at any depth.
    list_files : function
        Gives the files with their labels.
    class_subset, class_groups, metric
        What a dataset may say of itself; see ``wiseft_nb.evaluate``.
    border : int
        Pixels to cut off on every side.

    Explained in notebook 11_use_real_clip.
    """

    def __init__(
        self,
        folder: Path,
        list_files: Callable[[], Sequence[tuple[Path, int]]],
        class_subset: tuple[int, ...] | None = None,
        class_groups: tuple[tuple[int, ...], ...] | None = None,
        metric: Metric | None = None,
        border: int = 0,
    ):
        self.folder, self.list_files, self.border = folder, list_files, border
        self.class_subset, self.class_groups, self.metric = class_subset, class_groups, metric

    @functools.cached_property
    def files(self) -> list[tuple[Path, int]]:
        return list(self.list_files())

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image, label = super().__getitem__(index)
        width, height = image.size
        return image.crop((self.border, self.border, width - self.border, height - self.border)), label

    def content(self) -> Iterator[bytes]:
        yield f"border {self.border}".encode()
        yield from super().content()


def read_image(path: Path) -> Image.Image:
    """Any image file as an upright RGB image of 8 bits a channel; of an animation the first frame.

    Transparent pixels show white. 16 bits are scaled to 8, as are floating-point values from 0 to 1.

    Raises
    ------
    WiseftError
        If the file is no image, is damaged or truncated, or does not fix its range of values.

    Explained in notebook 00_start_here.
    """
    return decode(read_bytes(path), path)


def decode(content: bytes, path: Path | str) -> Image.Image:
    """What ``read_image`` gives, of an image file's bytes; ``path`` is for the error alone."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            image.verify()  # a PNG's checksums, which decoding does not look at
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            found = upright(image)
            return found.copy() if found is image else found  # without the file
    except Exception as error:  # Pillow's decoders let out errors of every kind
        raise WiseftError(f"{path} is no readable image ({reason(error)}): remove or replace the file") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """The one reading of an image, from a file or in memory: upright, RGB, 8 bits a channel, on white.

    Parameters
    ----------
    image : PIL.Image.Image
        Not changed. An orientation in its EXIF data is followed, then gone from what is returned: Pillow
        keeps it through ``convert`` and ``resize``, which turn nothing, so torchvision's loader hands it
        on, too. Who turns an image by hand must delete it. Transparency is lost where somebody has
        converted an image to RGB before.

    Returns
    -------
    PIL.Image.Image
        The image itself if it is all of this already.

    Raises
    ------
    WiseftError
        If it is damaged or truncated, or its mode does not fix its range of values.

    Explained in notebook 11_use_real_clip.
    """
    try:
        return upright(image)
    except Exception as error:  # an image just opened is decoded here
        raise WiseftError(
            f"an image in memory cannot be read ({reason(error)}): replace it, or save it with 8 bits"
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """What ``upright_rgb`` gives, with Pillow's errors as they are."""
    image.load()  # before its metadata, which may stand after the pixels
    if image.mode == "RGB" and image.info.keys().isdisjoint({*ORIENTED, "transparency"}):
        return image
    turn = TURNS.get(orientation(image))
    rgb = to_rgb(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {key: value for key, value in rgb.info.items() if key not in ORIENTED}  # once is enough
    return rgb


def orientation(image: Image.Image) -> int:
    """How an image is to be turned, 1 to 8; 1, as it is, where its metadata are broken: the picture is sound."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 (Pillow lets out errors of every kind)
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """8 bits a channel, on white where transparent; always another image than the one given."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(to_8_bits(image))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_8_bits(image: Image.Image) -> np.ndarray:
    """Grey values of more than 8 bits, scaled; Pillow's own conversion would clip them.

    The format fixes the scale, never the values: else two images of one set could be scaled differently.
    """
    values = np.asarray(image)
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:
        return np.round(values * 255).astype(np.uint8)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):  # 16 bits in a file
        return np.round(values / 257).astype(np.uint8)
    kind = "floating-point values beyond 0 to 1" if image.mode == "F" else "whole numbers of 32 bits"
    raise ValueError(f"it holds {kind}, whose range of grey nothing says, so save it with 8 or 16 bits")


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise WiseftError(f"{path} is no readable image ({error.strerror}): remove or replace it") from error
