"""Classifier + dataset -> predictions -> accuracy with interval.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from statsmodels.stats.proportion import proportion_confint
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.batches import Plan, batches, in_order
from wiseft_nb.cache import fingerprint, fingerprint_input, recall, remember
from wiseft_nb.compute import EXACT, Compute
from wiseft_nb.errors import WiseftError
from wiseft_nb.zero_shot import ImageClassifier


@dataclass(frozen=True)
class Predictions:
    """What a classifier said about a dataset.

    Attributes
    ----------
    logits : Tensor
        ``(n, classes)``.
    labels : Tensor
        int64 ``(n,)``.
    class_subset : tuple of int or None
        The classes that occur; the others are left out of the argmax.

    Explained in notebook 04_measure_robustness.
    """

    logits: Tensor
    labels: Tensor
    class_subset: tuple[int, ...] | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image, int64 ``(n,)``."""
        if self.class_subset is None:
            return self.logits.argmax(1)
        subset = torch.tensor(self.class_subset)
        return subset[self.logits[:, subset].argmax(1)]

    @property
    def correct(self) -> Tensor:
        """Whether each image was classified correctly, bool ``(n,)``."""
        return self.predicted == self.labels

    def accuracy(self) -> float:
        """Fraction correct, in [0, 1]."""
        return self.correct.double().mean().item()

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of the accuracy, fractions ``(low, high)``."""
        return accuracy_interval(int(self.correct.sum()), self.n, confidence)

    def row(self) -> dict[str, float]:
        """The columns accuracy, n, low and high of a tidy table."""
        return accuracy_row(int(self.correct.sum()), self.n)


def accuracy_row(correct: int, n: int) -> dict[str, float]:
    """The columns accuracy, n, low and high of a tidy table."""
    low, high = accuracy_interval(correct, n)
    return {"accuracy": correct / n, "n": n, "low": low, "high": high}


def accuracy_interval(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of an accuracy, as the paper draws it.

    Parameters
    ----------
    correct, n : int
        Images classified correctly, and all images.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : float
        Fractions.

    Examples
    --------
    >>> low, high = accuracy_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.824, 0.951)

    Explained in notebook 04_measure_robustness.
    """
    if not 0 <= correct <= n or n < 1:
        raise WiseftError(f"{correct} of {n} images correct: expected 0 <= correct <= n, and n of at least 1")
    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="beta")
    return float(low), float(high)


@torch.no_grad()
def evaluate(
    classifier: ImageClassifier,
    dataset: Dataset,
    batch_size: int = 250,
    *,
    cache: bool = False,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> Predictions:
    """Run a classifier over a dataset.

    Parameters
    ----------
    classifier : ImageClassifier
        Put into evaluation mode.
    dataset : Dataset
        Map-style, yields ``(input, label)``; may have a ``class_subset``.
    batch_size : int
    cache : bool
        Whether to keep the predictions under ``WISEFT_NB_CACHE``, and answer from there where weights,
        preprocessing and images are the same.
    compute : Compute
        Reduced precision and the like, for speed.
    workers : int, optional
        Processes that read images ahead.

    Returns
    -------
    Predictions

    Raises
    ------
    WiseftError
        If the dataset is empty or has labels outside the classes.

    Explained in notebook 04_measure_robustness.
    """
    subset = getattr(dataset, "class_subset", None)
    key = None
    if cache:
        seen = fingerprint_input(classifier, dataset)
        key = fingerprint("evaluate", classifier, seen, compute, batch_size, torch.__version__)
        found = recall(key)
        if found is not None:
            return Predictions(found[0]["logits"], found[0]["labels"], subset)
    forward = compute.prepare(classifier.eval())
    logits, labels = [], []
    for inputs, targets in prepared(classifier, dataset, in_order(len(dataset), batch_size), workers):
        logits.append(forward(inputs).cpu())
        labels.append(targets)
    predictions = Predictions(torch.cat(logits), torch.cat(labels), subset)
    if key:
        remember(key, {"logits": predictions.logits, "labels": predictions.labels})
    return predictions


def prepared(
    classifier: ImageClassifier, dataset: Dataset, plan: Plan, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of inputs ready for the classifier, and their labels, checked."""
    return batches(dataset, plan, classifier.collate, len(classifier.class_names), workers)
