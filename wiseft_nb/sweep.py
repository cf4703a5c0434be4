"""Two endpoints + benchmark -> a tidy table over alpha.

Explained in notebook 03_interpolate.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.asked import asked_of, check_order, source_of
from wiseft_nb.engine.cache import fingerprint, versions
from wiseft_nb.engine.compute import EXACT, Compute, evaluating
from wiseft_nb.engine.forward import BATCH, forward_over, progress_bar
from wiseft_nb.engine.nested import Batch, split
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.evaluate import decide
from wiseft_nb.interpolate import as_alphas, check_pair, mix_into
from wiseft_nb.intervals import Z, mean_interval
from wiseft_nb.metrics import accuracy
from wiseft_nb.models.checks import check_classes, check_same_inputs, fingerprint_input
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier, check_classifier

BATCHES_AT_ONCE = 4  # weights are mixed once for all of them
LogitsPath = Callable[[Batch, Sequence[float]], Iterator[Tensor]]  # inputs, alphas -> logits, alpha after alpha


def sweep(
    zero_shot: ImageClassifier,
    fine_tuned: ImageClassifier,
    benchmark: Benchmark,
    alphas: Iterable[float],
    datasets: dict[str, Dataset] | None = None,
    progress: bool = True,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    cache: bool = False,
    compute: Compute = EXACT,
    workers: int | None = None,
    chord: bool = False,
) -> pd.DataFrame:
    """Accuracy of the interpolated classifier on the reference and every shift, for every alpha.

    Every image is read and preprocessed once, however many alphas; memory holds some batches of images, the
    two sets of weights and one more. Several processes share the images, and all get the table. If the two
    differ in a linear head alone, the encoder runs once too: logits are then linear in alpha.

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
    groups : dict, optional
        Name -> datasets: further rows, with the mean over the datasets of each group. Its interval is the
        bootstrap's over images: those of several shifts that were made of one image are drawn together.
    cache : bool
        Whether to keep what was predicted under ``WISEFT_NB_CACHE``: a sweep that was killed goes on from
        there, one with more alphas computes only those, and the table is the same to the last bit.
    compute : Compute
        Reduced precision and the like, for speed.
    workers : int, optional
        Processes that read images ahead.
    chord : bool
        Whether to add ``chord_error``, for ``chord_dip``: the standard error of the accuracy minus the chord's
        (equation 2), image by image. 0 and 1 must be among the alphas.

    Returns
    -------
    pandas.DataFrame
        A row for each alpha and dataset: alpha, dataset, accuracy, n, low, high; fractions, with the
        95 % Clopper-Pearson interval. A dataset with a ``metric`` of its own has that in place of the
        accuracy.

    Raises
    ------
    WiseftError
        If the two classifiers, or the benchmark, do not belong together.

    Explained in notebook 03_interpolate.
    """
    alphas = as_alphas(alphas)
    if chord and not {0, 1} <= set(alphas):
        raise WiseftError(f"a chord needs both its ends, and the alphas are {alphas}: add 0 and 1")
    check_classifier(zero_shot, fine_tuned)
    check_pair(zero_shot, fine_tuned)
    check_classes(zero_shot, benchmark)
    datasets = benchmark.test_sets if datasets is None else datasets
    for name in (name for names in (groups or {}).values() for name in names):
        if name not in datasets:
            raise unknown("dataset of a group", name, datasets)
    for dataset in datasets.values():
        check_order(dataset, zero_shot.class_names)
        check_same_inputs(zero_shot, fine_tuned, dataset)
    shared = same_encoder(zero_shot, fine_tuned) and has_linear_heads(zero_shot, fine_tuned)
    path = (head_path if shared else weight_path)(zero_shot, fine_tuned, compute)
    ends = fingerprint("sweep", shared, zero_shot, fine_tuned, compute.exactness, versions()) if cache else ""
    rows, right = [], {}
    total = sum(map(len, datasets.values()))
    with evaluating(zero_shot, fine_tuned), progress_bar(total, "sweep (images)", progress) as bar:
        for name, dataset in datasets.items():
            key = fingerprint(ends, fingerprint_input(zero_shot, dataset)) if cache else None
            said, labels = predict_path(path, zero_shot, dataset, alphas, key=key, workers=workers, bar=bar)
            metric = asked_of(dataset).metric
            rows += [{"alpha": alpha, "dataset": name} | metric(said[alpha], labels) for alpha in alphas]
            right[name] = np.stack([(said[alpha] == labels).numpy() for alpha in alphas], axis=1)
    for name, names in (groups or {}).items():
        rows += mean_rows(name, {of: right[of] for of in names}, datasets, alphas)
    table = pd.DataFrame(rows)
    return table.assign(chord_error=chord_errors(right, groups or {}, datasets, alphas)) if chord else table


def chord_errors(
    right: Mapping[str, np.ndarray],
    groups: Mapping[str, Sequence[str]],
    datasets: Mapping[str, Dataset],
    alphas: Sequence[float],
) -> np.ndarray:
    """Standard error of accuracy minus chord, for every dataset and then group: an array of rows of a sweep.

    NaN where the metric is another: it is no mean over images.
    """
    ends = [list(alphas).index(end) for end in (0, 1)]
    above = {name: found - found[:, ends] @ np.array([1 - np.array(alphas), alphas]) for name, found in right.items()}
    errors = [
        gaps.std(axis=0) / len(gaps) ** 0.5
        if asked_of(datasets[name]).metric is accuracy
        else np.full(len(alphas), np.nan)
        for name, gaps in above.items()
    ]
    for names in groups.values():
        low, high = mean_interval([above[name] for name in names], [source_of(datasets[name]) for name in names])
        errors.append((high - low) / (2 * Z))
    return np.concatenate(errors)


def predict_path(
    path: LogitsPath, classifier: ImageClassifier, dataset: Dataset, alphas: Sequence[float], **how: object
) -> tuple[dict[float, Tensor], Tensor]:
    """Predicted classes for every alpha, and labels; ``how`` is what ``forward_over`` takes."""
    asked = asked_of(dataset)

    def forward(inputs: Batch, wanted: Sequence[str]) -> dict[str, Tensor]:
        said = zip(wanted, path(inputs, [float(name) for name in wanted]), strict=True)
        return {name: decide(logits.cpu(), asked) for name, logits in said}

    names = {alpha: repr(alpha) for alpha in alphas}
    found = forward_over(
        forward,
        dataset,
        list(names.values()),
        classifier.collate,
        len(classifier.class_names),
        batches_at_once=BATCHES_AT_ONCE,
        **how,
    )
    labels = found["labels"]
    asked.check(labels, len(classifier.class_names))
    return {alpha: found[name] for alpha, name in names.items()}, labels


def mean_rows(
    group: str, right: Mapping[str, Tensor], datasets: Mapping[str, Dataset], alphas: Sequence[float]
) -> list[dict]:
    """Rows for the mean over the datasets of a group, all weighed alike."""
    odd = [name for name in right if asked_of(datasets[name]).metric is not accuracy]
    if odd or not right:
        what = f"{odd[0]} is judged by a metric of its own" if odd else "it names no dataset"
        raise WiseftError(f"group {group!r} has no mean accuracy, {what}: leave it out of the groups")
    mean = np.mean([found.mean(axis=0) for found in right.values()], axis=0)
    low, high = mean_interval(list(right.values()), [source_of(datasets[name]) for name in right])
    n = sum(len(found) for found in right.values())
    columns = zip(alphas, mean, low, high, strict=True)
    return [{"alpha": a, "dataset": group, "accuracy": m, "n": n, "low": x, "high": y} for a, m, x, y in columns]


def weight_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, compute: Compute = EXACT) -> LogitsPath:
    """A function from inputs and alphas to logits, weights mixed in place in one third model."""
    mixed = copy.deepcopy(zero_shot).eval()
    forward = compute.prepare(mixed)
    theta_0, theta_1, theta = (model.state_dict() for model in (zero_shot, fine_tuned, mixed))
    theta_1 = {name: tensor.to(theta[name].device) for name, tensor in theta_1.items()}
    moved = {name: tensor for name, tensor in theta.items() if not torch.equal(tensor, theta_1[name])}

    @torch.no_grad()
    def path(inputs: Batch, alphas: Sequence[float]) -> Iterator[Tensor]:
        pieces = split(inputs, BATCH)
        for alpha in alphas:
            mix_into(moved, theta_0, theta_1, alpha)
            yield torch.cat([forward(piece) for piece in pieces])

    return path


class TwoHeads(nn.Module):
    """One encoder under the heads of both ends: logits ``(n, 2, classes)``."""

    def __init__(self, zero_shot: ImageClassifier, fine_tuned: ImageClassifier):
        super().__init__()
        self.encoder = zero_shot.image_encoder
        self.heads = nn.ModuleList(model.classification_head for model in (zero_shot, fine_tuned))

    def forward(self, inputs: Batch) -> Tensor:
        features = self.encoder(inputs)
        return torch.stack([head(features) for head in self.heads], dim=1)


def head_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, compute: Compute = EXACT) -> LogitsPath:
    """The same for one shared encoder: features once, two heads, logits interpolated."""
    forward = compute.prepare(TwoHeads(zero_shot, fine_tuned))

    @torch.no_grad()
    def path(inputs: Batch, alphas: Sequence[float]) -> Iterator[Tensor]:
        ends = torch.cat([forward(piece) for piece in split(inputs, BATCH)]).unbind(dim=1)
        for alpha in alphas:
            yield ends[0] if alpha == 0 else ends[1] if alpha == 1 else (1 - alpha) * ends[0] + alpha * ends[1]

    return path


def same_encoder(zero_shot: ImageClassifier, fine_tuned: ImageClassifier) -> bool:
    """Whether two classifiers differ in the head alone."""
    theta_0, theta_1 = (model.image_encoder.state_dict() for model in (zero_shot, fine_tuned))
    return all(torch.equal(tensor, theta_1[name].to(tensor.device)) for name, tensor in theta_0.items())


def has_linear_heads(*classifiers: ImageClassifier) -> bool:
    """Whether logits are linear in the heads' weights, as they are for these two kinds and no other."""
    heads = [classifier.classification_head for classifier in classifiers]
    return all(type(head) in (ClassificationHead, nn.Linear) and not head._forward_hooks for head in heads)
