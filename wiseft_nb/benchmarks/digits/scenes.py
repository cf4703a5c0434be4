"""Scenes: several characters on one ground, none over another, each in a box that is known exactly.

Explained in notebook 14_try_detection.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.benchmarks.digits.draw import Dice
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.errors import WiseftError

SIDE = 128  # of a scene, in pixels
INK = 0.35  # what is lighter than this belongs to no box
GAP, TRIES = 2, 60  # pixels between two boxes; places that are tried before a character is left out
Range = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images with the boxes and classes of what is in them.

    Attributes
    ----------
    images : Tensor
        uint8 ``(n, 3, SIDE, SIDE)``.
    boxes : list of Tensor
        Of each scene ``(k, 4)``, float: left, top, right, bottom in pixels, the right and bottom edge outside.
    labels : list of Tensor
        Of each scene int64 ``(k,)``.

    Explained in notebook 14_try_detection.
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.boxes) == len(self.labels):
            raise WiseftError(
                f"{len(self.images)} images, {len(self.boxes)} lists of boxes and {len(self.labels)} of labels: "
                "give one of each a scene"
            )

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "Scenes":
        """The scenes at ``indices``, in that order."""
        indices = list(indices)
        return Scenes(self.images[indices], [self.boxes[i] for i in indices], [self.labels[i] for i in indices])

    def content(self) -> Iterator[bytes]:
        """What the scenes are, for the cache."""
        yield fingerprint(self.images, self.boxes, self.labels).encode()


@dataclass(frozen=True, eq=False)
class Layers:
    """Scenes before they get colours: ``ink`` in [0, 1] ``(n, SIDE, SIDE)``, and whose it is, 0 where nobody's."""

    ink: Tensor
    owner: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]

    def each(self, colours: Tensor) -> Tensor:
        """Colours ``(n, characters, 3)``, one a character, where the characters stand: ``(n, 3, SIDE, SIDE)``."""
        rows = torch.arange(len(self.ink))[:, None, None]
        return colours[rows, self.owner % colours.shape[1]].permute(0, 3, 1, 2)

    def painted(self, pixels: Tensor) -> Scenes:
        """With pixels in [0, 1] ``(n, 3, SIDE, SIDE)``."""
        return Scenes((pixels.clamp(0, 1) * 255).round().to(torch.uint8), self.boxes, self.labels)


