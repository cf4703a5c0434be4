"""Many sweeps, a row each: how far the path sags, where it is best, what that gains.

Explained in notebook 08_break_it.
"""

from collections.abc import Sequence

import pandas as pd

from wiseft_nb.analyse.chord import chord_dip
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.robustness.points import MEAN


def compare_runs(
    table: pd.DataFrame, run: Sequence[str], judged: str = "val", place: str = MEAN, fixed: float = 0.5
) -> pd.DataFrame:
    """A row for each sweep.

    Parameters
    ----------
    table : pandas.DataFrame
        Tidy sweeps, as ``sweep(..., chord=True)`` gives them; rows without an alpha are left out.
    run : sequence of str
        Columns that tell sweeps apart.
    judged : str
        The dataset whose chord is asked for: validation data.
    place : str
        The dataset or group whose accuracies are reported.
    fixed : float
        An alpha that was chosen beforehand.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``run``: gap (of the lowest point of ``judged`` to its chord; a fraction, below 0 where the path
        sags), dip, standard_error; and of ``place`` zero_shot, fixed, fine_tuned, best (accuracies) and best_alpha, the
        smallest of those that are best.

    Raises
    ------
    WiseftError
        If a sweep lacks an alpha that is asked for, or one of the two datasets.

    Explained in notebook 08_break_it.
    """
    run, table = list(run), table[table.alpha.notna()]
    for name in (judged, place):
        if name not in set(table.dataset):
            raise unknown("dataset of the sweeps", name, set(table.dataset))
    dips = chord_dip(table[table.dataset == judged], run).set_index(run)
    wide = table[table.dataset == place].pivot(index=run, columns="alpha", values="accuracy")
    if fixed not in wide or wide[[0.0, fixed, 1.0]].isna().any(axis=None) or set(wide.index) != set(dips.index):
        raise WiseftError(
            f"some sweep has no {place!r} at alpha 0, {fixed:g} and 1, or no {judged!r}: give whole sweeps"
        )
    found = pd.DataFrame(
        {
            "zero_shot": wide[0.0],
            "fixed": wide[fixed],
            "fine_tuned": wide[1.0],
            "best": wide.max(axis=1),
            "best_alpha": wide.idxmax(axis=1),
        }
    )
    named = dips[["gap", "chord_dip", "standard_error"]].rename(columns={"chord_dip": "dip"})
    return named.join(found).sort_index()
