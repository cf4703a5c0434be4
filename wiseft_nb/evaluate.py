"""Classifier + dataset -> predictions -> accuracy with interval.

Explained in notebook 04_measure_robustness.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.engine.batches import Plan, batches, in_order
from wiseft_nb.engine.cache import fingerprint, fingerprint_input, recall, remember
from wiseft_nb.engine.compute import EXACT, Compute
from wiseft_nb.engine.processes import gather, share
from wiseft_nb.intervals import accuracy_interval
from wiseft_nb.metrics import Metric, accuracy
from wiseft_nb.models.classifier import ImageClassifier


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
    class_groups : tuple of tuples of int, or None
        Where a label stands for several of the classifier's classes (ObjectNet: "chair" for three of
        ImageNet's): the classes of each label. Its logit is the largest of theirs.
    metric : function
        What the dataset is judged by; see ``wiseft_nb.metrics``.

    Explained in notebook 04_measure_robustness.
    """

    logits: Tensor
    labels: Tensor
    class_subset: tuple[int, ...] | None = None
    class_groups: tuple[tuple[int, ...], ...] | None = None
    metric: Metric = accuracy

    @classmethod
    def on(cls, dataset: Dataset, logits: Tensor, labels: Tensor) -> "Predictions":
        """With the classes and the metric that the dataset asks for."""
        asked = {name: getattr(dataset, name, None) for name in ("class_subset", "class_groups", "metric")}
        return cls(logits, labels, **{name: value for name, value in asked.items() if value is not None})

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image, int64 ``(n,)``."""
        if self.class_groups is not None:
            never = torch.full((self.n,), -torch.inf)  # a label without any class
            best = [self.logits[:, list(g)].amax(1) if g else never for g in self.class_groups]
            return torch.stack(best, dim=1).argmax(1)
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
        """The columns accuracy, n, low and high of a tidy table, by the dataset's metric."""
        return self.metric(self.predicted, self.labels)


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
    """Run a classifier over a dataset; several processes share it, and all get the whole.

    Parameters
    ----------
    classifier : ImageClassifier
        Put into evaluation mode.
    dataset : Dataset
        Map-style, yields ``(input, label)``; may have a ``class_subset``,
        ``class_groups`` and ``metric``.
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
    key = None
    if cache:
        seen = fingerprint_input(classifier, dataset)
        key = fingerprint("evaluate", classifier, seen, compute, batch_size, torch.__version__)
        found = recall(key)
        if found is not None:
            return Predictions.on(dataset, found[0]["logits"], found[0]["labels"])
    forward = compute.prepare(classifier.eval())
    ahead = prepared(classifier, dataset, share(in_order(len(dataset), batch_size)), workers)
    logits, labels = zip(*gather((forward(inputs).cpu(), targets) for inputs, targets in ahead), strict=True)
    predictions = Predictions.on(dataset, torch.cat(logits), torch.cat(labels))
    if key:
        remember(key, {"logits": predictions.logits, "labels": predictions.labels})
    return predictions


def prepared(
    classifier: ImageClassifier, dataset: Dataset, plan: Plan, workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of inputs ready for the classifier, and their labels, checked."""
    return batches(dataset, plan, classifier.collate, len(classifier.class_names), workers)
