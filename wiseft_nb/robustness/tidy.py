"""Tidy tables, checked and laid out: rows of a dataset, two datasets side by side, intervals.

What does not fit together is refused, or matched by its labels.

Explained in notebook 05_redraw_the_paper.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import proportion_confint

from wiseft_nb.errors import WiseftError, reason


def check_columns(table: pd.DataFrame, wanted: Iterable[str], hint: str) -> None:
    """Refuse a table of another kind."""
    missing = [name for name in wanted if name not in table]
    if missing:
        raise WiseftError(f"the table has no column {', '.join(missing)}, only {list(map(str, table.columns))}: {hint}")


def rows_of(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows of one dataset; says which there are if it is not among them."""
    check_columns(table, ["dataset"], "give a tidy one, a row for each model and dataset")
    rows = table[table.dataset == dataset]
    if rows.empty:
        raise WiseftError(f"the table has no dataset {dataset!r}: it has {sorted(set(table.dataset))}")
    return rows


def check_axis(shift: str, reference: str) -> None:
    """Refuse a class-subset x axis that belongs to another shift."""
    found = re.fullmatch(r".* \(classes of (.*)\)", reference)
    if found and not shift.startswith(found[1]):
        raise WiseftError(
            f"{reference!r} scores the reference on the classes of {found[1]}, and {shift} has others: "
            "take the subset of the shift itself, or the full reference"
        )


def side_by_side(table: pd.DataFrame, shift: str, reference: str, key: str | list[str]) -> pd.DataFrame:
    """x (reference) and y (shift) with their intervals, one row a ``key`` that has both.

    ``.attrs["left_out"]`` holds the keys that have one alone.
    """
    keys = [key] if isinstance(key, str) else key
    check_columns(table, [*keys, "accuracy", "low", "high"], "with_intervals adds low and high to a tidy table")
    return joined(table, shift, reference, key, {"accuracy": "", "low": "_low", "high": "_high"})


def joined(table: pd.DataFrame, shift: str, reference: str, key: str | list[str], columns: dict) -> pd.DataFrame:
    """Two datasets of a tidy table as columns, matched by key: ``columns`` says what ends on x and y."""
    check_axis(shift, reference)
    parts = []
    for name, axis in ((reference, "x"), (shift, "y")):
        part = rows_of(table, name).set_index(key)
        check_fractions(part.accuracy, f"the accuracy on {name}")
        if part.index.has_duplicates:
            twice = part.index[part.index.duplicated()][0]
            raise WiseftError(f"{name} has more than one accuracy for {key} {twice!r}: say which rows, or a finer key")
        parts.append(part[list(columns)].set_axis([axis + ending for ending in columns.values()], axis=1))
    points = pd.concat(parts, axis=1, join="inner").assign(shift=shift, reference=reference)
    if points.empty:
        raise WiseftError(f"no {key} has an accuracy on both {reference} and {shift}: evaluate the same ones on both")
    points.attrs["left_out"] = tuple(parts[0].index.symmetric_difference(parts[1].index, sort=False))
    return points


def by_seed(sweeps: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Sweeps of several seeds, laid out: a row for each seed and alpha, a column for each dataset and each group.

    Parameters
    ----------
    sweeps : pandas.DataFrame
        Tidy, with seed, alpha, dataset and accuracy.
    groups : dict
        Name -> datasets whose mean accuracy becomes a column of that name.

    Explained in notebook 03_interpolate.
    """
    check_columns(sweeps, ["seed", "alpha", "dataset", "accuracy"], "give sweeps of several seeds, one below the other")
    table = sweeps.pivot(index=["seed", "alpha"], columns="dataset", values="accuracy")
    return table.assign(**{name: table[list(members)].mean(axis=1) for name, members in groups.items()})


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Add low and high, the 95 % Clopper-Pearson interval that accuracy and n imply; NaN where n is not known."""
    check_columns(table, ["accuracy", "n"], "give a tidy one")
    accuracy, n = check_fractions(table.accuracy, "accuracy"), table.n.astype(float).to_numpy()
    known = np.isfinite(n)
    low, high = np.full((2, len(table)), np.nan)
    low[known], high[known] = proportion_confint(np.round(accuracy[known] * n[known]), n[known], method="beta")
    # published figures are rounded: the interval holds the figure itself
    return table.assign(low=np.minimum(low, accuracy), high=np.maximum(high, accuracy))


def matched(x: ArrayLike, y: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """y in the order of x, where both are Series with the same labels; refuses Series of other labels."""
    if not (isinstance(x, pd.Series) and isinstance(y, pd.Series)) or x.index.equals(y.index):
        return x, y
    alone = x.index.symmetric_difference(y.index, sort=False).tolist()
    if alone or x.index.has_duplicates or y.index.has_duplicates:
        what = f"only one of them has {alone[:3]}" if alone else "some label occurs twice"
        raise WiseftError(
            f"two Series that cannot be matched by their labels: {what}; give both accuracies of every model, "
            "labelled alike, or arrays in one order"
        )
    return x, y.reindex(x.index)


def check_fractions(values: ArrayLike, name: str) -> np.ndarray:
    """Accuracies as floats; refuses NaN and what lies outside [0, 1], percent above all."""
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise WiseftError(f"{name} is not all numbers ({reason(error)}): give accuracies as fractions") from error
    if np.isnan(values).any():
        raise WiseftError(f"{name} holds NaN: leave out models that were not evaluated")
    if values.size and (values.min() < 0 or values.max() > 1):
        worst = values.max() if values.max() > 1 else values.min()
        hint = "check the table"
        if 1 < worst <= 100:
            hint = (
                f"{worst:g} read as a fraction is {100 * worst:g} %, which cannot be; "
                f"{worst:g} read as percent is {worst / 100:g}: divide by 100"
            )
        raise WiseftError(f"{name} holds {worst:g}, but an accuracy is a fraction between 0 and 1; {hint}")
    return values
