"""Classifier + reference training data -> fine-tuned classifier.

Explained in notebook 02_fine_tune.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.batches import Plan, batches, collate_with, in_order, shuffled
from wiseft_nb.engine.cache import fingerprint, fingerprint_input, recall, remember
from wiseft_nb.engine.compute import EXACT, Compute
from wiseft_nb.engine.processes import add_up, count, gather, is_main, own_device, share
from wiseft_nb.errors import FineTuneDiverged, WiseftError
from wiseft_nb.models.classifier import ImageClassifier, check_classes, check_finite
from wiseft_nb.recipes import FineTuneConfig

SAVE_SECONDS = 60  # between two saves within an epoch


def fine_tune(
    zero_shot: ImageClassifier,
    benchmark: Benchmark,
    config: FineTuneConfig = FineTuneConfig(),
    progress: bool = True,
    *,
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
        Where to start; it is not changed.
    benchmark : Benchmark
    config : FineTuneConfig
    progress : bool
        Whether to show a progress bar.
    cache : bool
        Whether to save the state after every epoch, and every minute, under ``WISEFT_NB_CACHE``: a run
        that was killed goes on from there and ends with the same weights, bit for bit; one that
        finished is not run again.
    compute : Compute
        Reduced precision and the like, for speed; micro-batches and checkpointing, for memory.
    workers : int, optional
        Processes that prepare batches ahead; how many does not change the result.

    Returns
    -------
    ImageClassifier
        In evaluation mode; its ``history`` has a row an epoch: epoch, step, lr, loss (mean over the
        epoch) and val_accuracy (fraction).

    Raises
    ------
    FineTuneDiverged
        If a loss, gradient or weight is not finite; the error keeps the last good weights.
    WiseftError
        If weights are not finite to begin with, labels lie outside the classes, or the benchmark has
        other classes than the classifier.

    Explained in notebook 02_fine_tune.
    """
    check_finite(zero_shot.state_dict(), "the classifier to fine-tune")
    check_classes(zero_shot, benchmark)
    classifier = copy.deepcopy(zero_shot)
    classifier.to(own_device(next(classifier.parameters()).device)).history = []
    key = None
    if config.train_batchnorm and (compute.micro_batch or count() > 1):
        raise WiseftError("BatchNorm's statistics of a batch cannot be had in pieces: train_batchnorm=False")
    if cache:
        seen = [fingerprint_input(zero_shot, data) for data in (benchmark.train, benchmark.val)]
        size = piece_size(config, compute)  # more processes draw other crops, unless a size is given
        key = fingerprint("fine_tune", zero_shot, config, compute, size, seen, torch.__version__)
    # dropout and the like draw from torch's global generator: give it back as it was
    with torch.random.fork_rng(devices=[]):
        data, module, collater = {"train": benchmark.train, "val": benchmark.val}, classifier, classifier
        if config.method == "linear":
            data = {name: features(classifier, part, workers) for name, part in data.items()}
            module, collater = classifier.classification_head, None
        set_checkpointing(module, compute.checkpointing)
        try:
            train(module, collater, classifier, data, config, progress, key, compute, workers)
        finally:
            set_checkpointing(module, False)
    return classifier.eval()


