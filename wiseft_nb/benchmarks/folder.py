"""A benchmark of your own: a folder of images.

    my-benchmark/
        benchmark.json      {"class_names": ["cat", "dog"], "templates": ["a photo of a {}."]}
        train/cat/*.png     and val/, reference/, laid out alike
        shifts/night/cat/*.png

A shift may lack classes: then only those it has are told apart there.

Explained in notebook 00_start_here.
"""

import json
from pathlib import Path

from PIL import Image
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.base import Benchmark, check_class_names
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class ImageFiles(Dataset):
    """Image files in one folder a class; yields ``(PIL.Image, label)``."""

    def __init__(self, folder: Path, class_names: list[str]):
        strange = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name not in class_names)
        if strange:
            raise WiseftError(
                f"{folder} has folders {strange[:5]} that are no class: rename them to one of {class_names[:10]}"
            )
        self.files = [
            (path, label)
            for label, name in enumerate(class_names)
            for path in sorted((folder / name).glob("*"))
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
        try:
            return Image.open(path).convert("RGB"), label
        except OSError as error:
            raise WiseftError(f"{path} is no readable image ({error}): remove or replace the file") from error


def load_folder_benchmark(folder: Path) -> Benchmark:
    """Read a folder laid out as this module describes.

    Explained in notebook 00_start_here.
    """
    parts = {name: folder / name for name in ("train", "val", "reference")}
    missing = [p.name for p in (folder / "benchmark.json", *parts.values()) if not p.exists()]
    if missing:
        raise WiseftError(f"{folder} is no benchmark, it lacks {', '.join(missing)}: lay it out as {__name__} says")
    try:
        about = json.loads((folder / "benchmark.json").read_text())
        class_names, templates = list(about["class_names"]), about.get("templates", "simple")
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise WiseftError(
            f'{folder / "benchmark.json"} cannot be read ({error}): expected {{"class_names": [...]}}'
        ) from error
    check_class_names(class_names)
    shifts = sorted(p for p in (folder / "shifts").glob("*") if p.is_dir())
    return Benchmark(
        name=folder.name,
        class_names=class_names,
        templates=load_templates(templates) if isinstance(templates, str) else templates,
        shifts={p.name: ImageFiles(p, class_names) for p in shifts},
        **{name: ImageFiles(path, class_names) for name, path in parts.items()},
    )
