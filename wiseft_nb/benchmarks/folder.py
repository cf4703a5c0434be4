"""A benchmark of your own: a folder of images.

    my-benchmark/
        benchmark.json      {"class_names": ["cat", "dog"], "templates": ["a photo of a {}."]}
        train/cat/*.png     and val/, reference/, laid out alike
        shifts/night/cat/*.png

A shift may lack classes: then only those it has are told apart there.

Explained in notebook 00_start_here.
"""

import json
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.base import Benchmark, check_class_names
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError, reason

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no other decoder is tried: EPS runs a program


class ImageFiles(Dataset):
    """Image files in one folder a class; yields ``(PIL.Image, label)``."""

    def __init__(self, folder: Path, class_names: list[str]):
        self.folder = folder
        folders = {path.name: path for path in folder.iterdir() if path.is_dir()}
        strange = sorted(folders.keys() - set(class_names))
        if strange:
            raise WiseftError(
                f"{folder} has folders {strange[:5]} that are no class: rename them to one of {class_names[:10]}"
            )
        self.files = [
            (path, label)
            for label, name in enumerate(class_names)
            if name in folders
            for path in sorted(folders[name].iterdir())
            if path.suffix.lower() in ENDINGS
        ]
        if not self.files:
            raise WiseftError(f"{folder} holds no images: expected files such as {folder / class_names[0]}/1.png")
        present = tuple(sorted({label for _, label in self.files}))
        self.class_subset = present if len(present) < len(class_names) else None

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


def read_image(path: Path) -> Image.Image:
    """Any image file as an upright RGB image of 8 bits a channel; of an animation the first frame.

    Transparent pixels show white. 16 bits are scaled to 8, as are floating-point values from 0 to 1.

    Raises
    ------
    WiseftError
        If the file is no image, is damaged or truncated, or says nothing clear on its range of values.

    Explained in notebook 00_start_here.
    """
    content = read_bytes(path)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            image.verify()  # a PNG's checksums, which decoding does not look at
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)
    except Exception as error:  # Pillow's decoders let out errors of every kind
        raise WiseftError(f"{path} is no readable image ({reason(error)}): remove or replace the file") from error


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


def load_folder_benchmark(folder: Path) -> Benchmark:
    """Read a folder laid out as this module describes.

    Explained in notebook 00_start_here.
    """
    parts = {name: folder / name for name in ("train", "val", "reference")}
    missing = [path.name for path in parts.values() if not path.is_dir()]
    if not (folder / "benchmark.json").is_file():
        missing.insert(0, "benchmark.json")
    if missing:
        raise WiseftError(f"{folder} is no benchmark, it lacks {', '.join(missing)}: lay it out as {__name__} says")
    class_names, templates = read_about(folder / "benchmark.json")
    shifts = sorted(path for path in (folder / "shifts").glob("*") if path.is_dir())
    return Benchmark(
        name=folder.name,
        class_names=class_names,
        templates=load_templates(templates) if isinstance(templates, str) else templates,
        shifts={path.name: ImageFiles(path, class_names) for path in shifts},
        **{name: ImageFiles(path, class_names) for name, path in parts.items()},
    )


def read_about(path: Path) -> tuple[list[str], list[str] | str]:
    """Class names, and templates or the name of a list of them, from ``benchmark.json``."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        class_names, templates = about["class_names"], about.get("templates", "simple")
        lists = [class_names] if isinstance(templates, str) else [class_names, templates]
        if not all(isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts) for texts in lists):
            raise TypeError("class_names and templates must be lists of texts")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WiseftError(f'{path} cannot be read ({reason(error)}): expected {{"class_names": [...]}}') from error
    check_class_names(class_names)
    return class_names, templates
