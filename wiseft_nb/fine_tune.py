"""Classifier + reference training data -> fine-tuned classifier.

Explained in notebook 02_fine_tune.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.errors import FineTuneDiverged, WiseftError, unknown
from wiseft_nb.zero_shot import ImageClassifier

METHODS = ("end-to-end", "linear")


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune. The defaults suit the bundled CLIP on ``digits``.

    The paper's recipe for CLIP ViT-B/16 on ImageNet (Wortsman et al. 2022, appendix D) is lr 3e-5,
    batch size 512, 10 epochs, 500 warm-up steps, weight decay 0.1.

    Attributes
    ----------
    method : {"end-to-end", "linear"}
        Train all weights, or the classification head alone.
    epochs, batch_size : int
    lr : float
        Peak learning rate of AdamW: a linear warm-up to it, a cosine from it to 0.
    weight_decay : float
    warmup : float
        Length of the warm-up as a fraction of all steps, in [0, 1).
    label_smoothing : float
        In [0, 1).
    clip_norm : float
        Gradients are scaled down to this norm.
    train_batchnorm : bool
        False keeps BatchNorm's statistics at their pretrained values and its layers in evaluation
        mode, so that what changes are the weights alone; True also moves the statistics.
    seed : int
        Decides the order of the images and their crops.

    Explained in notebook 02_fine_tune.
    """

    method: str = "end-to-end"
    epochs: int = 8
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.1
    warmup: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    train_batchnorm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("fine-tuning method", self.method, METHODS)
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise WiseftError(f"FineTuneConfig.{name} is {getattr(self, name)}: expected 1 or more")
        for name in ("lr", "weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise WiseftError(
                    f"FineTuneConfig.{name} is {getattr(self, name)}: expected a finite number, 0 or more"
                )
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise WiseftError(f"FineTuneConfig.{name} is {getattr(self, name)}: expected a number in [0, 1)")


def fine_tune(
    zero_shot: ImageClassifier, benchmark: Benchmark, config: FineTuneConfig = FineTuneConfig(), progress: bool = True
) -> ImageClassifier:
    """Fine-tune a copy of a classifier on the benchmark's training set.

    Only reference data is used: ``benchmark.train`` to learn, ``benchmark.val`` to watch.

    Parameters
    ----------
    zero_shot : ImageClassifier
        Where to start; it is not changed.
    benchmark : Benchmark
    config : FineTuneConfig
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    ImageClassifier
        In evaluation mode; its ``history`` has a row an epoch: epoch, step, lr, loss (mean over the
        epoch) and val_accuracy (fraction).

    Raises
    ------
    FineTuneDiverged
        If a loss or gradient is not finite; the error keeps the last good weights.
    WiseftError
        If weights are not finite to begin with, or labels lie outside the classes.

    Explained in notebook 02_fine_tune.
    """
    check_finite(zero_shot)
    classifier = copy.deepcopy(zero_shot)
    classifier.history = []
    # crops draw from torch's global generator: lend it our seed, then give it back as it was
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.method == "linear":
            data = {"train": features(classifier, benchmark.train), "val": features(classifier, benchmark.val)}
            trained, augment = classifier.classification_head, None
        else:
            data, trained, augment = {"train": benchmark.train, "val": benchmark.val}, classifier, classifier
        train(trained, classifier, data, augment, config, progress)
    return classifier.eval()


def train(
    module: nn.Module,
    classifier: ImageClassifier,
    data: dict[str, Dataset],
    collater: ImageClassifier | None,
    config: FineTuneConfig,
    progress: bool,
) -> None:
    """The loop: train ``module`` (the classifier or its head) in place, note an epoch in the history."""
    classes = len(classifier.class_names)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(len(data["train"]) / config.batch_size)
    good = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    step = 0
    with tqdm(total=steps, desc=f"fine-tuning ({config.method})", disable=not progress) as bar:
        for epoch in range(config.epochs):
            set_train_mode(module, config.train_batchnorm)
            losses = []
            for inputs, labels in batches(data["train"], config.batch_size, collater, shuffle=True):
                check_labels(labels, classes)
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * schedule(step, steps, config.warmup)
                loss = F.cross_entropy(module(inputs), labels, label_smoothing=config.label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
                finite = torch.isfinite(loss) and torch.isfinite(norm)
                if finite:
                    optimizer.step()
                if not (finite and all(torch.isfinite(p).all() for p in parameters)):
                    module.load_state_dict(good)
                    raise FineTuneDiverged(step, classifier.eval())
                for name, tensor in module.state_dict().items():
                    good[name].copy_(tensor)
                losses.append(loss.item())
                step += 1
                bar.update()
            row = {"epoch": epoch + 1, "step": step, "lr": optimizer.param_groups[0]["lr"]}
            row |= {"loss": sum(losses) / len(losses), "val_accuracy": accuracy(module, data["val"], collater, classes)}
            classifier.history.append(row)
            bar.set_postfix(loss=f"{row['loss']:.3f}", val=f"{row['val_accuracy']:.1%}")


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


def batches(
    dataset: Dataset, batch_size: int, collater: ImageClassifier | None, shuffle: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and labels; ``collater`` makes tensors of raw inputs, with augmentation where they are shuffled."""

    def collate(samples: list) -> tuple[Tensor, Tensor]:
        inputs, labels = zip(*samples, strict=True)
        stacked = collater.collate(inputs, augment=shuffle) if collater else torch.stack(inputs)
        return stacked, torch.tensor(labels)

    yield from DataLoader(dataset, batch_size, shuffle=shuffle, collate_fn=collate)


@torch.no_grad()
def accuracy(module: nn.Module, dataset: Dataset, collater: ImageClassifier | None, classes: int) -> float:
    """Fraction of a dataset that ``module`` gets right."""
    module.eval()
    correct = []
    for inputs, labels in batches(dataset, 250, collater):
        check_labels(labels, classes)
        correct.append(module(inputs).argmax(1) == labels)
    return torch.cat(correct).float().mean().item()


@torch.no_grad()
def features(classifier: ImageClassifier, dataset: Dataset) -> Dataset:
    """The image encoder's features of a dataset, computed once, without augmentation."""
    found = [
        (feature, int(label))
        for inputs, labels in batches(dataset, 250, classifier.eval())
        for feature, label in zip(classifier.image_encoder(inputs), labels, strict=True)
    ]
    return found  # a list of (feature, label) is a map-style dataset


def check_finite(classifier: ImageClassifier) -> None:
    """Refuse weights with a NaN or an infinity in them."""
    bad = [name for name, t in classifier.state_dict().items() if not torch.isfinite(t).all()]
    if bad:
        raise WiseftError(f"weights {bad[:3]} hold NaN or infinity: start from a classifier that was saved whole")


def check_labels(labels: Tensor, classes: int) -> None:
    """Refuse labels that are no class."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise WiseftError(
            f"labels run from {low} to {high}, but there are {classes} classes, 0 to {classes - 1}: "
            "give the dataset the classifier's class indices"
        )
