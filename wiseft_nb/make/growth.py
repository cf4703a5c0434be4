"""How the cost of a sweep and of a head grows, for ``make benchmark``."""

import statistics
from collections.abc import Callable, Iterator

import numpy as np
import open_clip

from wiseft_nb.make.comparisons import accuracies
from wiseft_nb.make.costs import timed
from wiseft_nb.make.samples import Size, bundled, random_classifier, random_clip, two_ends
from wiseft_nb.zero_shot import zero_shot_head

GROWTHS = {
    "alphas": "alphas of a sweep",
    "images": "images of a sweep",
    "parameters": "weights of the image encoder, in a sweep",
    "classes": "classes of a head",
    "prompts": "templates of a head",
}
TOWERS = ("ViT-S-32", "ViT-M-32", "ViT-B-32")
REPETITIONS = 3


def grown(name: str, size: Size) -> list[dict]:
    """Median seconds at each size, in turns."""
    works = dict(WORKS[name](size))
    for work in works.values():
        work()
    seconds = {n: [] for n in works}
    for _ in range(min(REPETITIONS, size.repetitions)):
        for n, work in works.items():
            seconds[n].append(timed(work))
    return [{"size": n, "seconds": statistics.median(times)} for n, times in seconds.items()]


def by_alphas(size: Size) -> Iterator[tuple[int, Callable[[], object]]]:
    """1 to 101 alphas, the same images."""
    zero_shot, benchmark = bundled()
    ends, images = two_ends(zero_shot), {"images": benchmark.reference.subset(slice(size.images // 4))}
    for n in (1, 3, 11, 101):
        yield n, lambda n=n: accuracies(ends, images, tuple(np.linspace(0, 1, n).tolist()))


def by_images(size: Size) -> Iterator[tuple[int, Callable[[], object]]]:
    """A quarter, half and all of the images, three alphas."""
    zero_shot, benchmark = bundled()
    ends = two_ends(zero_shot)
    for n in (size.images // 4, size.images // 2, size.images):
        images = {"images": benchmark.reference.subset(slice(n))}
        yield n, lambda images=images: accuracies(ends, images, (0.0, 0.5, 1.0))


def by_parameters(size: Size) -> Iterator[tuple[int, Callable[[], object]]]:
    """Vision transformers of three widths, three alphas."""
    _, benchmark = bundled()
    images = {"images": benchmark.reference.subset(slice(size.few // 4))}
    for name in TOWERS:
        ends = two_ends(random_classifier(name))
        n = sum(p.numel() for p in ends[0].image_encoder.parameters())
        yield n, lambda ends=ends: accuracies(ends, images, (0.0, 0.5, 1.0))


def by_classes(size: Size) -> Iterator[tuple[int, Callable[[], object]]]:
    """10 to 1,000 of ImageNet's classes, one template."""
    clip = random_clip("ViT-S-32")
    for n in (10, 100, 1000)[: 3 if size.images >= 1000 else 2]:
        # repeated names are refused: ImageNet has them
        names = list(dict.fromkeys(open_clip.IMAGENET_CLASSNAMES))[:n]
        yield len(names), lambda names=names: zero_shot_head(clip, names, ["a photo of a {}."])


def by_prompts(size: Size) -> Iterator[tuple[int, Callable[[], object]]]:
    """1 to 80 templates, ten classes."""
    clip = random_clip("ViT-S-32")
    names = open_clip.IMAGENET_CLASSNAMES[:10]
    for n in (1, 8, 80)[: 3 if size.images >= 1000 else 2]:
        yield n, lambda n=n: zero_shot_head(clip, names, open_clip.OPENAI_IMAGENET_TEMPLATES[:n])


WORKS = {
    "alphas": by_alphas,
    "images": by_images,
    "parameters": by_parameters,
    "classes": by_classes,
    "prompts": by_prompts,
}
