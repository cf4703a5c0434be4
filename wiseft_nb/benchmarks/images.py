"""Image files -> upright RGB images, and datasets of them.

Explained in notebook 00_start_here.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.metrics import Metric

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no other decoder is tried: EPS runs a program


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

    def content(self) -> Iterator[bytes]:
        """What the samples follow from: of each file its name in the folder with its label, then its bytes."""
        for path, label in self.files:
            yield os.fsencode(f"{path.relative_to(self.folder).as_posix()} {label}")
            yield read_bytes(path)


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder, told by their endings, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)


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


def read_image(path: Path) -> Image.Image:
    """Any image file as an upright RGB image of 8 bits a channel; of an animation the first frame.

    Transparent pixels show white. 16 bits are scaled to 8, as are floating-point values from 0 to 1.

    Raises
    ------
    WiseftError
        If the file is no image, is damaged or truncated, or says nothing clear on its range of values.

    Explained in notebook 00_start_here.
    """
    return decode(read_bytes(path), path)


def decode(content: bytes, path: Path | str) -> Image.Image:
    """What ``read_image`` gives, of an image file's bytes; ``path`` is for the error alone."""
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            image.verify()  # a PNG's checksums, which decoding does not look at
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)
    except Exception as error:  # Pillow's decoders let out errors of every kind
        raise WiseftError(f"{path} is no readable image ({reason(error)}): remove or replace the file") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    return to_rgb(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """8 bits a channel, on white where transparent."""
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(to_8_bits(image))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_8_bits(image: Image.Image) -> np.ndarray:
    """Grey values of more than 8 bits, scaled; Pillow's own conversion would clip them."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" and low >= 0 and high <= 1:
        return np.round(values * 255).astype(np.uint8)
    wide = image.mode != "I" or image.format == "PNG" or high > 255
    if image.mode != "F" and low >= 0 and high <= 65535:
        return np.round(values / 257 if wide else values).astype(np.uint8)
    raise ValueError(f"its values run from {low} to {high}, no range of grey known here, so save it with 8 bits")


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise WiseftError(f"{path} is no readable image ({error.strerror}): remove or replace it") from error
