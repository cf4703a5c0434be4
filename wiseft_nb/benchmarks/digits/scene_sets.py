"""Scenes of digits: the reference, of MNIST's, and ten shifts. How strong each is was fixed on training digits.

Explained in notebook 14_try_detection.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from wiseft_nb.benchmarks.base import ImageSet
from wiseft_nb.benchmarks.digits.digits import fonts, mnist, outlined, to_masks, uci
from wiseft_nb.benchmarks.digits.draw import Dice, warp
from wiseft_nb.benchmarks.digits.grounds import pieces
from wiseft_nb.benchmarks.digits.letter_scenes import letters
from wiseft_nb.benchmarks.digits.scenes import Layers, Scenes, in_colour, lay_out, on_photographs, plain
from wiseft_nb.errors import unknown

REFERENCE = "reference"
# How far each shift goes, from 0 (the reference) to 1; see data/results/detection/severities.csv
SEVERITY = {
    "fonts": 1.0,
    "posters": 0.4,
    "photo": 1.0,
    "rendition": 0.4,
    "outline": 1.0,
    "turned": 1.0,
    "letters": 1.0,
    "small": 0.8,
    "large": 1.0,
}
SCENE_SETS = {
    REFERENCE: "3 to 8 handwritten digits (MNIST), light on dark",
    "uci": "digits of other writers from another scanner (UCI)",
    "fonts": "printed digits of fonts never seen in training",
    "posters": "printed digits of such fonts in colour and texture",
    "photo": "handwritten digits blended into photographs never seen in training",
    "rendition": "handwritten digits in colour and texture",
    "outline": "handwritten digits reduced to their outline",
    "turned": "handwritten digits turned and slanted",
    "letters": "handwritten digits among printed letters, which are not to be found",
    "small": "handwritten digits, smaller than any of the reference",
    "large": "handwritten digits, larger than any of the reference",
}


def load_scenes(n: int = 60, seed: int = 0) -> dict[str, Scenes]:
    """The test scenes: the reference and ten shifts, of test digits, held-out fonts and unseen photographs.

    Parameters
    ----------
    n : int
        Scenes of each set.
    seed : int
        The same seed draws the same scenes on the same machine.

    Returns
    -------
    dict of str to Scenes
        ``SCENE_SETS`` says what each is. Labels are the digits, 0 to 9.

    Explained in notebook 14_try_detection.
    """
    made = make_sets(mnist()["test"], SEVERITY, n, seed, "held-out", "unseen")
    others = uci()
    made["uci"] = draw_plain(to_masks(others), torch.from_numpy(others.labels), n, 100 * seed + 99)
    return {name: made[name] for name in SCENE_SETS}


def reference_scenes(part: str, n: int, seed: int) -> Scenes:
    """Scenes as the reference has them, of one part of MNIST: ``train`` or ``val``, to fine-tune on.

    Explained in notebook 14_try_detection.
    """
    if part not in mnist():
        raise unknown("part of MNIST", part, mnist())
    digits = mnist()[part]
    return draw_plain(to_masks(digits), torch.from_numpy(digits.labels), n, seed)


def draw_plain(masks: Tensor, labels: Tensor, n: int, seed: int, **how: object) -> Scenes:
    """Light on dark; ``how`` as for ``lay_out``."""
    layers = lay_out(masks, labels, n, seed, **how)
    return layers.painted(plain(layers, Dice(seed)))


def make_sets(
    digits: ImageSet, severity: Mapping[str, float], n: int, seed: int, glyphs: str, photographs: str
) -> dict[str, Scenes]:
    """The reference and every shift that is made by code.

    Parameters
    ----------
    digits : ImageSet
        White on black, such as ``mnist()["test"]``.
    severity : dict
        For each wanted shift a number from 0, as the reference, to 1.
    n, seed : int
    glyphs : {"held-out", "pretraining"}
        The fonts of printed digits and of letters among digits.
    photographs : {"unseen", "learned"}

    Returns
    -------
    dict of str to Scenes

    Explained in notebook 14_try_detection.
    """
    masks, labels = to_masks(digits), torch.from_numpy(digits.labels)
    seeds = {name: 100 * seed + k for k, name in enumerate((REFERENCE, *SEVERITY))}
    made = {REFERENCE: draw_plain(masks, labels, n, seeds[REFERENCE])}
    for name, s in severity.items():
        if name not in SEVERITY:
            raise unknown("shift that is made", name, SEVERITY)
        dice, own, how = Dice(seeds[name]), (masks, labels), {}
        if name in ("fonts", "posters"):
            printed = fonts(glyphs, s if name == "fonts" else 0.0, dice)
            own = (to_masks(printed), torch.from_numpy(printed.labels))
        elif name == "outline":
            own = (outlined(masks, s, dice), labels)
        elif name == "turned":
            own = (turned(masks, s, dice), labels)
        elif name == "letters":
            how = dict(others=letters(glyphs, 2000, dice)[0], other_count=(1, max(1, round(10 * s))))
        elif name == "small":
            how = dict(count=(4, 9), sides=between((18, 44), (10, 16), s))
        elif name == "large":
            how = dict(count=(1, 4), sides=between((18, 44), (46, 72), s))
        layers = lay_out(*own, n, seeds[name], **how)
        made[name] = layers.painted(coloured(name, layers, s, dice, photographs))
    return made


def coloured(name: str, layers: Layers, severity: float, dice: Dice, photographs: str) -> Tensor:
    """Colours, photographs, or the reference's look."""
    if name == "photo":
        return on_photographs(layers, pieces(len(layers.ink), dice, photographs), severity)
    if name in ("posters", "rendition"):
        return in_colour(layers, dice, severity)
    return plain(layers, dice)


def turned(masks: Tensor, severity: float, dice: Dice) -> Tensor:
    """Up to 60 degrees either way at severity 1, where digits still have their names, and slanted."""
    n = len(masks)
    size, still = torch.full((n,), 0.8), torch.zeros(n)  # so that no corner leaves the cell
    angle, shear = severity * dice(-1.05, 1.05, n), severity * dice(-0.3, 0.3, n)
    return warp(masks, rotation=angle, width=size, height=size, shear=shear, x=still, y=still)


def between(near: tuple[int, int], far: tuple[int, int], severity: float) -> tuple[int, int]:
    """Sizes between the reference's and those at severity 1."""
    low, high = (round(a + severity * (b - a)) for a, b in zip(near, far, strict=True))
    return low, high
