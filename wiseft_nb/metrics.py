"""Predictions -> a figure with its interval: accuracy, and what some datasets are judged by instead.

A metric is a function from predicted classes and labels, int ``(n,)`` both, to the columns accuracy, n,
low and high of a tidy table. A dataset names its own in an attribute ``metric``. One that knows each image has
a method ``subset(indices)``, so that it can follow torch's ``Subset``.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import accuracy_row

Metric = Callable[[Tensor, Tensor], dict[str, float]]


def accuracy(predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """The fraction of images whose class was predicted, with its Clopper-Pearson interval."""
    return accuracy_row(int((predicted == labels).sum()), len(labels))


@dataclass(frozen=True)
class WorstGroupAccuracy:
    """The accuracy of the group it is lowest in, with that group's interval and n (FMoW: regions; Koh et al. 2021).

    Attributes
    ----------
    groups : sequence of int or str
        The group of each image; groups without images do not count.
    ignored : sequence of int or str
        Groups that do not count.
    """

    groups: Sequence[int | str]
    ignored: Sequence[int | str] = ()

    def __call__(self, predicted: Tensor, labels: Tensor) -> dict[str, float]:
        correct, groups = (predicted == labels).numpy(), np.asarray(self.groups)
        if groups.shape != correct.shape:
            raise WiseftError(f"there are {len(groups)} groups for {len(correct)} images: give the group of each image")
        counted = [g for g in np.unique(groups) if g not in self.ignored]
        if not counted:
            raise WiseftError(f"no group is left: all images are of ignored groups, {list(self.ignored)}")
        rows = [accuracy_row(int(correct[groups == g].sum()), int((groups == g).sum())) for g in counted]
        return min(rows, key=lambda row: row["accuracy"])

    def subset(self, indices: Sequence[int]) -> "WorstGroupAccuracy":
        """The metric of some of the images, in the order of their indices."""
        return WorstGroupAccuracy([self.groups[i] for i in indices], self.ignored)


@dataclass(frozen=True)
class MacroF1:
    """The mean over classes of F1, of the classes that occur among the labels (iWildCam; Koh et al. 2021).

    The interval is the bootstrap's, from 200 draws of images with a fixed seed.
    """

    draws: int = 200

    def __call__(self, predicted: Tensor, labels: Tensor) -> dict[str, float]:
        y, x = labels.numpy(), predicted.numpy()
        rng = np.random.default_rng(0)
        drawn = [macro_f1(y[rows], x[rows]) for rows in rng.integers(0, len(y), (self.draws, len(y)))]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return {"accuracy": macro_f1(y, x), "n": len(y), "low": float(low), "high": float(high)}


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of F1 = 2 hits / (labelled + predicted) over the classes that occur among the labels."""
    size = 1 + max(labels.max(), predicted.max())
    hits, labelled, said = (np.bincount(c, minlength=size) for c in (labels[labels == predicted], labels, predicted))
    occurs = labelled > 0
    return float((2 * hits[occurs] / (labelled + said)[occurs]).mean())


@dataclass(frozen=True)
class PmK:
    """The fraction of anchor frames that are right together with all their neighbours (Shankar et al. 2021).

    Attributes
    ----------
    neighbourhoods : sequence of sequences of int
        For each anchor the indices of its frames in the dataset, itself among them. With the anchors
        alone this is pm-0, the plain accuracy; with up to ten frames on both sides pm-10.
    accepted : sequence of collections of int, optional
        The labels that are right for each frame, where one frame may show several things.
    """

    neighbourhoods: Sequence[Sequence[int]]
    accepted: Sequence[Collection[int]] | None = None

    def __call__(self, predicted: Tensor, labels: Tensor) -> dict[str, float]:
        frames, last = len(predicted), max((i for around in self.neighbourhoods for i in around), default=-1)
        if last >= frames or (self.accepted is not None and len(self.accepted) != frames):
            raise WiseftError(f"there are {frames} frames, and the neighbourhoods or accepted labels are for others")
        right = self.accepted or [(label,) for label in labels.tolist()]
        correct = torch.tensor([said in of_frame for said, of_frame in zip(predicted.tolist(), right, strict=True)])
        return accuracy_row(sum(bool(correct[list(f)].all()) for f in self.neighbourhoods), len(self.neighbourhoods))

    def subset(self, indices: Sequence[int]) -> "PmK":
        """Refuses: frames that are judged together cannot be had in part."""
        raise WiseftError("frames of videos are judged together with their neighbours: evaluate the whole dataset")
