"""Classifier + reference training data -> fine-tuned classifier.

Explained in notebook 02_fine_tune.
"""

import copy
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.asked import check_order
from wiseft_nb.engine.batches import Collate, Plan, batches, check_dataset, in_pieces, shuffled
from wiseft_nb.engine.cache import fingerprint, versions
from wiseft_nb.engine.compute import EXACT, Compute, evaluating, seeded
from wiseft_nb.engine.forward import PATIENCE, forward_over, progress_bar
from wiseft_nb.engine.nested import Batch
from wiseft_nb.engine.processes import count, share
from wiseft_nb.engine.training import (
    CrossEntropy,
    NotFinite,
    Objective,
    Training,
    schedule,
    set_train_mode,
)
from wiseft_nb.errors import FineTuneDiverged, WiseftError
from wiseft_nb.models.checks import check_classes, fingerprint_input
from wiseft_nb.models.classifier import ImageClassifier, check_classifier, check_finite, checkpointed
from wiseft_nb.models.preprocess import transform_all
from wiseft_nb.recipes import FineTuneConfig

MakeOptimizer = Callable[[nn.Module, FineTuneConfig], torch.optim.Optimizer]


def adamw(network: nn.Module, config: FineTuneConfig) -> torch.optim.Optimizer:
    """AdamW over all weights that are trained, the optimizer of the paper's recipe."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise WiseftError("every weight is frozen, there is nothing to train: set requires_grad on some")
    fused = parameters[0].device.type in ("cpu", "cuda")  # one pass over the weights instead of ten
    return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def fine_tune(
    zero_shot: ImageClassifier,
    benchmark: Benchmark,
    config: FineTuneConfig = FineTuneConfig(),
    progress: bool = True,
    *,
    objective: Objective | None = None,
    optimizer: MakeOptimizer = adamw,
    cache: bool = False,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> ImageClassifier:
    """Fine-tune a copy of a classifier on the benchmark's training set.

    Only reference data is used: ``benchmark.train`` to learn, ``benchmark.val`` to watch. Several
    processes (``accelerate launch``) share each batch, and all end with the same weights.

    Parameters
    ----------
    zero_shot : ImageClassifier
        Where to start; it is not changed. What has no ``requires_grad`` stays as it is.
    benchmark : Benchmark
    config : FineTuneConfig
    progress : bool
        Whether to show a progress bar.
    objective : function, optional
        Network, inputs and labels to a loss, the mean over the samples; by default cross-entropy with the
        recipe's label smoothing. The network is the classifier, or its head on features with method
        ``"linear"``. Batches may come in pieces: means, and terms of the weights alone, add up exactly.
    optimizer : function, optional
        Network and config to an optimizer; by default AdamW. The schedule scales the learning rate that
        each of its parameter groups comes with.
    cache : bool
        Whether to save the state after every epoch, and every minute, under ``WISEFT_NB_CACHE``: a run
        that was killed goes on from there and ends with the same weights, bit for bit; one that
        finished is not run again. An objective or optimizer of your own then needs a method
        ``content()`` that yields, as bytes, what it is.
    compute : Compute
        Reduced precision and the like, for speed; micro-batches and checkpointing, for memory.
    workers : int, optional
        Processes that prepare batches ahead; how many does not change the result.

    Returns
    -------
    ImageClassifier
        In evaluation mode; its ``history`` has a row an epoch: epoch, step, lr, loss (mean over the
        epoch's samples) and val_accuracy (fraction).

    Raises
    ------
    FineTuneDiverged
        If a loss, gradient or weight is not finite; the error keeps the last good weights.
    WiseftError
        If weights are not finite to begin with or all frozen, there are no training data, labels lie
        outside the classes, or the benchmark has other classes than the classifier.

    Explained in notebook 02_fine_tune.
    """
    check_classifier(zero_shot)
    if not isinstance(config, FineTuneConfig):
        raise WiseftError(f"config is a {type(config).__name__}: expected FineTuneConfig(lr=…, epochs=…)")
    check_finite(zero_shot.state_dict(), "the classifier to fine-tune")
    check_classes(zero_shot, benchmark)
    for data in (benchmark.train, benchmark.val):
        check_dataset(data)
        check_order(data, zero_shot.class_names)
    if config.train_batchnorm and (compute.micro_batch or count() > 1):
        raise WiseftError("BatchNorm's statistics of a batch cannot be had in pieces: train_batchnorm=False")
    objective = objective or CrossEntropy(config.label_smoothing)
    key = training_key(zero_shot, benchmark, config, objective, optimizer, compute) if cache else None
    classifier = copy.deepcopy(zero_shot).eval()
    compute.placed(classifier)
    network = classifier if config.method == "end-to-end" else classifier.classification_head
    run = Training(network, optimizer(network, config), objective, compute, config.clip_norm)
    if key:
        run.restore(key)
    plan = shuffled(len(benchmark.train), config.batch_size, config.epochs, config.seed)
    if run.step < len(plan):
        # dropout and the like draw from torch's global generator: give it back as it was
        with seeded(config.seed), checkpointed(network, compute):
            train(run, classifier, benchmark, plan, config, progress=progress, key=key, workers=workers)
    classifier.history = run.history
    warn_of_harm(run.start, run.history[-1]["val_accuracy"], len(benchmark.val), config.lr)
    return classifier.eval()


def train(
    run: Training,
    classifier: ImageClassifier,
    benchmark: Benchmark,
    plan: Plan,
    config: FineTuneConfig,
    *,
    progress: bool,
    key: str | None,
    workers: int | None,
) -> None:
    """Step after step, to the end of the plan; ``key`` is where the state is remembered."""
    train_set, val_set, collate = benchmark.train, benchmark.val, classifier.collate
    if run.network is not classifier:  # the head alone: the encoder need not run in every epoch
        train_set, val_set = (features(classifier, data, workers, progress) for data in (train_set, val_set))
        collate, workers = ready, 0
    pieces = [share(in_pieces(batch, piece_size(config, run.compute))) for batch in plan]
    todo = [piece for own in pieces[run.step :] for piece in own]
    classes = len(classifier.class_names)
    ahead = batches(train_set, todo, functools.partial(collate, augment=True), classes, workers)
    steps, per_epoch, warmup = len(plan), len(plan) // config.epochs, config.warmup_share(len(plan))
    if run.step == 0:
        run.start = validate(run, val_set, collate, classes, workers)
    set_train_mode(run.network, config.train_batchnorm)
    with progress_bar(steps, f"fine-tuning ({config.method})", progress) as bar:
        bar.update(run.step)
        for (indices, _), own in zip(plan[run.step :], pieces[run.step :], strict=True):
            run.set_rate(schedule(run.step, steps, warmup))
            try:
                run.take(itertools.islice(ahead, len(own)), own, len(indices))
            except NotFinite:
                raise FineTuneDiverged(run.step, classifier.eval()) from None
            bar.update()
            if ended := run.step % per_epoch == 0:
                row = run.end_epoch(run.step // per_epoch, validate(run, val_set, collate, classes, workers))
                bar.set_postfix(loss=f"{row['loss']:.3f}", val=f"{row['val_accuracy']:.1%}")
            if key and (ended or run.due()):
                run.save(key)


def training_key(
    zero_shot: ImageClassifier,
    benchmark: Benchmark,
    config: FineTuneConfig,
    objective: Objective,
    optimizer: MakeOptimizer,
    compute: Compute,
) -> str:
    """The fingerprint of all that decides the weights in the end."""
    seen = [fingerprint_input(zero_shot, benchmark.train, augment=True), fingerprint_input(zero_shot, benchmark.val)]
    trained = [name for name, parameter in zero_shot.named_parameters() if parameter.requires_grad]
    size = piece_size(config, compute)  # more processes draw other crops, unless a size is given
    how = (config, compute.exactness, size, objective, optimizer)
    return fingerprint("fine_tune", zero_shot, trained, seen, how, versions())


def piece_size(config: FineTuneConfig, compute: Compute) -> int:
    """How many images a process takes at a time: as asked, else a batch shared out evenly, alone the whole batch."""
    return compute.micro_batch or math.ceil(config.batch_size / count())


def training_batches(
    dataset: Dataset, classifier: ImageClassifier, config: FineTuneConfig
) -> Iterator[tuple[Batch, Tensor]]:
    """The batches that ``fine_tune`` trains on: in its order, with its crops."""
    plan = shuffled(len(dataset), config.batch_size, config.epochs, config.seed)
    return batches(dataset, plan, functools.partial(classifier.collate, augment=True), len(classifier.class_names))


def validate(run: Training, dataset: Dataset, collate: Collate, classes: int, workers: int | None) -> float:
    """Fraction of a dataset that the network gets right."""
    with evaluating(run.network):
        found = forward_over(
            lambda inputs, _: {"said": run.forward(inputs).argmax(1).cpu()},
            dataset,
            ["said"],
            collate,
            classes,
            workers=workers,
        )
    return (found["said"] == found["labels"]).float().mean().item()


def features(classifier: ImageClassifier, dataset: Dataset, workers: int | None, progress: bool = False) -> Dataset:
    """The image encoder's features of a dataset with their labels, computed once, without augmentation."""
    encode, classes = EXACT.prepare(classifier.image_encoder), len(classifier.class_names)
    with evaluating(classifier), progress_bar(len(dataset), "features (images)", progress, PATIENCE) as bar:
        found = forward_over(
            lambda inputs, _: {"features": encode(inputs).cpu()},
            dataset,
            ["features"],
            classifier.collate,
            classes,
            workers=workers,
            bar=bar,
        )
    return list(zip(found["features"], found["labels"].tolist(), strict=True))


def ready(inputs: Sequence, augment: bool = False) -> Batch:
    """Inputs that are tensors already, as one batch."""
    return transform_all(None, inputs)


def warn_of_harm(before: float, after: float, n: int, lr: float) -> None:
    """Say so where a classifier is worse on the validation set than where it started, by more than chance."""
    if before - after > 2 * math.sqrt(before * (1 - before) / n):
        warnings.warn(
            f"fine-tuning made the validation accuracy worse, {before:.1%} before and {after:.1%} now: lower the learning "
            f"rate of {lr:g}, train longer, or look whether labels and images belong together",
            stacklevel=3,
        )
