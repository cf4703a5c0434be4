"""What ``make benchmark`` measures on: classifiers, photographs as files, digits in memory."""

import copy
import dataclasses
import functools
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from wiseft_nb.benchmarks import Benchmark, ImageSet, load_benchmark
from wiseft_nb.benchmarks.digits.photographs import photographs
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import Clip, load_clip
from wiseft_nb.zero_shot import zero_shot_classifier

Ends = tuple[ImageClassifier, ImageClassifier]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large everything is."""

    architecture: str = "ViT-B-32"
    classes: int = 50
    photographs: int = 1000
    thumbnails: int = 600
    few: int = 200
    each: int = 100
    images: int = 1000
    linear: int = 600
    epochs: int = 20
    entries: int = 16_000
    alphas: int = 11
    repetitions: int = 7  # at most


FULL = Size()
QUICK = Size("ViT-S-32", 1, 10, 10, 10, each=2, images=40, linear=20, epochs=2, entries=50, alphas=2, repetitions=1)


def random_clip(architecture: str) -> Clip:
    """A CLIP of an architecture with random weights: as slow as a trained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, augment, preprocess = open_clip.create_model_and_transforms(architecture)
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    return Clip(architecture, model.eval(), open_clip.get_tokenizer(architecture), preprocess, augment, config)


def random_classifier(architecture: str) -> ImageClassifier:
    """The digits' classes and random weights."""
    clip, names = random_clip(architecture), bundled()[1].class_names
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = ClassificationHead(torch.randn(len(names), clip.config["model_cfg"]["embed_dim"]))
    return ImageClassifier(clip.model.visual, head, clip.preprocess, clip.augment, names, clip.config).eval()


def two_ends(zero_shot: ImageClassifier, linear: bool = False) -> Ends:
    """A classifier and one whose weights, or whose head's weights, lie a little off."""
    other = copy.deepcopy(zero_shot)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for p in (other.classification_head if linear else other).parameters():
            p.mul_(1 + 0.02 * torch.randn_like(p))
    return zero_shot, other


@functools.cache
def bundled() -> tuple[ImageClassifier, Benchmark]:
    """The bundled CLIP as a classifier, and its benchmark."""
    benchmark = load_benchmark("digits")
    return zero_shot_classifier(load_clip("digits-rn"), benchmark), benchmark


def few_of_each(size: Size) -> dict[str, ImageSet]:
    """The first digits of every test set."""
    return {name: images.subset(slice(size.each)) for name, images in bundled()[1].test_sets.items()}


def photograph_files(folder: Path, n: int, width: int, height: int) -> Path:
    """A folder of JPEG files, ten classes of them: random crops of real photographs; made where it is not there yet."""
    folder = folder / f"{n} of {width} x {height}"
    if folder.exists():
        return folder
    dice = np.random.default_rng(0)
    pictures = [Image.fromarray((255 * p.permute(1, 2, 0)).byte().numpy()) for p in photographs()]
    for i in range(n):
        picture = pictures[dice.integers(len(pictures))]
        w = int(dice.uniform(0.5, 1) * min(picture.width, picture.height * width / height))
        h = w * height // width
        left, top = (int(dice.integers(room + 1)) for room in (picture.width - w, picture.height - h))
        piece = picture.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.BICUBIC)
        place = folder / str(i % 10) / f"{i}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        piece.save(place, quality=90)
    return folder
