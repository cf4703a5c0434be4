"""A benchmark of your own: a folder of images, or a table of them. No class to write::

    my-benchmark/
        train/cat/*.png     and test/ (or reference/), laid out alike; val/ (or valid/, validation/, dev/) is
                            taken out of train if it is not there
        shifts/night/cat/*.png
        benchmark.json      {"class_names": ["cat", "dog"], "templates": ["a photo of a {}."],
                             "groups": {"weather": ["night", "fog"]}}; any of them, or none

    my-images/cat/*.png     without splits: shared out to train, val and test, always alike for a seed

    my-table.csv            path,label,split with the splits train, val, test and shift:night; without
                            the column split: shared out

Images may lie at any depth of a class folder. Copies of one image stay together where images are shared
out. A shift may lack classes: then only those it has are told apart there. Without ``benchmark.json`` the
names of the folders, or the labels, are the class names, an underscore read as a space; numbers are
sorted as numbers. Images that lie where they are not read are refused, too.

Explained in notebook 11_use_real_clip.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.benchmarks.listing import folders_in, list_images, not_taken, strays_in
from wiseft_nb.benchmarks.own.about import About, in_class_order, of_shifts, read_about
from wiseft_nb.benchmarks.own.assemble import SPLITS, Files, assemble
from wiseft_nb.benchmarks.parts import choose_shifts
from wiseft_nb.errors import WiseftError

LAYOUT = f"lay it out as {__name__} says"


class ImageFiles(ListedImages):
    """Image files in one folder a class; ``others`` are files there that were not taken."""

    def __init__(self, folder: Path, class_names: Sequence[str], class_folders: Sequence[str] | None = None):
        files, self.others = files_of_classes(folder, class_folders or class_names)
        if not files:
            found = "".join(f"; {line}" for line in not_taken([*strays_in(folder), *self.others]))
            raise WiseftError(
                f"{folder} holds no images: expected files such as {folder / class_names[0]}/1.png{found}"
            )
        super().__init__(folder, files, len(class_names))


def load_folder_benchmark(
    folder: Path, seed: int = 0, complete: bool = True, shifts: str | Sequence[str] | None = None
) -> Benchmark:
    """Read a folder laid out as this module describes.

    Parameters
    ----------
    folder : Path
    seed : int
        Decides which images are held out where there is no split.
    complete : bool
        Whether to look at every image, and refuse the folder if there are problems, all of them named.
    shifts : str or sequence of str, optional
        The shifts to read, by name or pattern.
    """
    inside = folders_in(folder)
    if all_are_classes(folder, inside):
        return load_class_folders(folder, read_about(folder, []), seed, complete, shifts)
    named = split_folders(folder, inside)
    if "train" in named:
        return load_split_folder(folder, inside, named, seed, complete, shifts)
    if named or (folder / "benchmark.json").exists() and not inside:
        also = "".join(if_class(path.name) for path in list(named.values())[:1])
        raise WiseftError(f"{folder} is no benchmark, it lacks train: {LAYOUT}{also}")
    return load_class_folders(folder, read_about(folder, class_folders(folder)), seed, complete, shifts)


def if_class(name: str) -> str:
    """The way out for classes that are called as splits are."""
    return f'; if {name} is a class, name all classes in a benchmark.json, {{"class_names": [...]}}'


def all_are_classes(folder: Path, inside: Mapping[str, Path]) -> bool:
    """Whether ``benchmark.json`` names all folders inside as classes, even those called as splits are."""
    labels = set(read_about(folder, []).labels)
    return (
        bool(inside)
        and inside.keys() <= labels
        and not any(folders_in(path).keys() & labels for path in inside.values())
    )


def split_folders(folder: Path, inside: Mapping[str, Path]) -> dict[str, Path]:
    """The folders of splits by what they are; two that are the same are refused."""
    named: dict[str, Path] = {}
    for name, path in inside.items():
        part = SPLITS.get(name.casefold(), "shifts" if name.casefold() in ("shifts", "shift") else None)
        if part in named:
            raise WiseftError(
                f"{folder} has {named[part].name} and {name}, which mean the same: keep one of them{if_class(name)}"
            )
        if part:
            named[part] = path
    return named


def class_folders(folder: Path) -> list[str]:
    """The names of the folders inside, in the order of their classes; refused if classes seem to lie one deeper."""
    inside = folders_in(folder)
    below = [set(folders_in(path)) for path in inside.values() if not strays_in(path)]
    if len(below) == len(inside) > 1:  # none has images straight inside
        shared = sorted(set.intersection(*below))
        if len(shared) > 1 or any(SPLITS.get(name.casefold()) == "train" for name in set.union(*below)):
            some = ", ".join((shared or sorted(set.union(*below)))[:3])
            raise WiseftError(
                f"{folder} has {', '.join(list(inside)[:3])}, and these have {some}, so which are the classes? {LAYOUT}; "
                "if the outer folders are, name all of them in a benchmark.json"
            )
    return in_class_order(inside)


def load_class_folders(
    folder: Path, about: About, seed: int, complete: bool, shifts: str | Sequence[str] | None
) -> Benchmark:
    """A folder of class folders, shared out."""
    choose_shifts((), shifts)
    files, others = files_of_classes(folder, about.labels)
    unread = not_taken([*strays_in(folder), *others])
    if len(about.labels) < 2 or not files:
        also = "".join(f"; {line}" for line in unread)
        raise WiseftError(
            f"{folder} is no benchmark, it lacks train, and folders of images, one a class: {LAYOUT}{also}"
        )
    return assemble(folder.absolute().name, folder, about, {"train": files}, seed, complete, unread)


def load_split_folder(
    folder: Path,
    inside: Mapping[str, Path],
    named: Mapping[str, Path],
    seed: int,
    complete: bool,
    shifts: str | Sequence[str] | None,
) -> Benchmark:
    """A folder with train, test and perhaps val and shifts."""
    train = named["train"]
    if not folders_in(train) and strays_in(train):
        raise WiseftError(
            f"{train} holds images and no class folders: sort them into folders such as {train.name}/cat, or list them "
            f"in a CSV{if_class(train.name)}"
        )
    if "reference" not in named:
        raise WiseftError(f"{folder} is no benchmark, it lacks test (or reference): {LAYOUT}")
    about = read_about(folder, class_folders(train))
    found = {part: path for part, path in named.items() if part != "shifts"}
    places = folders_in(named["shifts"]) if "shifts" in named else {}
    chosen = choose_shifts(places, shifts)
    about = of_shifts(about, places, chosen)
    found |= {f"shift:{name}": places[name] for name in chosen}
    images = {part: ImageFiles(path, about.class_names, about.labels) for part, path in found.items()}
    parts = {part: found.files for part, found in images.items()}
    unread = not_read(folder, inside, named)
    unread += not_taken([path for part in images.values() for path in [*strays_in(part.folder), *part.others]])
    return assemble(folder.absolute().name, folder, about, parts, seed, complete, unread)


def not_read(folder: Path, inside: Mapping[str, Path], named: Mapping[str, Path]) -> list[str]:
    """A line for each folder beside train that holds images, and for images beside folders."""
    lines = []
    for path in inside.values():
        if path not in named.values():
            images, others = list_images(path)
            if images or others:
                lines.append(
                    f"{path} is not read, and holds {len(images) + len(others):,} such as {(images + others)[0].name}: call it train, val or test, "
                    "put it below shifts, or move it elsewhere"
                )
    strays = [*strays_in(folder), *(strays_in(named["shifts"]) if "shifts" in named else [])]
    return lines + not_taken(strays)


def files_of_classes(folder: Path, folders: Sequence[str]) -> tuple[Files, list[Path]]:
    """Image files with the number of the class folder they lie in, and files not taken; other folders are refused."""
    inside = folders_in(folder)
    strange = sorted(inside.keys() - set(folders))
    if strange:
        raise WiseftError(
            f"{folder} has folders {strange[:5]} that are no class: rename them to one of {list(folders)[:10]}"
        )
    files, others = [], []
    for label, name in enumerate(folders):
        images, strange_files = list_images(inside[name]) if name in inside else ([], [])
        files += [(path, label) for path in images]
        others += strange_files
    return files, others
