"""Two endpoints + benchmark -> a tidy table over alpha.

Explained in notebook 03_interpolate.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.batches import check_filled, in_order
from wiseft_nb.engine.cache import fingerprint, fingerprint_input, recall, remember
from wiseft_nb.engine.compute import EXACT, Compute
from wiseft_nb.engine.processes import alone, count, gather, is_main, share
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions, prepared
from wiseft_nb.interpolate import check_alpha, check_pair, interpolated
from wiseft_nb.metrics import accuracy
from wiseft_nb.models.classifier import ImageClassifier, check_classes

BATCH = 250  # images in one forward pass
CHUNK = 1000  # images held at a time: weights are mixed once for all of them
Kept = tuple[Tensor, Tensor]  # predicted classes and labels of a chunk
LogitsPath = Callable[
    [Tensor, Sequence[float]], Iterator[Tensor]
]  # images, alphas -> logits, one alpha after the other


def sweep(
    zero_shot: ImageClassifier,
    fine_tuned: ImageClassifier,
    benchmark: Benchmark,
    alphas: Iterable[float],
    datasets: dict[str, Dataset] | None = None,
    progress: bool = True,
    *,
    cache: bool = False,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> pd.DataFrame:
    """Accuracy of the interpolated classifier on the reference and every shift, for every alpha.

    Every image is read and preprocessed once, however many alphas; memory holds a chunk of images, the
    two sets of weights and one more. Several processes share the chunks, and all get the table. If the two differ in the head alone, the encoder runs once too:
    logits are then linear in alpha.

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
    cache : bool
        Whether to keep what was predicted under ``WISEFT_NB_CACHE``: a sweep that was killed goes on from
        there, one with more alphas computes only those, and the table is the same to the last bit.
    compute : Compute
        Reduced precision and the like, for speed.
    workers : int, optional
        Processes that read images ahead.

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
    alphas = [float(alpha) for alpha in alphas if check_alpha(alpha) is None]
    if not alphas:
        raise WiseftError("there is no alpha to sweep over: pass some, such as [0, 0.5, 1]")
    check_pair(zero_shot, fine_tuned)
    check_classes(zero_shot, benchmark)
    datasets = benchmark.test_sets if datasets is None else datasets
    kind = head_path if same_encoder(zero_shot, fine_tuned) else weight_path
    path = kind(zero_shot, fine_tuned, compute)
    ends = fingerprint("sweep", kind.__name__, zero_shot, fine_tuned, compute, torch.__version__) if cache else ""
    rows = []
    with tqdm(
        total=sum(map(len, datasets.values())), desc="sweep (images)", disable=not (progress and is_main())
    ) as bar:
        for name, dataset in datasets.items():
            seen = fingerprint(ends, fingerprint_input(zero_shot, dataset)) if cache else None
            predicted, labels = predict_path(path, zero_shot, dataset, alphas, bar, seen, workers)
            metric = getattr(dataset, "metric", None) or accuracy
            for alpha in alphas:
                rows.append({"alpha": alpha, "dataset": name} | metric(predicted[alpha], labels))
    return pd.DataFrame(rows)


