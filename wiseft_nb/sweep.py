"""Two endpoints + benchmark -> a tidy table over alpha.

Explained in notebook 03_interpolate.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.evaluate import Predictions, prepared
from wiseft_nb.interpolate import check_alpha, check_endpoints, interpolated
from wiseft_nb.zero_shot import ImageClassifier

MEAN = "mean of shifts"
LogitsPath = Callable[[Tensor], Iterator[Tensor]]  # images -> the logits of every alpha, one after the other


def sweep(
    zero_shot: ImageClassifier,
    fine_tuned: ImageClassifier,
    benchmark: Benchmark,
    alphas: Iterable[float],
    datasets: dict[str, Dataset] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Accuracy of the interpolated classifier on the reference and every shift, for every alpha.

    Every image is read and preprocessed once, however many alphas. If the two differ in the head
    alone, the encoder runs once too: logits are then linear in alpha.

    Parameters
    ----------
    zero_shot, fine_tuned : ImageClassifier
        Not changed.
    benchmark : Benchmark
    alphas : iterable of float
    datasets : dict, optional
        What to evaluate on instead of ``benchmark.test_sets``, such as ``{"val": benchmark.val}``.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row for each alpha and dataset: alpha, dataset, accuracy, n, low, high; fractions, with the
        95 % Clopper-Pearson interval.

    Explained in notebook 03_interpolate.
    """
    alphas = list(alphas)
    for alpha in alphas:
        check_alpha(alpha)
    check_endpoints(zero_shot.state_dict(), fine_tuned.state_dict())
    datasets = benchmark.test_sets if datasets is None else datasets
    kind = head_path if same_encoder(zero_shot, fine_tuned) else weight_path
    path = kind(zero_shot, fine_tuned, alphas)
    rows = []
    with tqdm(total=sum(map(len, datasets.values())), desc="sweep (images)", disable=not progress) as bar:
        for name, dataset in datasets.items():
            found = along_path(path, zero_shot, dataset, alphas, bar)
            for alpha, predictions in zip(alphas, found, strict=True):
                rows.append({"alpha": float(alpha), "dataset": name} | accuracy_row(predictions))
    return pd.DataFrame(rows)


def accuracy_row(predictions: Predictions) -> dict[str, float]:
    """The columns accuracy, n, low and high of a tidy table."""
    low, high = predictions.interval()
    return {"accuracy": predictions.accuracy(), "n": predictions.n, "low": low, "high": high}


def along_path(
    path: LogitsPath, classifier: ImageClassifier, dataset: Dataset, alphas: Sequence[float], bar: tqdm
) -> list[Predictions]:
    """Predictions for every alpha; a chunk of images is prepared once and run through all of them."""
    logits: list[list[Tensor]] = [[] for _ in alphas]
    labels = []
    for images, targets in prepared(classifier, dataset, batch_size=2000):
        for collected, outputs in zip(logits, path(images), strict=True):
            collected.append(outputs)
        labels.append(targets)
        bar.update(len(targets))
    subset = getattr(dataset, "class_subset", None)
    return [Predictions(torch.cat(parts), torch.cat(labels), subset) for parts in logits]


def weight_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, alphas: Sequence[float]) -> LogitsPath:
    """A function from images to the logits of every alpha, weights mixed in place in one third model."""
    mixed = copy.deepcopy(zero_shot).eval()
    theta_0, theta_1, theta = (model.state_dict() for model in (zero_shot, fine_tuned, mixed))

    @torch.no_grad()
    def path(images: Tensor):
        for alpha in alphas:
            for name, tensor in interpolated(theta_0, theta_1, alpha):
                theta[name].copy_(tensor)
            yield torch.cat([mixed(batch) for batch in images.split(250)])

    return path


def head_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, alphas: Sequence[float]) -> LogitsPath:
    """The same for one shared encoder: features once, two heads, logits interpolated."""
    encoder = zero_shot.image_encoder.eval()

    @torch.no_grad()
    def path(images: Tensor):
        features = torch.cat([encoder(batch) for batch in images.split(250)])
        ends = [model.classification_head(features) for model in (zero_shot, fine_tuned)]
        for alpha in alphas:
            yield ends[0] if alpha == 0 else ends[1] if alpha == 1 else (1 - alpha) * ends[0] + alpha * ends[1]

    return path


def same_encoder(zero_shot: ImageClassifier, fine_tuned: ImageClassifier) -> bool:
    """Whether two classifiers differ in the head alone."""
    theta_1 = fine_tuned.image_encoder.state_dict()
    return all(torch.equal(tensor, theta_1[name]) for name, tensor in zero_shot.image_encoder.state_dict().items())


def mean_of_shifts(table: pd.DataFrame, shifts: Iterable[str]) -> pd.DataFrame:
    """The mean accuracy over shifts, for every other column (such as alpha or model).

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy, with dataset, accuracy, n, low, high and whatever tells the rows apart.
    shifts : iterable of str

    Returns
    -------
    pandas.DataFrame
        Like ``table``, dataset ``"mean of shifts"``. The interval is the normal one for a mean of
        independent proportions; n is the number of images altogether.

    Explained in notebook 03_interpolate.
    """
    chosen = table[table.dataset.isin(list(shifts))]
    keys = [c for c in table.columns if c not in ("dataset", "accuracy", "n", "low", "high")]
    chosen = chosen.assign(variance=chosen.accuracy * (1 - chosen.accuracy) / chosen.n)
    mean = chosen.groupby(keys, sort=False, dropna=False).agg(
        accuracy=("accuracy", "mean"), n=("n", "sum"), k=("n", "size"), variance=("variance", "sum")
    )
    mean = mean.reset_index().assign(dataset=MEAN)
    margin = 1.959964 * np.sqrt(mean.variance) / mean.k
    mean = mean.assign(low=(mean.accuracy - margin).clip(0, 1), high=(mean.accuracy + margin).clip(0, 1))
    return mean[table.columns]
