"""The glyph sheets under ``data/glyphs``: 62 characters of several hundred fonts.

Explained in notebook A1_pretrain_tiny_clip.
"""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from wiseft_nb.paths import DATA

GLYPHS = DATA / "glyphs"
DIGITS = "0123456789"
CHARACTERS = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
CELL = 32  # side of one character on a sheet, in pixels


@functools.cache
def font_table() -> pd.DataFrame:
    """One row a font: sheet, row, split (``pretraining`` or ``held-out``), family, style, licence."""
    return pd.read_csv(GLYPHS / "fonts.csv", keep_default_na=False)


@functools.cache
def load_glyphs(split: str) -> np.ndarray:
    """Every character of every font of one split.

    Parameters
    ----------
    split : {"pretraining", "held-out"}

    Returns
    -------
    numpy.ndarray
        uint8 of shape ``(fonts, 62, CELL, CELL)``, 0 is paper, 255 is ink. Fonts stand in the order
        of ``font_table()``, characters in the order of ``CHARACTERS``.

    Examples
    --------
    >>> load_glyphs("held-out").shape[1:]
    (62, 32, 32)
    """
    sheets = sorted(set(font_table().query("split == @split").sheet))
    return np.concatenate([_cells(GLYPHS / sheet) for sheet in sheets])


def _cells(path: Path) -> np.ndarray:
    sheet = np.asarray(Image.open(path))
    return sheet.reshape(-1, CELL, len(CHARACTERS), CELL).transpose(0, 2, 1, 3)