def train(
    module: nn.Module,
    collater: ImageClassifier | None,
    classifier: ImageClassifier,
    data: dict[str, Dataset],
    config: FineTuneConfig,
    progress: bool,
    key: str | None,
    compute: Compute,
    workers: int | None,
) -> None:
    """The loop: train ``module`` (the classifier or its head) in place, note an epoch in the history.

    ``collater`` makes tensors of raw inputs; None if they are tensors already. ``key`` is where the
    state is remembered.
    """
    classes = len(classifier.class_names)
    parameters = [p for p in module.parameters() if p.requires_grad]
    fused = (device := parameters[0].device).type in ("cpu", "cuda")  # one pass over the weights instead of ten
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    plan = shuffled(len(data["train"]), config.batch_size, config.epochs, config.seed)
    pieces = [share(in_pieces(batch, piece_size(config, compute))) for batch in plan]
    steps, per_epoch = len(plan), len(plan) // config.epochs
    warmup = config.warmup_share(steps)
    step, losses = restore_training(key, module, optimizer, classifier.history) if key else (0, [])
    good = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    forward, saved = compute.prepare(module), time.monotonic()
    set_train_mode(module, config.train_batchnorm)
    with tqdm(
        total=steps, initial=step, desc=f"fine-tuning ({config.method})", disable=not (progress and is_main())
    ) as bar:
        todo = [piece for own in pieces[step:] for piece in own]
        ahead = batches(data["train"], todo, collate_with(collater, augment=True), classes, workers)
        for (whole, _), own in zip(plan[step:], pieces[step:], strict=True):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * schedule(step, steps, warmup)
            optimizer.zero_grad()
            loss = torch.zeros((), device=device)
            for _, seed in own:
                inputs, labels = next(ahead)
                torch.manual_seed(seed)
                logits, labels = forward(inputs), labels.to(device)
                part = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
                part = part * (len(labels) / len(whole))  # so that the parts of a batch add up to its mean
                part.backward()
                loss = loss + part.detach()
            loss = add_up(parameters, loss)
            norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
            finite = torch.isfinite(loss) and torch.isfinite(norm)
            if finite:
                optimizer.step()
            if not (finite and all_finite(parameters)):
                module.load_state_dict(good)
                raise FineTuneDiverged(step, classifier.eval())
            for name, tensor in module.state_dict().items():
                good[name].copy_(tensor)
            losses.append(loss.item())
            step += 1
            bar.update()
            if ended := step % per_epoch == 0:
                row = {"epoch": step // per_epoch, "step": step, "lr": optimizer.param_groups[0]["lr"]}
                correct = accuracy(module, forward, data["val"], collater, classes, workers)
                row |= {"loss": sum(losses) / len(losses), "val_accuracy": correct}
                classifier.history.append(row)
                losses = []
                set_train_mode(module, config.train_batchnorm)
                bar.set_postfix(loss=f"{row['loss']:.3f}", val=f"{row['val_accuracy']:.1%}")
            if key and (ended or time.monotonic() - saved > SAVE_SECONDS):
                save_training(key, module, optimizer, step, losses, classifier.history)
                saved = time.monotonic()


def piece_size(config: FineTuneConfig, compute: Compute) -> int:
    """How many images a process takes at a time: as asked, else a batch shared out evenly, alone the whole batch."""
    return compute.micro_batch or math.ceil(config.batch_size / count())


def in_pieces(batch: tuple[Sequence[int], int], size: int) -> Plan:
    """A batch in pieces of ``size``, each with a seed of its own; one that is no larger stays as it is."""
    indices, seed = batch
    if size >= len(indices):
        return [batch]
    seeds = np.random.SeedSequence([seed, size]).generate_state(math.ceil(len(indices) / size), np.uint64)
    return [(indices[k * size : (k + 1) * size], int(own)) for k, own in enumerate(seeds)]


def set_checkpointing(network: nn.Module, on: bool) -> None:
    """Let a tower of transformers compute activations again instead of keeping them."""
    tower = getattr(network, "image_encoder", None)
    if tower is not None and not isinstance(tower, ModifiedResNet) and hasattr(tower, "set_grad_checkpointing"):
        tower.set_grad_checkpointing(on)
    elif on and tower is not None:
        raise WiseftError(f"{type(tower).__name__} has no gradient checkpointing: leave Compute(checkpointing) out")


def schedule(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak learning rate: linear up over the warm-up, then half a cosine down to 0."""
    rising = int(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def set_train_mode(module: nn.Module, train_batchnorm: bool) -> None:
    """Training mode, but for BatchNorm, which stays in evaluation mode unless it is trained."""
    module.train()
    if not train_batchnorm:
        for layer in module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()


def training_batches(
    dataset: Dataset, classifier: ImageClassifier, config: FineTuneConfig
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches that ``fine_tune`` trains on: in its order, with its crops."""
    plan = shuffled(len(dataset), config.batch_size, config.epochs, config.seed)
    return batches(dataset, plan, collate_with(classifier, augment=True), len(classifier.class_names))


@torch.no_grad()
def accuracy(
    module: nn.Module,
    forward: Callable[[Tensor], Tensor],
    dataset: Dataset,
    collater: ImageClassifier | None,
    classes: int,
    workers: int | None,
) -> float:
    """Fraction of a dataset that ``module`` gets right."""
    module.eval()
    ahead = batches(dataset, share(in_order(len(dataset), 250)), collate_with(collater), classes, workers)
    correct = gather(forward(inputs).argmax(1).cpu() == labels for inputs, labels in ahead)
    return torch.cat(correct).float().mean().item()


@torch.no_grad()
def features(classifier: ImageClassifier, dataset: Dataset, workers: int | None) -> Dataset:
    """The image encoder's features of a dataset, computed once, without augmentation."""
    encode = EXACT.prepare(classifier.eval().image_encoder)
    plan, classes = in_order(len(dataset), 250), len(classifier.class_names)
    ahead = batches(dataset, share(plan), collate_with(classifier), classes, workers)
    found = gather((encode(inputs).cpu(), labels.tolist()) for inputs, labels in ahead)
    # a list of (feature, label) is a map-style dataset
    return [pair for encoded, labels in found for pair in zip(encoded, labels, strict=True)]


def all_finite(parameters: Sequence[Tensor]) -> bool:
    """Whether every sum of weights is a number, as it is not with NaN or infinity among them."""
    return bool(torch.isfinite(torch.stack([p.detach().sum() for p in parameters])).all())


def save_training(
    key: str, module: nn.Module, optimizer: torch.optim.Optimizer, step: int, losses: list[float], history: list[dict]
) -> None:
    """Remember all that the next step depends on; crops and order depend on the step's number alone."""
    tensors = {f"module.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": tensor.contiguous() for name, tensor in state.items()}
    remember(key, tensors, {"step": step, "losses": losses, "history": history})


def restore_training(
    key: str, module: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]
) -> tuple[int, list[float]]:
    """Go back to what ``save_training`` remembered: the step to go on with, and the losses of its epoch so far."""
    found = recall(key)
    if found is None:
        return 0, []
    tensors, facts = found
    state: dict[int, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        kind, _, name = path.partition(".")
        if kind == "optimizer":
            i, _, name = name.partition(".")
            state.setdefault(int(i), {})[name] = tensor
    module.load_state_dict({k.removeprefix("module."): t for k, t in tensors.items() if k.startswith("module.")})
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    history.extend(facts["history"])
    return facts["step"], facts["losses"]