def predict_path(
    path: LogitsPath,
    classifier: ImageClassifier,
    dataset: Dataset,
    alphas: Sequence[float],
    bar: tqdm,
    seen: str | None,
    workers: int | None,
) -> tuple[dict[float, Tensor], Tensor]:
    """Predicted classes for every alpha, and labels; a chunk is prepared once and run through all of them.

    ``seen`` is the fingerprint of all but alpha and chunk, if predictions are to be kept.
    """
    check_filled(dataset)
    size = max(BATCH, CHUNK // count() // BATCH * BATCH)  # several processes take smaller chunks, of the same batches
    chunks = [range(start, min(start + size, len(dataset))) for start in range(0, len(dataset), size)]
    found: dict[range, dict[float, Kept]] = {chunk: {} for chunk in chunks}
    for chunk, alpha in itertools.product(chunks if seen else [], dict.fromkeys(alphas)):
        if kept := recall(chunk_key(seen, alpha, chunk)):
            found[chunk][alpha] = kept[0]["predicted"], kept[0]["labels"]
    missing = {chunk: [a for a in dict.fromkeys(alphas) if a not in found[chunk]] for chunk in chunks}
    todo = [chunk for chunk in chunks if missing[chunk]]
    mine = {chunk: in_order(chunk.stop, BATCH, chunk.start) for chunk in share(todo)}
    ahead = prepared(classifier, dataset, [batch for plan in mine.values() for batch in plan], workers)
    bar.update(sum(len(chunk) for chunk in chunks if chunk not in mine))

    def predict(chunk: range) -> dict[float, Kept]:
        images, labels = map(torch.cat, zip(*itertools.islice(ahead, len(mine[chunk])), strict=True))
        made = {}
        for alpha, logits in zip(missing[chunk], path(images, missing[chunk]), strict=True):
            made[alpha] = Predictions.on(dataset, logits.cpu(), labels).predicted, labels
            if seen and alone():
                keep_chunk(seen, alpha, chunk, *made[alpha])
        bar.update(len(chunk))
        return made

    for chunk, made in zip(todo, gather(map(predict, mine)), strict=True):
        found[chunk] |= made
        for alpha, kept in made.items() if seen and not alone() else ():
            keep_chunk(seen, alpha, chunk, *kept)
    predicted = {alpha: torch.cat([found[chunk][alpha][0] for chunk in chunks]) for alpha in alphas}
    return predicted, torch.cat([found[chunk][alphas[0]][1] for chunk in chunks])


def keep_chunk(seen: str, alpha: float, chunk: range, predicted: Tensor, labels: Tensor) -> None:
    """Keep what one alpha says of a chunk."""
    remember(chunk_key(seen, alpha, chunk), {"predicted": predicted, "labels": labels})


def chunk_key(seen: str, alpha: float, chunk: range) -> str:
    """Where the predictions of one alpha and chunk are kept."""
    return fingerprint(seen, alpha, chunk.start, chunk.stop)


def weight_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, compute: Compute = EXACT) -> LogitsPath:
    """A function from images and alphas to logits, weights mixed in place in one third model."""
    mixed = copy.deepcopy(zero_shot).eval()
    theta_0, theta_1, theta = (model.state_dict() for model in (zero_shot, fine_tuned, mixed))
    forward = compute.prepare(mixed)

    @torch.no_grad()
    def path(images: Tensor, alphas: Sequence[float]) -> Iterator[Tensor]:
        for alpha in alphas:
            for name, tensor in interpolated(theta_0, theta_1, alpha):
                theta[name].copy_(tensor)
            yield torch.cat([forward(batch) for batch in images.split(BATCH)])

    return path


def head_path(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, compute: Compute = EXACT) -> LogitsPath:
    """The same for one shared encoder: features once, two heads, logits interpolated."""
    encode = compute.prepare(zero_shot.image_encoder.eval())

    @torch.no_grad()
    def path(images: Tensor, alphas: Sequence[float]) -> Iterator[Tensor]:
        features = torch.cat([encode(batch) for batch in images.split(BATCH)])
        ends = [model.classification_head(features) for model in (zero_shot, fine_tuned)]
        for alpha in alphas:
            yield ends[0] if alpha == 0 else ends[1] if alpha == 1 else (1 - alpha) * ends[0] + alpha * ends[1]

    return path


def same_encoder(zero_shot: ImageClassifier, fine_tuned: ImageClassifier) -> bool:
    """Whether two classifiers differ in the head alone."""
    theta_1 = fine_tuned.image_encoder.state_dict()
    return all(torch.equal(tensor, theta_1[name]) for name, tensor in zero_shot.image_encoder.state_dict().items())
