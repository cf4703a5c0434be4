"""FMoW and iWildCam from WILDS (Koh et al. 2021), through the ``wilds`` package, which must be installed.

Explained in notebook 11_use_real_clip.
"""

import functools
import importlib
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.benchmarks.parts import Part, check_count, open_part, open_shifts
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.metrics import MacroF1, Metric, WorstGroupAccuracy

if TYPE_CHECKING:
    from wilds.datasets.wilds_dataset import WILDSDataset

PAGE = "https://wilds.stanford.edu/downloads"
FMOW = Part(
    "fmow",
    (
        "fmow_v1.1/RELEASE_v1.1.txt",
        "fmow_v1.1/rgb_metadata.csv",
        "fmow_v1.1/country_code_mapping.csv",
        "fmow_v1.1/images",
    ),
    53_893_324_800,
    PAGE,
    "FMoW Challenge Public License",
)
IWILDCAM = Part(
    "iwildcam",
    (
        "iwildcam_v2.0/RELEASE_v2.0.txt",
        "iwildcam_v2.0/metadata.csv",
        "iwildcam_v2.0/categories.csv",
        "iwildcam_v2.0/train",
    ),
    11_957_420_032,
    PAGE,
    "Community Data License Agreement, permissive, 1.0",
)
# images in the splits that are used: Koh et al. 2021, appendix E
FMOW_COUNTS = {"train": 76_863, "id_val": 11_483, "id_test": 11_327, "test": 22_108}
IWILDCAM_COUNTS = {"train": 129_809, "id_val": 7_314, "id_test": 8_154, "test": 42_791}


class WildsImages(ListedImages):
    """A split of a WILDS dataset; yields ``(PIL.Image, label)``. ``path_of`` gives the file of a sample by its number."""

    def __init__(self, dataset: "WILDSDataset", split: str, path_of: Callable[[int], Path], metric: Metric | None):
        self.part, self.metric = dataset.get_subset(split), metric
        labels = self.part.y_array.tolist()
        files = [(path_of(int(i)), label) for i, label in zip(self.part.indices, labels, strict=True)]
        super().__init__(Path(dataset.data_dir), files, dataset.n_classes)
        self.class_subset = None  # WILDS has all classes told apart, whichever occur


def load_fmow_benchmark(root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """Satellite images of 62 kinds of places; the shift ``ood`` is later years, judged by the worst region's accuracy."""

    @functools.cache
    def dataset() -> "WILDSDataset":
        return open_wilds("FMoWDataset", "fmow_dataset", root, FMOW)

    def regions() -> WorstGroupAccuracy:
        ood = dataset().get_subset("test")
        names, column = dataset()._metadata_map["region"], dataset().metadata_fields.index("region")
        found = [names[int(i)] for i in ood.metadata_array[:, column]]
        return WorstGroupAccuracy(found, ignored=("Other",))  # as WILDS itself does

    def path_of(number: int) -> Path:
        return Path(dataset().root) / "images" / f"rgb_img_{dataset().full_idxs[number]}.png"

    judged = (None, regions)
    return assemble("wilds-fmow", FMOW, root, dataset, path_of, fmow_names(), judged, FMOW_COUNTS, shifts, complete)


def load_iwildcam_benchmark(root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """Camera-trap images of 182 species; the shift ``ood`` is other cameras; judged by macro-F1."""

    @functools.cache
    def dataset() -> "WILDSDataset":
        return open_wilds("IWildCamDataset", "iwildcam_dataset", root, IWILDCAM)

    def path_of(number: int) -> Path:
        return Path(dataset().data_dir) / "train" / dataset()._input_array[number]

    names = ["species"] if IWILDCAM.absent(root) else iwildcam_names(root / IWILDCAM.files[2])
    judged = (MacroF1(), MacroF1)
    return assemble(
        "wilds-iwildcam", IWILDCAM, root, dataset, path_of, names, judged, IWILDCAM_COUNTS, shifts, complete
    )


def assemble(
    name: str,
    part: Part,
    root: Path,
    dataset: "Callable[[], WILDSDataset]",
    path_of: Callable[[int], Path],
    class_names: list[str],
    judged: tuple[Metric | None, Callable[[], Metric]],
    counts: Mapping[str, int],
    shifts: str | Sequence[str] | None,
    complete: bool,
) -> Benchmark:
    """train, id_val, id_test and the shift; what is chosen is chosen on id_val.

    ``judged`` holds the metric of id_val and id_test, and what makes that of the shift.
    """
    metric, ood_metric = judged

    def split(of: str, metric: Metric | None = None) -> WildsImages:
        images = WildsImages(dataset(), of, path_of, metric)
        check_count(f"{name}'s split {of}", len(images), counts[of], complete)
        return images

    return Benchmark(
        name=name,
        class_names=class_names,
        templates=load_templates(name),
        train=open_part(part, root, lambda: split("train")),
        val=open_part(part, root, lambda: split("id_val", metric)),
        reference=open_part(part, root, lambda: split("id_test", metric)),
        shifts=open_shifts({"ood": (part, lambda: split("test", ood_metric()))}, root, shifts, main=(part,)),
        reference_name="id_test",
        parts=(part,),
        root=root,
    )


def open_wilds(kind: str, module: str, root: Path, part: Part) -> "WILDSDataset":
    """The package's dataset; nothing is downloaded."""
    try:
        found = getattr(import_wilds(module), kind)
    except ImportError as error:
        raise WiseftError(f"{part.name} is read by the package wilds: pip install wilds") from error
    try:
        return found(root_dir=str(root), download=False)
    except Exception as error:  # whatever wilds makes of a strange table
        raise WiseftError(
            f"{root / part.files[0]} and the files beside it are not what wilds expects ({reason(error)}): fetch "
            f"them again from {part.page}"
        ) from error


def import_wilds(module: str) -> ModuleType:
    """A module of the package; without ``outdated``, by which it would ask a package index for a newer version."""
    known = sys.modules.get("outdated")
    sys.modules["outdated"] = None  # importing it fails, which wilds is prepared for
    try:
        return importlib.import_module(f"wilds.datasets.{module}")
    finally:
        del sys.modules["outdated"]
        if known is not None:
            sys.modules["outdated"] = known


def fmow_names() -> list[str]:
    """The categories of the package, underscores read as spaces."""
    try:
        categories = import_wilds("fmow_dataset").categories
    except ImportError as error:
        raise WiseftError("fmow is read by the package wilds: pip install wilds") from error
    return [name.replace("_", " ") for name in categories]


def iwildcam_names(path: Path) -> list[str]:
    """The names of the classes in the dataset's own table, in the order of their labels."""
    try:
        table = pd.read_csv(path)
        table = table[table.y < len(table)].sort_values("y")  # some categories are left out, with y 99999
        labels, names = table.y.to_numpy(), table.name.astype(str).tolist()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise WiseftError(
            f"{path} is no table with the columns y and name ({reason(error)}): fetch it again"
        ) from error
    if not np.array_equal(labels, np.arange(len(labels))) or not names:
        raise WiseftError(f"{path} does not number its classes 0, 1, 2 …: fetch it again")
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct
