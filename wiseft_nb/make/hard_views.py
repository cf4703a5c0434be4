"""Eleven ways to make an image harder, none of them fitted to anything: synthetic shifts of validation images.

The list stood before any result was seen (notebook 09 says why that matters). All draw from torch's random numbers,
so ``wiseft_nb.analyse.views.Transformed`` decides them by a seed.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

Transform = Callable[[Image.Image], Image.Image]


def on_pixels(change: Callable[[torch.Tensor], torch.Tensor]) -> Transform:
    """A change of float pixels ``(3, height, width)`` in [0, 1], for PIL images."""
    return lambda image: tv.to_pil_image(change(tv.to_dtype(tv.to_image(image), scale=True)).clamp(0, 1))


def noisy(pixels: torch.Tensor) -> torch.Tensor:
    """Independent normal noise."""
    return pixels + 0.25 * torch.randn(pixels.shape)


def coloured(pixels: torch.Tensor) -> torch.Tensor:
    """White becomes one random colour, black another."""
    ink, paper = torch.rand(2, 3, 1, 1)
    return pixels * ink + (1 - pixels) * paper


def textured(pixels: torch.Tensor) -> torch.Tensor:
    """A smooth coloured background."""
    coarse = 0.6 * torch.rand(1, 3, 6, 6)
    return torch.maximum(pixels, F.interpolate(coarse, size=pixels.shape[1:], mode="bicubic")[0])


def occluded(pixels: torch.Tensor) -> torch.Tensor:
    """A grey square over a third of the side."""
    side = pixels.shape[1] // 3
    y, x = torch.randint(0, pixels.shape[1] - side, (2,)).tolist()
    pixels[:, y : y + side, x : x + side] = torch.rand(())
    return pixels


def shuffled(pixels: torch.Tensor) -> torch.Tensor:
    """Patches of an eighth by an eighth in random order: what shows no class any more."""
    side = pixels.shape[1] // 8
    patches = pixels.unfold(1, side, side).unfold(2, side, side).flatten(1, 2)
    mixed = patches[:, torch.randperm(patches.shape[1])].unflatten(1, (8, 8))
    return mixed.permute(0, 1, 3, 2, 4).reshape(pixels.shape)


def edges(image: Image.Image) -> Image.Image:
    """Brightest minus darkest of each pixel's neighbourhood."""
    bright, dark = (tv.to_image(image.filter(which(3))) for which in (ImageFilter.MaxFilter, ImageFilter.MinFilter))
    return tv.to_pil_image(bright - dark)


KINDS: dict[str, Transform] = {
    "blur": v2.GaussianBlur(5, 1.5),
    "noise": on_pixels(noisy),
    "invert": tv.invert,
    "rotate": v2.RandomRotation(45, InterpolationMode.BILINEAR),
    "shrink": v2.RandomAffine(0, (0.19, 0.19), (0.6, 0.6), interpolation=InterpolationMode.BILINEAR),
    "colour": on_pixels(coloured),
    "texture": on_pixels(textured),
    "contrast": on_pixels(lambda pixels: 0.5 + 0.25 * (pixels - 0.5)),
    "edges": edges,
    "occlude": on_pixels(occluded),
    "thin": lambda image: image.filter(ImageFilter.MinFilter(3)),
}
JUNK = on_pixels(shuffled)
