"""How far a path lies from its chord, the straight line between the accuracies of its ends.

Explained in notebook 06_see_why_it_works.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wiseft_nb.errors import WiseftError
from wiseft_nb.robustness.tidy import check_columns, check_fractions


def chord_gap(table: pd.DataFrame, run: Sequence[str] = ()) -> pd.DataFrame:
    """Accuracy minus the chord's, for every point of a path: equation 2 of Wortsman et al. 2022 says it is not negative.

    The chord is (1 - alpha) accuracy(0) + alpha accuracy(1): what one gets who asks, for each image, the
    fine-tuned model with probability alpha and the zero-shot model otherwise.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy sweeps: dataset, alpha, accuracy; rows without alpha 0 or without alpha 1 beside them are left out.
    run : sequence of str
        Columns that tell sweeps apart, where there are several.

    Returns
    -------
    pandas.DataFrame
        Every row of ``table`` that can be compared, with chord and gap (fractions).

    Raises
    ------
    WiseftError
        If an alpha occurs twice in one sweep.

    Explained in notebook 06_see_why_it_works.
    """
    keys = [*run, "dataset"]
    check_columns(table, [*keys, "alpha", "accuracy"], "give tidy sweeps, and the columns that tell them apart")
    check_fractions(table.accuracy, "accuracy")
    if table.duplicated([*keys, "alpha"]).any():
        raise WiseftError(f"{list(run)} do not tell the sweeps apart: some alpha occurs twice; name a finer run")
    ends = [table[table.alpha == end].set_index(keys).accuracy.rename(f"end_{end}") for end in (0, 1)]
    both = table.join(ends[0], on=keys, how="inner").join(ends[1], on=keys, how="inner")
    chord = (1 - both.alpha) * both.end_0 + both.alpha * both.end_1
    return both.drop(columns=["end_0", "end_1"]).assign(chord=chord, gap=both.accuracy - chord)


def below_chord(table: pd.DataFrame, run: Sequence[str], tolerance: float = 0.001) -> pd.DataFrame:
    """``chord_gap`` with ``violated``: whether a point lies below its chord by more than ``tolerance``.

    Published figures are rounded to 0.001, so that much is forgiven.

    Explained in notebook 05_redraw_the_paper.
    """
    return chord_gap(table, run).assign(violated=lambda found: found.gap < -tolerance - 1e-9)


def chord_dip(table: pd.DataFrame, run: Sequence[str] = ()) -> pd.DataFrame:
    """How far each path sags below its chord at its lowest point between the ends; 0 where it never does.

    A dip says that the two ends lie in different basins, or that the path is too long: see notebook 08.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``sweep(..., chord=True)`` returns it; without ``chord_error``, as in published tables, the standard
        error is not known (NaN).
    run : sequence of str
        Columns that tell sweeps apart, where there are several.

    Returns
    -------
    pandas.DataFrame
        A row for each run and dataset: chord_dip (a fraction, 0 or more), alpha (of the point that is lowest
        against its chord), gap (its accuracy minus the chord's, above 0 where nothing sags) and standard_error
        of that gap, from the same images for all three models. The lowest of several points is lower than it
        would be on other images: take two standard errors for no sag at all.

    Raises
    ------
    WiseftError
        If a path has no point between its ends, or an end is missing.

    Explained in notebook 06_see_why_it_works.
    """
    keys = [*run, "dataset"]
    inner = chord_gap(table, run).query("0 < alpha < 1").reset_index(drop=True)
    lost = sorted(
        set(table[keys].itertuples(index=False, name=None)) - set(inner[keys].itertuples(index=False, name=None))
    )
    if lost or inner.empty:
        what = ", ".join(map(str, lost[0])) if lost else "the table"
        raise WiseftError(f"{what} has no path to judge: give alphas 0, 1 and at least one between them")
    lowest = inner.loc[inner.groupby(keys, sort=False).gap.idxmin(), [*keys, "alpha", "gap"]]
    errors = inner.chord_error.loc[lowest.index] if "chord_error" in inner else np.nan
    found = lowest.assign(chord_dip=lowest.gap.clip(upper=0).abs(), standard_error=errors).reset_index(drop=True)
    return found[[*keys, "chord_dip", "alpha", "gap", "standard_error"]]
