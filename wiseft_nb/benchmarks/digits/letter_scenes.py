"""Scenes of letters alone, in every look: what the proposals learn on. No digit is among them.

Explained in notebook 14_try_detection.
"""

import torch
from torch import Tensor

from wiseft_nb.benchmarks.digits.draw import Dice, contrasting, outline, palette, thicken, warp, where
from wiseft_nb.benchmarks.digits.glyphs import CHARACTERS, DIGITS, load_glyphs
from wiseft_nb.benchmarks.digits.grounds import pieces
from wiseft_nb.benchmarks.digits.scenes import SIDE, Layers, Scenes, lay_out, plain, smooth


def letter_scenes(n: int, seed: int) -> Scenes:
    """One to nine letters of pretraining's fonts, 12 to 64 pixels high or wide, on paper, texture or photographs.

    Parameters
    ----------
    n, seed : int
        Number of scenes; the same seed draws the same ones.

    Returns
    -------
    Scenes
        Labels are places in ``CHARACTERS``: all are 10 or more.

    Explained in notebook 14_try_detection.
    """
    dice = Dice(seed)
    masks, labels = letters("pretraining", 5 * n, dice)
    layers = lay_out(bent(masks, dice), labels, n, seed, count=(1, 9), sides=(12, 64))
    return layers.painted(anything(layers, dice))


def letters(split: str, m: int, dice: Dice) -> tuple[Tensor, Tensor]:
    """Letters of the fonts of one split, white on black ``(m, CELL, CELL)``, and their places in ``CHARACTERS``."""
    glyphs = torch.from_numpy(load_glyphs(split))
    font, place = dice.integers(len(glyphs), m), len(DIGITS) + dice.integers(len(CHARACTERS) - len(DIGITS), m)
    return glyphs[font, place].float() / 255, place


def bent(masks: Tensor, dice: Dice) -> Tensor:
    """Turned, slanted and bent as by a hand; some bold, some outlined."""
    n = len(masks)
    size, still = dice(0.8, 1, n), torch.zeros(n)
    masks = warp(
        masks,
        rotation=dice(-0.5, 0.5, n),
        width=size * dice(0.8, 1.1, n),
        height=size,
        shear=dice(-0.4, 0.4, n),
        x=still,
        y=still,
        elastic=0.12 * dice.smooth(n, 2, 4),
    )
    kind = dice(0, 1, n)
    return where(kind < 0.25, thicken(masks), where(kind > 0.85, outline(masks), masks))


def anything(layers: Layers, dice: Dice) -> Tensor:
    """Colours that can be told apart, textures, photographs behind, light on dark and dark on light, noise."""
    n, ink = len(layers.ink), layers.ink[:, None]

    def some(share: float) -> Tensor:
        return dice(0, 1, n) < share

    colours, first = palette(), dice.integers(len(palette()), n)
    ground = contrasting(first, dice)
    many = dice.integers(len(colours), n, int(layers.owner.max()) + 1)
    clear = (colours[many] - colours[ground][:, None]).abs().sum(-1) >= 0.8
    many = torch.where(clear & ~some(0.5)[:, None], many, first[:, None])
    pen, paper = layers.each(colours[many]), colours[ground][:, :, None, None]
    roughness = dice(0, 1, n, 1, 1, 1) * some(0.6)[:, None, None, None]

    def texture() -> Tensor:
        return roughness * (0.25 * smooth(dice, n, 3, 8) + 0.12 * dice.normal(n, 3, SIDE, SIDE))

    drawn = paper + texture() + (pen + texture() - paper) * ink
    photograph = pieces(n, dice, "learned")
    behind = where(some(0.5), (0.8 * photograph - ink).abs(), 0.7 * photograph * (1 - ink) + pen * ink)
    light = plain(layers, dice)
    drawn = where(some(0.4), behind, drawn)
    drawn = where(some(0.2), where(some(0.3), 1 - light, light), drawn)
    return drawn + dice.normal(n, 3, SIDE, SIDE) * dice(0, 0.06, n, 1, 1, 1)
