"""Render font files into the glyph sheets under ``data/glyphs``.

    python -m wiseft_nb.make.glyph_sheets FOLDER_WITH_FONTS [FOLDER ...]

A sheet is a grey PNG: one row a font, one column a character of ``CHARACTERS``. ``fonts.csv`` says
which font stands in which row, under which licence, and whether it is for pretraining or held out.
A family is held out whole, and only if no glyph of it comes close to one used in pretraining: fonts
are copied and renamed so often that different names alone would prove little.
"""

import argparse
import random
import re
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
from fontTools.ttLib import TTFont, TTLibError
from PIL import Image, ImageDraw, ImageFont
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.digits.glyphs import CELL, CHARACTERS, GLYPHS

GLYPH = 26  # longest side of a glyph, in pixels of its CELL
ROWS = 40  # fonts on one sheet
FACES = 2  # faces kept of one family
HELD_OUT = 100  # families never shown in pretraining
DUPLICATE, TOO_CLOSE = 0.98, 0.93  # mean correlation of two fonts' glyphs

LICENCES = {  # in order: the first whose words stand in the text
    "SIL Open Font License": r"open font licen|\bofl\b|scripts\.sil\.org|openfontlicense",
    "GUST Font License": r"gust",
    "LaTeX Project Public License": r"\blppl\b|latex project public",
    "Apache License 2.0": r"apache",
    "Ubuntu Font Licence": r"ubuntu font licen",
    "Bitstream Vera License": r"bitstream",
    "Creative Commons": r"creative ?commons|\bcc[- ](by|0)",
    "GNU General Public License": r"general public licen|\bgpl\b|gnu\.org/copyleft",
    "MIT/X11": r"\bmit\b|permission is hereby granted, free of charge",
    "public domain": r"public domain",
}


def licence_of(font: TTFont, path: Path, copyright_file: Path | None) -> str | None:
    """The licence a font file names in its own table, else the one its Debian package states for it."""
    own = " ".join(font["name"].getDebugName(i) or "" for i in (13, 14))
    text = copyright_file.read_text(errors="replace") if copyright_file else ""
    if "Format:" not in text:
        return named_in(own) or named_in(text)
    stanzas = re.findall(r"^Files:(.*?)^License: *([^\n]*)", text, re.MULTILINE | re.DOTALL)
    stated = [
        licence
        for files, licence in stanzas  # the last stanza that matches counts
        if any(fnmatch(path.name, glob.split("/")[-1]) for glob in files.split("Copyright:")[0].split())
        and not files.strip().startswith("debian/")
    ]
    return named_in(own) or (stated[-1] if stated else None)


def named_in(text: str) -> str | None:
    """The first of LICENCES whose words stand in a text."""
    return next((name for name, words in LICENCES.items() if re.search(words, text, re.IGNORECASE)), None)


def debian_packages() -> dict[str, str]:
    """Font path -> the installed Debian package that put it there."""
    return {
        line: listing.stem.split(":")[0]
        for listing in Path("/var/lib/dpkg/info").glob("*.list")
        for line in listing.read_text().splitlines()
        if line.lower().endswith((".ttf", ".otf"))
    }


def render(path: Path) -> np.ndarray | None:
    """All CHARACTERS of one font, ``(62, CELL, CELL)`` uint8 in 16 grey levels; None if one is odd."""
    font, cells = ImageFont.truetype(str(path), 64), []
    for character in CHARACTERS:
        left, top, right, bottom = font.getbbox(character)
        width, height = right - left, bottom - top
        if not (3 <= width <= 200 and 3 <= height <= 200):
            return None
        image = Image.new("L", (width + 4, height + 4))
        ImageDraw.Draw(image).text((2 - left, 2 - top), character, fill=255, font=font)
        scale = GLYPH / max(width, height)
        size = [max(1, round(side * scale)) for side in image.size]
        cell = Image.new("L", (CELL, CELL))
        cell.paste(image.resize(size, Image.LANCZOS), ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
        cells.append(np.asarray(cell))
    return (np.stack(cells).astype(int) + 8) // 17 * 17


def standardise(glyphs: np.ndarray) -> np.ndarray:
    """Each glyph centred and scaled to unit norm, so that a dot product is a correlation."""
    flat = glyphs.reshape(len(glyphs), -1).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)


