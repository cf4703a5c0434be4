"""Classifier + dataset -> predictions -> accuracy with interval.

Explained in notebook 04_measure_robustness.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.asked import Asked, asked_of, check_order
from wiseft_nb.engine.batches import check_dataset
from wiseft_nb.engine.cache import fingerprint, versions
from wiseft_nb.engine.compute import EXACT, Compute, evaluating
from wiseft_nb.engine.forward import BATCH, PATIENCE, forward_over, progress_bar
from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import accuracy_interval
from wiseft_nb.metrics import Metric, accuracy
from wiseft_nb.models.checks import fingerprint_input
from wiseft_nb.models.classifier import ImageClassifier, check_classifier, check_logits


@dataclass(frozen=True, eq=False)  # tensors have no equality of one truth value
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

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or self.labels.shape != self.logits.shape[:1]:
            raise WiseftError(
                f"logits are {tuple(self.logits.shape)} and labels {tuple(self.labels.shape)}: expected (n, classes) and (n,)"
            )
        check_logits(self.logits)
        Asked(self.class_subset, self.class_groups, self.metric).check(self.labels, self.logits.shape[1])

    @classmethod
    def on(cls, dataset: Dataset, logits: Tensor, labels: Tensor) -> "Predictions":
        """With the classes and the metric that the dataset asks for."""
        asked = asked_of(dataset)
        return cls(logits, labels, asked.class_subset, asked.class_groups, asked.metric)

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image, int64 ``(n,)``."""
        return decide(self.logits, Asked(self.class_subset, self.class_groups))

    @property
    def correct(self) -> Tensor:
        """Whether each image was classified correctly, bool ``(n,)``."""
        return self.predicted == self.labels

    @property
    def choices(self) -> Tensor:
        """Logits of the labels that the dataset asks for alone: ``(n, labels)``."""
        return narrow(self.logits, Asked(self.class_subset, self.class_groups))

    def accuracy(self) -> float:
        """Fraction correct, in [0, 1]."""
        return self.correct.double().mean().item()

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of the accuracy, fractions ``(low, high)``."""
        return accuracy_interval(int(self.correct.sum()), self.n, confidence)

    def row(self) -> dict[str, float]:
        """The columns accuracy, n, low and high of a tidy table, by the dataset's metric."""
        return self.metric(self.predicted, self.labels)


def decide(logits: Tensor, asked: Asked) -> Tensor:
    """The predicted class of each row, among those that are asked for."""
    best = narrow(logits, asked).argmax(1)
    return best if asked.class_subset is None else torch.tensor(asked.class_subset)[best]


def narrow(logits: Tensor, asked: Asked) -> Tensor:
    """Logits of what is asked for alone: a column a label, the largest of its classes."""
    check_logits(logits)
    if asked.class_groups is not None:
        never = torch.full((len(logits),), -torch.inf)  # a label without any class
        return torch.stack([logits[:, list(g)].amax(1) if g else never for g in asked.class_groups], dim=1)
    return logits if asked.class_subset is None else logits[:, list(asked.class_subset)]


def evaluate(
    classifier: ImageClassifier,
    dataset: Dataset,
    batch_size: int = BATCH,
    *,
    progress: bool = True,
    cache: bool = False,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> Predictions:
    """Run a classifier over a dataset; several processes share it, and all get the whole.

    Parameters
    ----------
    classifier : ImageClassifier
        Run in evaluation mode, and left as it was.
    dataset : Dataset
        Map-style, yields ``(input, label)``; may have a ``class_subset``, ``class_groups`` and ``metric``,
        itself or inside torch's ``Subset``.
    batch_size : int
    progress : bool
        Whether to show a progress bar where it takes more than a moment.
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
        If the dataset is empty, yields something else than pairs, numbers its classes otherwise than the
        classifier, or has labels outside the classes; if the classifier says NaN.

    Explained in notebook 04_measure_robustness.
    """
    check_classifier(classifier)
    check_dataset(dataset)
    check_order(dataset, classifier.class_names)
    key = None
    if cache:
        seen = fingerprint_input(classifier, dataset)
        key = fingerprint("evaluate", classifier, seen, compute.exactness, batch_size, versions())
    with evaluating(classifier), progress_bar(len(dataset), "evaluate (images)", progress, PATIENCE) as bar:
        forward, classes = compute.prepare(classifier), len(classifier.class_names)
        found = forward_over(
            lambda inputs, _: {"logits": forward(inputs).cpu()},
            dataset,
            ["logits"],
            classifier.collate,
            classes,
            batch_size=batch_size,
            key=key,
            workers=workers,
            bar=bar,
        )
    return Predictions.on(dataset, found["logits"], found["labels"])
