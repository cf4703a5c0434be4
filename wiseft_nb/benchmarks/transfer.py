"""The paper's further datasets (its table 2): a reference alone, without shifts, read through torchvision.

Explained in notebook 11_use_real_clip.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torchvision import datasets

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.cifar.files import read_pickle, read_python_batch
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.benchmarks.parts import Part, Source, check_count, open_part, open_shifts
from wiseft_nb.benchmarks.splits import digests_of, held_out
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError, reason

Images = ImageSet | ListedImages
RESEARCH = "none stated, for research"
CIFAR100 = Part(
    "cifar100",
    tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")),
    169_001_437,
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    RESEARCH,
    (
        Source(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "cifar-100-python.tar.gz",
            169_001_437,
            "md5:eb9058c3a382ffc7106e4002c42a8d85",  # torchvision's datasets/cifar.py
            unpack="",
        ),
    ),
    {
        "cifar-100-python/train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
        "cifar-100-python/meta": "md5:7973b15100ade9c7d40fb424638fde48",
    },
)
CARS = Part(
    "cars",
    tuple(f"stanford_cars/{name}" for name in ("devkit", "cars_train", "cars_test", "cars_test_annos_withlabels.mat")),
    1_960_000_000,
    "https://github.com/pytorch/vision/issues/7545",
    RESEARCH,
)
DTD = Part(
    "dtd", ("dtd/dtd/images", "dtd/dtd/labels"), 600_000_000, "https://www.robots.ox.ac.uk/~vgg/data/dtd/", RESEARCH
)
SUN397 = Part(
    "sun397",
    ("SUN397/ClassName.txt", "SUN397/Training_01.txt", "SUN397/Testing_01.txt"),
    37_000_000_000,
    "https://vision.princeton.edu/projects/2010/SUN/",
    RESEARCH,
)
FOOD101 = Part(
    "food101",
    ("food-101/images", "food-101/meta"),
    5_000_000_000,
    "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    RESEARCH,
)


def read_cifar100(root: Path) -> tuple[list[str], Images, Images]:
    """From the python version, whose pickles are read without executing anything."""
    folder = root / "cifar-100-python"
    names = [
        n.decode() if isinstance(n, bytes) else n for n in read_pickle(folder / "meta").get("fine_label_names", [])
    ]
    train, test = (ImageSet(*read_python_batch(folder / part, "fine_labels")) for part in ("train", "test"))
    return [name.replace("_", " ") for name in names], train, test


def read_cars(root: Path) -> tuple[list[str], Images, Images]:
    """Stanford Cars as torchvision lays it out."""
    found = [datasets.StanfordCars(root, split) for split in ("train", "test")]
    names = list(found[0].classes)
    return names, *(ListedImages(root, [(Path(p), y) for p, y in part._samples], len(names)) for part in found)


def read_dtd(root: Path) -> tuple[list[str], Images, Images]:
    """Describable Textures, the first of its ten splits; its own val joins train, and is taken out again."""
    train, val, test = (datasets.DTD(root, split, partition=1) for split in ("train", "val", "test"))
    names = list(train.classes)
    return names, *(ListedImages(root, files, len(names)) for files in (files_of(train, val), files_of(test)))


def read_food101(root: Path) -> tuple[list[str], Images, Images]:
    """Food-101."""
    found = [datasets.Food101(root, split) for split in ("train", "test")]
    names = [name.replace("_", " ") for name in found[0].classes]
    return names, *(ListedImages(root, files_of(part), len(names)) for part in found)


def files_of(*parts: datasets.DTD | datasets.Food101) -> list[tuple[Path, int]]:
    """The files of torchvision's datasets, with their labels."""
    return [pair for part in parts for pair in zip(part._image_files, part._labels, strict=True)]


def read_sun397(root: Path) -> tuple[list[str], Images, Images]:
    """SUN397, the first of its ten partitions; torchvision knows the images, not the partitions."""
    folder = root / "SUN397"
    classes = (folder / "ClassName.txt").read_text(encoding="utf-8").split()
    found = []
    for part in ("Training_01.txt", "Testing_01.txt"):
        paths = (folder / part).read_text(encoding="utf-8").split()
        files = [(folder / path.lstrip("/"), classes.index(path.rpartition("/")[0])) for path in paths]
        found.append(ListedImages(folder, files, len(classes)))
    # /a/abbey, /a/apartment_building/outdoor
    return [" ".join(name.split("/")[2:]).replace("_", " ") for name in classes], *found


# for each: its part, how to read it, images for training and testing, classes
SETS: dict[str, tuple[Part, Callable[[Path], tuple[list[str], Images, Images]], int, int, int]] = {
    "cifar100": (CIFAR100, read_cifar100, 50_000, 10_000, 100),
    "cars": (CARS, read_cars, 8_144, 8_041, 196),
    "dtd": (DTD, read_dtd, 3_760, 1_880, 47),
    "sun397": (SUN397, read_sun397, 19_850, 19_850, 397),
    "food101": (FOOD101, read_food101, 75_750, 25_250, 101),
}
VALIDATION = 0.1  # of the training images


def load_transfer_benchmark(
    name: str, root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True
) -> Benchmark:
    """One of ``SETS``: a tenth of the training images is held out for validation; there are no shifts."""
    part, read, n_train, n_test, classes = SETS[name]
    absent = bool(part.absent(root))

    @functools.cache
    def whole() -> tuple[list[str], Images, Images]:
        try:
            names, train, test = read(root)
        except WiseftError:
            raise
        except Exception as error:  # whatever torchvision makes of a strange tree
            raise WiseftError(
                f"{root} does not hold {name} as torchvision lays it out ({reason(error)}): fetch it from {part.page}"
            ) from error
        check_count(f"{name}'s training set", len(train), n_train, complete)
        check_count(f"{name}'s test set", len(test), n_test, complete)
        if complete and len(names) != classes:
            raise WiseftError(f"{name} names {len(names)} classes, expected {classes}: fetch it again")
        return names, train, test

    def portion(which: int) -> Images:
        train = whole()[1]
        copies = digests_of(train.images) if isinstance(train, ImageSet) else None  # files are too many to read
        return train.subset(held_out(labels_of(train), VALIDATION, copies=copies)[which])

    return Benchmark(
        name=name,
        class_names=[name] if absent else whole()[0],
        templates=load_templates(name),
        train=open_part(part, root, lambda: portion(0)),
        val=open_part(part, root, lambda: portion(1)),
        reference=open_part(part, root, lambda: whole()[2]),
        shifts=open_shifts({}, root, shifts, main=(part,)),
        reference_name=name,
        parts=(part,),
        root=root,
    )


def labels_of(images: Images) -> np.ndarray:
    """The labels of images, without reading these."""
    return images.labels if isinstance(images, ImageSet) else np.array([label for _, label in images.files])


BENCHMARKS = {name: functools.partial(load_transfer_benchmark, name) for name in SETS}