def similarity(fonts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean correlation over characters of every font with every other: ``(n, m)`` in [-1, 1]."""
    return fonts.reshape(len(fonts), -1) @ others.reshape(len(others), -1).T / len(CHARACTERS)


def collect(folders: list[Path], reference: Path) -> list[dict]:
    """Every usable face: complete, Latin in shape, under a licence it names."""
    expected, faces = standardise(render(reference)), []
    paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in (".ttf", ".otf"))
    packages = debian_packages()
    for path in tqdm(paths, desc="fonts"):
        try:
            font = TTFont(path, fontNumber=0, lazy=True)
            complete = set(map(ord, CHARACTERS)) <= set(font.getBestCmap() or {})
            package = packages.get(str(path))
            copyright_file = Path("/usr/share/doc", package, "copyright") if package else None
            licence = licence_of(font, path, copyright_file)
            glyphs = render(path) if complete and licence else None
            family, style = (
                font["name"].getDebugName(new) or font["name"].getDebugName(old) or ""
                for new, old in ((16, 1), (17, 2))
            )
        except (TTLibError, OSError, KeyError, ValueError, AssertionError):
            continue  # a font file that cannot be read is no font for us
        if glyphs is None or not family:
            continue
        shape = standardise(glyphs)
        reads = (shape[:10] @ expected[:10].T).argmax(1) == np.arange(10)
        if reads.mean() >= 0.5 and len(np.unique(glyphs.reshape(62, -1), axis=0)) >= 40:
            faces.append(
                dict(
                    family=family,
                    style=style,
                    licence=licence,
                    package=package or "texlive-fonts-extra",
                    glyphs=glyphs,
                    shape=shape,
                )
            )
    return faces


def choose(faces: list[dict], seed: int) -> list[dict]:
    """At most FACES a family, no near copies, and a split by family into pretraining and held out."""
    rng, families = random.Random(seed), defaultdict(list)
    for face in faces:
        families[face["family"]].append(face)
    kept: list[dict] = []
    for family in sorted(families):
        rng.shuffle(families[family])
        for face in families[family][:FACES]:
            shape = face["shape"][None]
            if not kept or similarity(shape, np.stack([k["shape"] for k in kept])).max() < DUPLICATE:
                kept.append(face)
    names = sorted({face["family"] for face in kept})
    held_out = set(rng.sample(names, HELD_OUT))
    seen = np.stack([f["shape"] for f in kept if f["family"] not in held_out])
    for face in kept:
        face["split"] = "pretraining"
        if face["family"] in held_out:
            close = similarity(face["shape"][None], seen).max() >= TOO_CLOSE
            face["split"] = "dropped" if close else "held-out"
    return [face for face in kept if face["split"] != "dropped"]


def write(faces: list[dict], folder: Path) -> pd.DataFrame:
    """Sheets and ``fonts.csv``; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    rows = []
    for split in ("pretraining", "held-out"):
        chosen = [face for face in faces if face["split"] == split]
        for start in range(0, len(chosen), ROWS):
            name, part = f"{split}-{start // ROWS:02d}.png", chosen[start : start + ROWS]
            sheet = np.stack([face["glyphs"] for face in part]).astype(np.uint8)
            sheet = sheet.transpose(0, 2, 1, 3).reshape(len(part) * CELL, -1)
            Image.fromarray(sheet).save(folder / name, optimize=True)
            rows += [
                dict(sheet=name, row=i, **{k: face[k] for k in ("split", "family", "style", "licence", "package")})
                for i, face in enumerate(part)
            ]
    table = pd.DataFrame(rows)
    table.to_csv(folder / "fonts.csv", index=False)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders searched for .ttf and .otf files")
    parser.add_argument("--reference", type=Path, required=True, help="a plain sans-serif font file")
    parser.add_argument("--out", type=Path, default=GLYPHS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table = write(choose(collect(args.folders, args.reference), args.seed), args.out)
    print(table.groupby("split").agg(fonts=("row", "size"), families=("family", "nunique")))
    print(table.groupby("licence").family.nunique())


if __name__ == "__main__":
    main()
