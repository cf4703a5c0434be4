"""Draw characters in five styles and twelve colours, as batched torch operations.

The bundled CLIP is pretrained on these drawings, with captions that name what was drawn; the
``fonts`` shift and the "other prompts" of notebook 01 draw fonts that pretraining never saw.

Explained in notebook A1_pretrain_tiny_clip.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 32  # side of a drawing, in pixels
STYLES = ("printed", "hand-drawn", "outlined", "painted", "tilted")
COLOURS = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "red": (0.85, 0.1, 0.1),
    "green": (0.1, 0.6, 0.2),
    "blue": (0.1, 0.25, 0.85),
    "yellow": (0.95, 0.85, 0.1),
    "orange": (0.95, 0.5, 0.05),
    "purple": (0.5, 0.15, 0.6),
    "pink": (0.95, 0.5, 0.7),
    "gray": (0.5, 0.5, 0.5),
    "brown": (0.4, 0.25, 0.1),
    "cyan": (0.1, 0.8, 0.85),
}
PRINTED, HAND_DRAWN, OUTLINED, PAINTED, TILTED = range(len(STYLES))
BLACK, WHITE = 0, 1


@dataclass
class Drawings:
    """``images`` float (n, 3, SIZE, SIZE) in [0, 1]; the rest int64 (n,): indices into STYLES, COLOURS."""

    images: Tensor
    styles: Tensor
    foregrounds: Tensor
    backgrounds: Tensor


class Dice:
    """Uniform and normal draws from one generator: ``dice(low, high, shape...)``."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)

    def permutation(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.generator)

    def smooth(self, n: int, channels: int, grid: int) -> Tensor:
        """Smooth random fields: normal values on a coarse grid, bicubic in between."""
        coarse = self.normal(n, channels, grid, grid)
        return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=False)


def warp(
    masks: Tensor,
    *,
    rotation: Tensor,
    width: Tensor,
    height: Tensor,
    shear: Tensor,
    x: Tensor,
    y: Tensor,
    elastic: Tensor | None = None,
) -> Tensor:
    """Rotate (radians), scale, shear, move and bend masks ``(n, h, w)`` into ``(n, SIZE, SIZE)``.

    Every keyword is a tensor ``(n,)``; x and y are in half widths, ``elastic`` is a displacement field
    ``(n, 2, SIZE, SIZE)`` in the same units.
    """
    cos, sin = torch.cos(rotation), torch.sin(rotation)
    top = torch.stack([cos / width, (sin + shear) / width, x], -1)
    bottom = torch.stack([-sin / height, cos / height, y], -1)
    shape = (len(masks), 1, SIZE, SIZE)
    grid = F.affine_grid(torch.stack([top, bottom], 1), shape, align_corners=False)
    if elastic is not None:
        grid = grid + elastic.permute(0, 2, 3, 1)
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0]


