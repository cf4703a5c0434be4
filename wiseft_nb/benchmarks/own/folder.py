"""A benchmark of your own: a folder of images, or a table of them. No class to write.

    my-benchmark/
        train/cat/*.png     and test/ (or reference/), laid out alike; val/ is taken out of train if it is not there
        shifts/night/cat/*.png
        benchmark.json      {"class_names": ["cat", "dog"], "templates": ["a photo of a {}."]}; may be absent

    my-images/cat/*.png     without splits: shared out to train, val and test, always alike for a seed

    my-table.csv            path,label,split with the splits train, val, test and shift:night; without
                            the column split: shared out

A shift may lack classes: then only those it has are told apart there. Without ``benchmark.json`` the
names of the folders, or the labels, are the class names, an underscore read as a space; numbers are
sorted as numbers.

Explained in notebook 11_use_real_clip.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wiseft_nb.benchmarks.base import Benchmark, check_class_names
from wiseft_nb.benchmarks.images import ListedImages, images_in
from wiseft_nb.benchmarks.own.problems import refuse_problems
from wiseft_nb.benchmarks.splits import held_out
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError, reason

VAL, TEST = 0.1, 0.1  # shares of what is shared out
Files = list[tuple[Path, int]]


class ImageFiles(ListedImages):
    """Image files in one folder a class."""

    def __init__(self, folder: Path, class_names: Sequence[str], class_folders: Sequence[str] | None = None):
        files = files_of_classes(folder, class_folders or class_names)
        if not files:
            raise WiseftError(f"{folder} holds no images: expected files such as {folder / class_names[0]}/1.png")
        super().__init__(folder, files, len(class_names))


@dataclass(frozen=True)
class About:
    """What ``benchmark.json`` says, or what folders say without it: class names, their folders or labels, templates."""

    class_names: list[str]
    labels: list[str]
    templates: list[str] | str = "simple"


def load_folder_benchmark(folder: Path, seed: int = 0, complete: bool = True) -> Benchmark:
    """Read a folder laid out as this module describes.

    Parameters
    ----------
    folder : Path
    seed : int
        Decides which images are held out where there is no split.
    complete : bool
        Whether to look at every image, and refuse the folder if there are problems, all of them named.

    Explained in notebook 11_use_real_clip.
    """
    if (folder / "train").is_dir():
        return load_split_folder(folder, seed, complete)
    if (folder / "benchmark.json").exists() or any((folder / part).is_dir() for part in ("val", "test", "reference")):
        raise WiseftError(f"{folder} is no benchmark, it lacks train: lay it out as {__name__} says")
    about = read_about(folder, class_folders(folder))
    files = files_of_classes(folder, about.labels)
    if len(about.labels) < 2 or not files:
        raise WiseftError(
            f"{folder} is no benchmark, it lacks train, and folders of images, one a class: lay it out as {__name__} says"
        )
    return assemble(folder.name, folder, about, shared_out(files, seed), complete, seed)


def load_split_folder(folder: Path, seed: int, complete: bool) -> Benchmark:
    """A folder with train, test and perhaps val and shifts."""
    test = next((folder / name for name in ("test", "reference") if (folder / name).is_dir()), None)
    if test is None:
        raise WiseftError(f"{folder} is no benchmark, it lacks test (or reference): lay it out as {__name__} says")
    about = read_about(folder, class_folders(folder / "train"))
    found = {"train": folder / "train", "val": folder / "val", "reference": test}
    found |= {f"shift:{path.name}": path for path in sorted((folder / "shifts").glob("*")) if path.is_dir()}
    parts = {}
    for name, path in found.items():
        if name == "val" and not path.is_dir():
            continue
        parts[name] = ImageFiles(path, about.class_names, about.labels).files
    return assemble(folder.name, folder, about, parts, complete, seed)


def assemble(name: str, root: Path, about: About, parts: Mapping[str, Files], complete: bool, seed: int) -> Benchmark:
    """A benchmark of listed files; ``val`` is taken out of ``train`` if it is not there."""
    parts = dict(parts)
    if "val" not in parts:
        labels = np.array([label for _, label in parts["train"]])
        train, val = held_out(labels, VAL, seed)
        parts |= {part: [parts["train"][i] for i in rows] for part, rows in (("train", train), ("val", val))}
    images = {part: ListedImages(root, files, len(about.class_names)) for part, files in parts.items()}
    if complete:
        refuse_problems(root, images, about.class_names)
    return Benchmark(
        name=name,
        class_names=about.class_names,
        templates=load_templates(about.templates) if isinstance(about.templates, str) else about.templates,
        train=images["train"],
        val=images["val"],
        reference=images["reference"],
        shifts={part.removeprefix("shift:"): found for part, found in images.items() if part.startswith("shift:")},
    )


def shared_out(files: Files, seed: int) -> dict[str, Files]:
    """Files shared out to train, val and reference, a like share of each class."""
    labels = np.array([label for _, label in files])
    rest, test = held_out(labels, TEST, seed)
    train, val = held_out(labels[rest], VAL / (1 - TEST), seed)
    rows = {"train": rest[train], "val": rest[val], "reference": test}
    return {part: [files[i] for i in sorted(chosen)] for part, chosen in rows.items()}


def class_folders(folder: Path) -> list[str]:
    """The names of the folders inside, in the order of their classes."""
    return in_class_order(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def in_class_order(names: Iterable[str]) -> list[str]:
    """Distinct names in order; if all are numbers, as numbers: sorted as text, 10 would come before 2."""
    distinct = set(names)
    numbers = all(name.isascii() and name.isdecimal() for name in distinct)
    return sorted(distinct, key=lambda name: (int(name), name) if numbers else (0, name))


def files_of_classes(folder: Path, folders: Sequence[str]) -> Files:
    """Image files with the number of the class folder they lie in; a folder that is no class is refused."""
    inside = {path.name: path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    strange = sorted(inside.keys() - set(folders))
    if strange:
        raise WiseftError(
            f"{folder} has folders {strange[:5]} that are no class: rename them to one of {list(folders)[:10]}"
        )
    return [(path, label) for label, name in enumerate(folders) if name in inside for path in images_in(inside[name])]


def read_about(folder: Path, found: Sequence[str]) -> About:
    """What ``benchmark.json`` says; without it, classes are named as the folders or labels found."""
    path = folder / "benchmark.json"
    if not path.exists():
        about = About([name.replace("_", " ") for name in found], list(found))
        if found:
            check_class_names(about.class_names)
        return about
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        names, templates = said.get("class_names", list(found)), said.get("templates", "simple")
        names, labels = (list(names.values()), list(names)) if isinstance(names, dict) else (names, names)
        lists = [names] if isinstance(templates, str) else [names, templates]
        if not all(isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts) for texts in lists):
            raise TypeError("class_names and templates must be lists of texts")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WiseftError(f'{path} cannot be read ({reason(error)}): expected {{"class_names": [...]}}') from error
    check_class_names(names)
    return About(names, labels, templates)
