"""What a dataset asks for: some of the classes, groups of them, a metric of its own, its own order of classes.

Asked of the dataset itself, or of what is wrapped in torch's ``Subset`` (``random_split``) and
``ConcatDataset``: a part of ImageNet-R is scored as ImageNet-R is.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from wiseft_nb.errors import WiseftError
from wiseft_nb.metrics import Metric, accuracy

NAMES = ("class_subset", "class_groups", "metric")


@dataclass(frozen=True)
class Asked:
    """How the predictions on a dataset are to be read; see ``wiseft_nb.evaluate.Predictions``."""

    class_subset: tuple[int, ...] | None = None
    class_groups: tuple[tuple[int, ...], ...] | None = None
    metric: Metric = accuracy

    def check(self, labels: Tensor, classes: int) -> None:
        """Refuse classes that the classifier does not have, and labels outside the dataset's own subset."""
        if self.class_subset is not None:
            named = set(self.class_subset)
            if not named or not named <= set(range(classes)):
                raise WiseftError(
                    f"class_subset is {self.class_subset}: expected indices of some of the {classes} classes, or None"
                )
            strange = sorted(set(labels.tolist()) - named)
            if strange:
                raise WiseftError(
                    f"labels {strange[:5]} are not in the dataset's class_subset {self.class_subset[:10]}: their images "
                    "could never be right; mend the labels or the subset"
                )
        if self.class_groups is not None:
            beyond = [group for group in self.class_groups if not set(group) <= set(range(classes))]
            if beyond or int(labels.max()) >= len(self.class_groups):
                raise WiseftError(
                    f"class_groups names {len(self.class_groups)} labels of some of {classes} classes, first odd "
                    f"{(beyond or ['a label beyond them'])[0]}: give each label its classes"
                )


def asked_of(dataset: Dataset) -> Asked:
    """What a dataset asks for, itself or wrapped.

    Raises
    ------
    WiseftError
        If the parts of a ``ConcatDataset`` ask for different things, or a metric that knows each image
        cannot be had for some of them.
    """
    own = {name: getattr(dataset, name) for name in NAMES if getattr(dataset, name, None) is not None}
    if own:
        return Asked(**own)
    if isinstance(dataset, ConcatDataset):
        first, *others = [asked_of(part) for part in dataset.datasets]
        if any(other != first for other in others):
            raise WiseftError(
                "the datasets that were joined have different classes, groups or metrics: evaluate them one by one"
            )
        return first
    inner = getattr(dataset, "dataset", None)
    if inner is None or isinstance(inner, str):
        return Asked()
    found = asked_of(inner)
    if not hasattr(found.metric, "subset"):
        return found
    indices = getattr(dataset, "indices", None)
    if indices is None and len(dataset) != len(inner):
        raise WiseftError(
            f"{type(dataset).__name__} wraps a dataset whose metric knows each image, and does not say which it holds: "
            "use torch.utils.data.Subset, or give the wrapper a metric"
        )
    metric = found.metric if indices is None else found.metric.subset([int(i) for i in indices])
    return Asked(found.class_subset, found.class_groups, metric)


def source_of(dataset: Dataset) -> np.ndarray | None:
    """What each image of a dataset was made of, as numbers; None where it does not say."""
    source, inner = getattr(dataset, "source", None), getattr(dataset, "dataset", None)
    if source is not None or inner is None or isinstance(inner, str):
        return source
    found, indices = source_of(inner), getattr(dataset, "indices", None)
    return None if found is None or indices is None else found[np.asarray(indices)]


def check_order(dataset: Dataset, class_names: Sequence[str]) -> None:
    """Refuse a dataset that says its classes (torchvision's folders do) and numbers them otherwise."""
    for part in dataset.datasets if isinstance(dataset, ConcatDataset) else ():
        check_order(part, class_names)
    while isinstance(dataset, Subset):  # another wrapper may have numbered the labels anew
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or getattr(dataset, "target_transform", None):
        return
    spelt, ours = [plain(name) for name in names], [plain(name) for name in class_names]
    odd = [i for i, name in enumerate(spelt) if name in ours and (i >= len(ours) or ours[i] != name)]
    if not odd and all(name.isdecimal() for name in spelt):  # folders 0, 1, 10, 11, …, 2
        odd = [i for i, name in enumerate(spelt) if int(name) != i and len(spelt) == len(ours)]
    if odd:
        raise WiseftError(
            f"the dataset numbers its classes otherwise: {odd[0]} is {names[odd[0]]!r}, but the classifier's class "
            f"{odd[0]} is {class_names[odd[0]] if odd[0] < len(ours) else 'not there'!r}: give the dataset a "
            "target_transform to the classifier's indices, or the classifier these class names"
        )


def plain(name: object) -> str:
    """A name as people compare it."""
    return str(name).strip().casefold().replace("_", " ")
