"""A benchmark of your own from a CSV: ``path,label,split``.

Explained in notebook 11_use_real_clip.
"""

from pathlib import Path

import pandas as pd

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.own.folder import assemble, in_class_order, read_about, shared_out
from wiseft_nb.benchmarks.own.problems import first_of
from wiseft_nb.errors import WiseftError, reason

SPLITS = {"train": "train", "val": "val", "test": "reference", "reference": "reference"}


def load_table_benchmark(path: Path, seed: int = 0, complete: bool = True) -> Benchmark:
    """Read a table with the columns path (from the table's folder), label and, perhaps, split.

    Parameters
    ----------
    path : Path
        Of the CSV; a ``benchmark.json`` beside it may give class names in order, and templates.
    seed, complete
        As for a folder.

    Explained in notebook 11_use_real_clip.
    """
    rows = read_rows(path)
    about = read_about(path.parent, in_class_order(label for label in rows.label if label))
    number = {label: i for i, label in enumerate(about.labels)}
    refuse_rows(path, rows, number)
    rows = rows.assign(file=[(path.parent / p, number[label]) for p, label in zip(rows.path, rows.label, strict=True)])
    if "split" not in rows:
        parts = shared_out(list(rows.file), seed)
    else:
        parts = {SPLITS.get(split, split): list(found) for split, found in rows.groupby("split", sort=False).file}
    return assemble(path.stem, path.parent, about, parts, complete, seed)


def read_rows(path: Path) -> pd.DataFrame:
    """The table, every cell a text without spaces around it."""
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise WiseftError(
            f"{path} is no readable CSV ({reason(error)}): expected the columns path,label,split"
        ) from error
    rows = rows.rename(columns=str.strip)
    absent = {"path", "label"} - set(rows.columns)
    if absent or rows.empty:
        what = f"lacks {', '.join(sorted(absent))}" if absent else "has no rows"
        raise WiseftError(f"{path} {what}: expected the columns path,label and perhaps split, a row an image")
    return rows.apply(lambda column: column.str.strip())


def refuse_rows(path: Path, rows: pd.DataFrame, number: dict[str, int]) -> None:
    """Name everything that is wrong with the rows, at once; lines count from 1, the header."""
    bad: list[list[str]] = [[], [], [], []]
    for line, row in enumerate(rows.itertuples(), start=2):
        split = getattr(row, "split", "train")
        if not row.label or row.label not in number:
            bad[0].append(f"line {line}: label {row.label!r} is no class of benchmark.json, or empty")
        if split not in SPLITS and not (split.startswith("shift:") and split != "shift:"):
            bad[1].append(f"line {line}: split {split!r}, expected train, val, test or shift:NAME")
        if not row.path or not (path.parent / row.path).is_file():
            bad[2].append(f"line {line}: {row.path!r} is no file in {path.parent}")
    if "split" in rows:
        bad[3] = [
            f"no row has the split {s}" for s in ("train", "test") if not rows.split.map(SPLITS.get).eq(SPLITS[s]).any()
        ]
    problems = [line for lines in bad for line in first_of(lines, "such rows")]
    if problems:
        raise WiseftError(f"{path} has problems:\n" + "\n".join(f"- {line}" for line in problems))