def lay_out(
    masks: Tensor,
    labels: Tensor,
    n: int,
    seed: int,
    count: Range = (3, 8),
    sides: Range = (18, 44),
    others: Tensor | None = None,
    other_count: Range = (2, 5),
) -> Layers:
    """Put characters into scenes.

    Each is cut out by the box of its ink and resized to fill a box of whole pixels, so the box is exact. Its longer
    side is drawn evenly on a logarithmic scale. A character that finds no free place is left out.

    Parameters
    ----------
    masks : Tensor
        White on black, in [0, 1], ``(m, h, w)``.
    labels : Tensor
        int ``(m,)``.
    n, seed : int
        Number of scenes; the same seed gives the same ones.
    count, sides : pair of int
        How many characters a scene has, and how long their longer sides are, in pixels: lowest and highest.
    others : Tensor, optional
        Masks of characters that get no box: what a detector should leave alone.
    other_count : pair of int

    Explained in notebook 14_try_detection.
    """
    rng = np.random.default_rng(seed)
    cuts = [(cut, int(label)) for cut, label in zip(cut_out(masks), labels, strict=True) if cut is not None]
    foreign = [(cut, -1) for cut in cut_out(others) if cut is not None] if others is not None else []
    ink, owner = torch.zeros(n, SIDE, SIDE), torch.zeros(n, SIDE, SIDE, dtype=torch.long)
    boxes, classes = [], []
    for i in range(n):
        chosen = [cuts[j] for j in rng.integers(0, len(cuts), rng.integers(count[0], count[1] + 1))]
        if foreign:
            more = rng.integers(0, len(foreign), rng.integers(other_count[0], other_count[1] + 1))
            chosen += [foreign[j] for j in more]
            chosen = [chosen[j] for j in rng.permutation(len(chosen))]
        longer = np.exp(rng.uniform(*np.log(sides), len(chosen)))
        places = find_places([size_of(cut, side) for (cut, _), side in zip(chosen, longer, strict=True)], rng)
        found = []
        for k, ((cut, label), place) in enumerate(zip(chosen, places, strict=True)):
            if place is None:
                continue
            x0, y0, x1, y1 = place
            ink[i, y0:y1, x0:x1] = resized(cut, y1 - y0, x1 - x0)
            owner[i, y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = k + 1
            if label >= 0:
                found.append((place, label))
        boxes.append(torch.tensor([place for place, _ in found], dtype=torch.float32).view(-1, 4))
        classes.append(torch.tensor([label for _, label in found], dtype=torch.long))
    return Layers(ink, owner, boxes, classes)


def cut_out(masks: Tensor) -> list[Tensor | None]:
    """Each mask cut by the box of its ink; None where there is hardly any."""
    cuts: list[Tensor | None] = []
    for mask in masks:
        inked = mask > INK
        rows, columns = inked.any(1).nonzero()[:, 0], inked.any(0).nonzero()[:, 0]
        enough = len(rows) > 3 and len(columns) > 1
        cuts.append(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if enough else None)
    return cuts


def size_of(cut: Tensor, longer: float) -> Range:
    """Height and width in whole pixels that keep the shape of a cut; a stroke is at least four pixels wide."""
    scale = longer / max(cut.shape)
    height, width = (max(4, round(side * scale)) for side in cut.shape)
    return height, width


def find_places(sizes: Sequence[Range], rng: np.random.Generator) -> list[tuple[int, int, int, int] | None]:
    """A box for each size, none over another; None where no place was free."""
    places: list[tuple[int, int, int, int] | None] = []
    for height, width in sizes:
        places.append(None)
        for _ in range(TRIES):
            x, y = (int(rng.integers(1, SIDE - side)) for side in (width, height))
            taken = [p for p in places if p is not None]
            free = (
                x + width + GAP <= p[0] or p[2] + GAP <= x or y + height + GAP <= p[1] or p[3] + GAP <= y for p in taken
            )
            if all(free):
                places[-1] = (x, y, x + width, y + height)
                break
    return places


def resized(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask ``(h, w)`` at another size, without aliasing."""
    sized = F.interpolate(mask[None, None], size=(height, width), mode="bilinear", antialias=True)
    return sized[0, 0].clamp(0, 1)


def smooth(dice: Dice, n: int, channels: int, grid: int) -> Tensor:
    """Smooth random fields over a scene: normal values on a coarse grid, bicubic in between."""
    return F.interpolate(dice.normal(n, channels, grid, grid), size=(SIDE, SIDE), mode="bicubic", align_corners=False)


def plain(layers: Layers, dice: Dice) -> Tensor:
    """Light characters on a dark ground, as the reference has them."""
    n = len(layers.ink)
    dark, light = dice(0, 0.25, n, 1, 1, 1), dice(0.8, 1, n, 1, 1, 1)
    return (dark + (light - dark) * layers.ink[:, None]).expand(-1, 3, -1, -1)


def on_photographs(layers: Layers, ground: Tensor, severity: float) -> Tensor:
    """abs(photograph - character), the photograph dimmed: MNIST-M (Ganin & Lempitsky 2015), for scenes."""
    return (severity * ground - layers.ink[:, None]).abs()


def in_colour(layers: Layers, dice: Dice, severity: float) -> Tensor:
    """Each character in a colour of its own on coloured, textured paper; the higher the severity, the closer the two."""
    n = len(layers.ink)
    ink = layers.each(1 - severity * dice(0, 1, n, int(layers.owner.max()) + 1, 3))
    paper = severity * dice(0, 1, n, 3, 1, 1)
    texture = severity * (0.3 * smooth(dice, n, 3, 12) + 0.1 * dice.normal(n, 3, SIDE, SIDE))
    return paper + (ink - paper) * layers.ink[:, None] + texture