def thicken(masks: Tensor, size: int = 3) -> Tensor:
    """Grey dilation of ``(n, h, w)`` with a square of ``size`` pixels."""
    return F.max_pool2d(masks[:, None], size, 1, size // 2)[:, 0]


def thin(masks: Tensor, size: int = 3) -> Tensor:
    """Grey erosion of ``(n, h, w)`` with a square of ``size`` pixels."""
    return -thicken(-masks, size)


def outline(masks: Tensor) -> Tensor:
    """The rim of each shape: dilation minus erosion."""
    return (thicken(masks) - thin(masks)).clamp(0, 1)


def palette() -> Tensor:
    """The colours of COLOURS as ``(12, 3)``."""
    return torch.tensor(list(COLOURS.values()))


def contrasting(foregrounds: Tensor, dice: Dice) -> Tensor:
    """For each colour index another one that can be told from it; black or white where the dice fail."""
    n, colours = len(foregrounds), palette()
    backgrounds = (foregrounds + 1 + dice.integers(len(colours) - 1, n)) % len(colours)
    too_close = (colours[foregrounds] - colours[backgrounds]).abs().sum(1) < 0.8
    safe = torch.where(colours[foregrounds].mean(1) < 0.5, WHITE, BLACK)
    return torch.where(too_close, safe, backgrounds)


def where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """``torch.where`` with the condition ``(n,)`` spread over all further axes."""
    return torch.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def draw(glyphs: Tensor, styles: Tensor, seed: int, foregrounds: Tensor | None = None) -> Drawings:
    """Draw glyphs, each in its style.

    Parameters
    ----------
    glyphs : Tensor
        uint8 ``(n, CELL, CELL)``, as ``load_glyphs`` gives them.
    styles : Tensor
        int64 ``(n,)``, indices into ``STYLES``.
    seed : int
        The same seed draws the same images on the same machine.
    foregrounds : Tensor, optional
        int64 ``(n,)``, indices into ``COLOURS``. By default black or white for about half of the
        printed, hand-drawn and outlined glyphs, any colour for all others.

    Returns
    -------
    Drawings
    """
    dice, n = Dice(seed), len(glyphs)
    hand, tilted = styles == HAND_DRAWN, styles == TILTED
    masks = place(glyphs.float() / 255, hand, tilted, dice)
    masks = vary_strokes(masks, styles, dice)
    if foregrounds is None:
        plain = (styles <= OUTLINED) & (dice(0, 1, n) < 0.5)
        foregrounds = dice.integers(len(COLOURS), n)
        foregrounds = torch.where(plain, dice.integers(2, n), foregrounds)
        backgrounds = torch.where(plain, 1 - foregrounds, contrasting(foregrounds, dice))
    else:
        backgrounds = contrasting(foregrounds, dice)
    texture = (styles == PAINTED).float() + 0.5 * (styles == TILTED).float()
    images = paint(masks, foregrounds, backgrounds, texture, dice)
    return Drawings(images, styles, foregrounds, backgrounds)


def place(masks: Tensor, hand: Tensor, tilted: Tensor, dice: Dice) -> Tensor:
    """Pose every glyph: gently if printed, bent if hand-drawn, far and beside a neighbour if tilted."""
    n = len(masks)
    bend = torch.where(hand, dice(0.06, 0.16, n), dice(0, 0.02, n))[:, None, None, None]
    elastic = dice.smooth(n, 2, 4) * bend
    size = torch.where(tilted, dice(0.5, 1.0, n), dice(0.7, 1.1, n))
    aspect = torch.where(hand, dice(0.75, 1.15, n), dice(0.9, 1.1, n))
    angle = dice(0.3, 0.9, n) * (2 * dice.integers(2, n) - 1)
    pose = dict(
        rotation=torch.where(tilted, angle, dice(-0.15, 0.15, n)),
        width=size * aspect,
        height=size,
        shear=torch.where(hand, dice(-0.45, 0.45, n), dice(-0.15, 0.15, n)),
        x=torch.where(tilted, dice(-0.35, 0.35, n), dice(-0.12, 0.12, n)),
        y=torch.where(tilted, dice(-0.35, 0.35, n), dice(-0.12, 0.12, n)),
    )
    posed = warp(masks, **pose, elastic=elastic)
    neighbour = beside(masks[dice.permutation(n)], dice)
    return where(tilted & (dice(0, 1, n) < 0.7), torch.maximum(posed, neighbour), posed)


def beside(masks: Tensor, dice: Dice) -> Tensor:
    """The same masks pushed half out of the picture, left or right: clutter."""
    n = len(masks)
    side = dice(1.1, 1.5, n) * (2 * dice.integers(2, n) - 1)
    size = dice(0.5, 0.8, n)
    small = dict(rotation=dice(-0.4, 0.4, n), width=size, height=size, shear=dice(-0.1, 0.1, n))
    return warp(masks, **small, x=side, y=dice(-0.3, 0.3, n))


def vary_strokes(masks: Tensor, styles: Tensor, dice: Dice) -> Tensor:
    """Bolder or lighter strokes for some, the rim alone where the style is outlined."""
    weight = dice(0, 1, len(masks))
    bold, light = thicken(masks), 0.6 * thin(masks) + 0.4 * masks
    masks = where(weight < 0.25, bold, where((weight > 0.93) & (styles != OUTLINED), light, masks))
    return where(styles == OUTLINED, outline(masks), masks)


def paint(masks: Tensor, foregrounds: Tensor, backgrounds: Tensor, texture: Tensor, dice: Dice) -> Tensor:
    """Colour masks ``(n, h, w)`` into images ``(n, 3, h, w)``; ``texture`` in [0, 1] roughens both colours."""
    n, colours = len(masks), palette()
    ink, paper = (
        colours[index][:, :, None, None]
        + texture[:, None, None, None]
        * (0.2 * dice.smooth(n, 3, 4) + 0.15 * dice(0, 1, n, 1, 1, 1) * dice.normal(n, 3, SIZE, SIZE))
        for index in (foregrounds, backgrounds)
    )
    images = paper + (ink - paper) * masks[:, None]
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = where(dice(0, 1, n) < 0.3, blurred, images)
    return (images + dice.normal(*images.shape) * dice(0, 0.06, n, 1, 1, 1)).clamp(0, 1)
