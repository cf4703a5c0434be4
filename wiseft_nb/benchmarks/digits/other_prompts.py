"""Other questions for the same CLIP: which letter, which drawing style, which colour?

A zero-shot classifier is made of prompts, so a language-image model that is asked for digits can be
asked for anything its captions spoke of. Each question is a small benchmark: its reference images are
drawn from fonts never seen in pretraining, its training and validation images from fonts that were.
The prompts use words of the captions and were written once, before looking at held-out fonts.

Explained in notebook 01_build_zero_shot.
"""

import torch
from torch import Tensor

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.digits.digits import to_images
from wiseft_nb.benchmarks.digits.draw import COLOURS, PRINTED, STYLES, draw
from wiseft_nb.benchmarks.digits.glyphs import CHARACTERS, DIGITS, load_glyphs

LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
ATTRIBUTE = ("the {} letter", "the {} digit", "a photo of the {} character", "an image of the {} number")
PROMPTS = {
    "letters": (
        "the letter {}",
        "a printed letter {}",
        "a lowercase letter {}",
        "a capital letter {}",
        "a photo of the letter {}",
        "an image of the letter {}",
    ),
    "styles": ATTRIBUTE,
    "colours": ATTRIBUTE,
}


def other_prompts(n: int = 1040, seed: int = 0) -> dict[str, Benchmark]:
    """Three questions, each a benchmark of its own.

    ``letters``: 26 letters, capital and lowercase drawn equally often and case ignored, style printed.
    ``styles``: the five drawing styles, of all 62 characters. ``colours``: the twelve colours of the
    ink, of all 62 characters, style printed. Classes are equally frequent but for the remainder.

    Parameters
    ----------
    n : int
        Images in each set.
    seed : int
        The same seed draws the same images on the same machine.

    Returns
    -------
    dict of str to Benchmark
        ``reference`` is drawn from held-out fonts, ``train`` and ``val`` from pretraining fonts;
        there are no shifts.

    Examples
    --------
    >>> {name: len(question.class_names) for name, question in other_prompts(n=52).items()}
    {'letters': 26, 'styles': 5, 'colours': 12}
    """
    draw_set = {"letters": draw_letters, "styles": draw_styles, "colours": draw_colours}
    class_names = {"letters": LETTERS, "styles": STYLES, "colours": tuple(COLOURS)}
    return {
        name: Benchmark(
            name=name,
            class_names=class_names[name],
            templates=PROMPTS[name],
            train=draw_set[name]("pretraining", n, seed + 1),
            val=draw_set[name]("pretraining", n, seed + 2),
            reference=draw_set[name]("held-out", n, seed),
            shifts={},
            reference_name=name,
        )
        for name in PROMPTS
    }


def draw_letters(split: str, n: int, seed: int) -> ImageSet:
    """Printed letters, capital or lowercase; the label is the letter, whatever its case."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(LETTERS)
    case = torch.randint(2, (n,), generator=generator)
    glyphs = some_glyphs(split, len(DIGITS) + len(LETTERS) * case + labels, generator)
    return ImageSet(to_images(draw(glyphs, torch.full((n,), PRINTED), seed).images), labels.numpy())


def draw_styles(split: str, n: int, seed: int) -> ImageSet:
    """Any character in one of the five styles; the label is the style."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(STYLES)
    glyphs = some_glyphs(split, torch.randint(len(CHARACTERS), (n,), generator=generator), generator)
    return ImageSet(to_images(draw(glyphs, labels, seed).images), labels.numpy())


def draw_colours(split: str, n: int, seed: int) -> ImageSet:
    """Any printed character in one of the twelve colours, on another; the label is the colour of the ink."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(COLOURS)
    glyphs = some_glyphs(split, torch.randint(len(CHARACTERS), (n,), generator=generator), generator)
    images = draw(glyphs, torch.full((n,), PRINTED), seed, foregrounds=labels).images
    return ImageSet(to_images(images), labels.numpy())


def some_glyphs(split: str, characters: Tensor, generator: torch.Generator) -> Tensor:
    """Each character (an index into ``CHARACTERS``) in a random font of the split: uint8 ``(n, CELL, CELL)``."""
    glyphs = torch.from_numpy(load_glyphs(split))
    return glyphs[torch.randint(len(glyphs), (len(characters),), generator=generator), characters]
