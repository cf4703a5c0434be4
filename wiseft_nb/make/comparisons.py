"""What ``make benchmark`` compares: each function makes two ways to one answer, ours first.

A side returns its answer, numbers that the two have in common, so that every repetition is checked.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.own.folder import ImageFiles
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.make.samples import (
    Ends,
    Size,
    bundled,
    few_of_each,
    photograph_files,
    random_classifier,
    random_clip,
    two_ends,
)
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import sweep
from wiseft_nb.zero_shot import zero_shot_head

Sides = dict[str, Callable[[], object]]
Loader = DataLoader | list[tuple[Tensor, Tensor]]
FEW_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
BATCH = 250


class Transformed(Dataset):
    """Images that are made tensors one by one, as a torchvision dataset with a transform does."""

    def __init__(self, images: Dataset, transform: Callable):
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.images[index]
        return self.transform(image), label


def head(size: Size, folder: Path) -> Sides:
    """Prompts of ImageNet through the text tower, every class in all of the 80 templates."""
    clip = random_clip(size.architecture)
    names, templates = open_clip.IMAGENET_CLASSNAMES[: size.classes], open_clip.OPENAI_IMAGENET_TEMPLATES

    @torch.no_grad()
    def by_open_clip() -> Tensor:
        built = open_clip.build_zero_shot_classifier(clip.model, clip.tokenizer, names, templates)
        return clip.model.logit_scale.exp() * built.T

    return {"ours": lambda: zero_shot_head(clip, names, templates), "open_clip": by_open_clip}


def accuracies(ends: Ends, datasets: Mapping[str, Dataset], alphas: tuple[float, ...]) -> pd.Series:
    """Ours: one sweep, without the cache; accuracies by dataset and alpha."""
    table = sweep(*ends, bundled()[1], alphas, dict(datasets), progress=False)
    return table.set_index(["dataset", "alpha"]).accuracy.sort_index()


@torch.no_grad()
def one_by_one(ends: Ends, datasets: Mapping[str, Dataset], alphas: tuple[float, ...], workers: int) -> pd.Series:
    """The reference procedure: for each alpha a model with mixed weights, evaluated with a DataLoader."""
    found = {}
    for alpha in alphas:
        model = wise_ft(*ends, alpha).eval()
        for name, dataset in datasets.items():
            loader = DataLoader(dataset, BATCH, num_workers=workers)
            correct = [model(images).argmax(1) == labels for images, labels in loader]
            found[name, alpha] = torch.cat(correct).double().mean().item()
    return pd.Series(found).sort_index()


def sweep_of(kind: str, workers: int) -> Callable[[Size, Path], Sides]:
    """A sweep over photographs, thumbnails or images in memory, against a DataLoader with so many workers."""

    def sides(size: Size, folder: Path) -> Sides:
        ends, alphas = two_ends(bundled()[0]), tuple(np.linspace(0, 1, size.alphas).tolist())
        if kind == "memory":
            ours = few_of_each(size)
            theirs = {name: Transformed(images, ends[0].preprocess) for name, images in ours.items()}
        else:
            n, shape = (size.photographs, (500, 375)) if kind == "photographs" else (size.thumbnails, (32, 32))
            place = photograph_files(folder, n, *shape)
            ours = {"files": ImageFiles(place, bundled()[1].class_names)}
            theirs = {"files": ImageFolder(str(place), ends[0].preprocess)}
        return {
            "ours": lambda: accuracies(ends, ours, alphas),
            "one by one": lambda: one_by_one(ends, theirs, alphas, workers),
        }

    return sides


def sweep_forward(size: Size, folder: Path) -> Sides:
    """From the files to the table, against nothing but the forward passes."""
    ends = two_ends(random_classifier(size.architecture))
    files = ImageFiles(photograph_files(folder, size.few, 500, 375), bundled()[1].class_names)
    images, labels = zip(*files, strict=True)
    batches, labels = ends[0].collate(images).split(BATCH), torch.tensor(labels)

    @torch.no_grad()
    def forward() -> float:
        for _ in FEW_ALPHAS:
            logits = torch.cat([ends[0](images) for images in batches])
        return (logits.argmax(1) == labels).double().mean().item()

    return {"ours": lambda: accuracies(ends, {"files": files}, FEW_ALPHAS)["files", 0.0], "pure forward": forward}


def sweep_linear(size: Size, folder: Path) -> Sides:
    """A hundred alphas between two heads, against the two alone."""
    zero_shot, benchmark = bundled()
    ends, images = two_ends(zero_shot, linear=True), {"images": benchmark.reference.subset(slice(size.images))}
    many = tuple(np.linspace(0, 1, 101).tolist())
    return {
        "ours": lambda: accuracies(ends, images, many).iloc[[0, -1]],
        "two ends": lambda: accuracies(ends, images, (0.0, 1.0)),
    }


def fine_tuning(workers: int | None) -> Callable[[Size, Path], Sides]:
    """An epoch with its crops and validation, against a loop by hand: with a DataLoader, or (None) on tensors."""

    def sides(size: Size, folder: Path) -> Sides:
        zero_shot, benchmark = bundled()
        train = benchmark.train.subset(slice(size.images))
        config = FineTuneConfig(epochs=1, batch_size=min(128, size.images // 2), lr=3e-4)
        if workers is None:
            ready = [in_memory(data, zero_shot, config.batch_size) for data in (train, benchmark.val)]
        else:
            cropped, val = Transformed(train, zero_shot.augment), Transformed(benchmark.val, zero_shot.preprocess)
            ready = [
                DataLoader(cropped, config.batch_size, shuffle=True, num_workers=workers),
                DataLoader(val, BATCH, num_workers=workers),
            ]
        return {
            "ours": lambda: ours_tuned(zero_shot, benchmark, train, config),
            "by hand": lambda: tuned_by_hand(zero_shot, *ready, config),
        }

    return sides


def in_memory(images: Dataset, classifier: ImageClassifier, batch_size: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of tensors, preprocessed once and never cropped."""
    inputs, labels = zip(*images, strict=True)
    tensors = classifier.collate(inputs).split(batch_size), torch.tensor(labels).split(batch_size)
    return list(zip(*tensors, strict=True))


def ours_tuned(
    zero_shot: ImageClassifier, benchmark: Benchmark, train: Dataset, config: FineTuneConfig
) -> tuple[int, float]:
    """``fine_tune``: the steps it took and the validation accuracy it reached."""
    last = fine_tune(zero_shot, dataclasses.replace(benchmark, train=train), config, progress=False).history[-1]
    return last["step"], last["val_accuracy"]


def tuned_by_hand(zero_shot: ImageClassifier, train: Loader, val: Loader, config: FineTuneConfig) -> tuple[int, float]:
    """The loop that one writes: the same recipe, number of steps and validation."""
    torch.manual_seed(config.seed)
    model = copy.deepcopy(zero_shot)
    parameters, steps = list(model.parameters()), config.epochs * len(train)
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    rising = int(config.warmup * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(config.epochs):
        model.train()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        for images, labels in train:
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip_norm)
            optimizer.step()
            schedule.step()
        correct = torch.cat(list(right(model.eval(), val)))
    return steps, correct.double().mean().item()


@torch.no_grad()
def right(model: nn.Module, loader: Loader) -> Iterator[Tensor]:
    """Whether each image is classified correctly, batch by batch."""
    for images, labels in loader:
        yield model(images).argmax(1) == labels
