"""A benchmark of your own from a CSV: ``path,label,split``.

Explained in notebook 11_use_real_clip.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.own.about import in_class_order, of_shifts, read_about
from wiseft_nb.benchmarks.own.assemble import SPLITS, assemble
from wiseft_nb.benchmarks.own.problems import first_of
from wiseft_nb.benchmarks.parts import choose_shifts
from wiseft_nb.errors import WiseftError, reason

SPLIT_COLUMNS = ("split", "set", "subset", "partition")
SHIFT = "shift:"


def load_table_benchmark(
    path: Path, seed: int = 0, complete: bool = True, shifts: str | Sequence[str] | None = None
) -> Benchmark:
    """Read a table with the columns path (from the table's folder), label and, perhaps, split.

    Parameters
    ----------
    path : Path
        Of the CSV; a ``benchmark.json`` beside it may give class names in order, and templates.
    seed, complete, shifts
        As for a folder.
    """
    rows = read_rows(path)
    about = read_about(path.parent, in_class_order(label for label in rows.label if label))
    number = {label: i for i, label in enumerate(about.labels)}
    refuse_rows(path, rows, number)
    rows = rows.assign(file=[(path.parent / p, number[label]) for p, label in zip(rows.path, rows.label, strict=True)])
    rows = rows.assign(part=rows.split.map(part_of)) if "split" in rows else rows.assign(part="train")
    parts = {part: list(found) for part, found in rows.groupby("part", sort=False).file}
    known = [part.removeprefix(SHIFT) for part in parts if part.startswith(SHIFT)]
    chosen = choose_shifts(known, shifts)
    about, wanted = of_shifts(about, known, chosen), {f"{SHIFT}{name}" for name in chosen}
    parts = {part: files for part, files in parts.items() if part in wanted or not part.startswith(SHIFT)}
    return assemble(path.stem, path.parent, about, parts, seed, complete)


def part_of(split: str) -> str | None:
    """What a split in a table means: train, val, reference or shift:NAME; None if nothing."""
    kind, _, name = split.partition(":")
    if kind.casefold() == "shift" and name.strip():
        return f"{SHIFT}{name.strip()}"
    return SPLITS.get(split.casefold())


def read_rows(path: Path) -> pd.DataFrame:
    """The table, every cell a text without spaces around it; columns are found whatever their case."""
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise WiseftError(
            f"{path} is no readable CSV ({reason(error)}): expected the columns path,label,split"
        ) from error
    rows = rows.rename(columns=str.strip)
    rows = rows.rename(columns={name: name.casefold() for name in rows if name.casefold() in ("path", "label")})
    absent = {"path", "label"} - set(rows.columns)
    if absent or rows.empty or rows.columns.has_duplicates:
        what = (
            f"lacks {', '.join(sorted(absent))}" if absent else "has no rows" if rows.empty else "names columns twice"
        )
        other = next((mark for mark in ";\t|" if mark in rows.columns[0]), None)
        hint = f", with commas between them in place of {other!r}" if other else ""
        raise WiseftError(f"{path} {what}: expected the columns path,label and perhaps split, a row an image{hint}")
    rows = rows.apply(lambda column: column.str.strip())
    named = split_columns(rows)
    if len(named) > 1:
        raise WiseftError(f"{path} has the columns {' and '.join(named)}: keep the one that holds the split")
    return rows.rename(columns={name: "split" for name in named})


def split_columns(rows: pd.DataFrame) -> list[str]:
    """The columns that hold the split: those called so, and those that say train here and test there."""
    return [
        name
        for name in rows.columns.drop(["path", "label"])
        if name.casefold() in SPLIT_COLUMNS or {"train", "reference"} <= set(rows[name].map(part_of))
    ]


def refuse_rows(path: Path, rows: pd.DataFrame, number: dict[str, int]) -> None:
    """Name everything that is wrong with the rows, at once; lines count from 1, the header."""
    bad: list[list[str]] = [[], [], []]
    for line, row in enumerate(rows.itertuples(), start=2):
        split = getattr(row, "split", "train")
        if not row.label or row.label not in number:
            bad[0].append(f"line {line}: label {row.label!r} is no class of benchmark.json, or empty")
        if part_of(split) is None:
            bad[1].append(f"line {line}: split {split!r}, expected train, val, test or shift:NAME")
        if not row.path or not (path.parent / row.path).is_file():
            bad[2].append(f"line {line}: {row.path!r} is no file in {path.parent}")
    bad += [repeated_rows(path.parent, rows), unclear_splits(rows)]
    problems = [line for lines in bad for line in first_of(lines, "such rows")]
    if problems:
        raise WiseftError(f"{path} has problems:\n" + "\n".join(f"- {line}" for line in problems))


def repeated_rows(folder: Path, rows: pd.DataFrame) -> list[str]:
    """A line for each row whose file stands in one before, with another label or in the same split."""
    before: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    lines = []
    for line, row in enumerate(rows.itertuples(), start=2):
        seen = before[os.path.normpath(folder / row.path)]
        split = part_of(getattr(row, "split", "train"))
        other = next(((at, label) for at, label in seen.values() if label != row.label), seen.get(split))
        if other:
            lines.append(f"line {line}: {row.path!r} as {row.label} stands in line {other[0]} already, as {other[1]}")
        seen.setdefault(split, (line, row.label))
    return lines


def unclear_splits(rows: pd.DataFrame) -> list[str]:
    """A line for each split that no row has, or that goes by two names."""
    if "split" not in rows:
        return []
    names: dict[str | None, set[str]] = defaultdict(set)
    for split in rows.split:
        names[part_of(split)].add(split.casefold())
    twice = [n for part, n in names.items() if part in SPLITS.values() and len(n) > 1]
    return [f"no row has the split {name}" for name in ("train", "test") if SPLITS[name] not in names] + [
        f"the splits {' and '.join(sorted(n))} mean the same: keep one of them" for n in twice
    ]
