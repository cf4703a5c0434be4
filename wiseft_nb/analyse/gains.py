"""Tables of methods with alpha curves of their own -> what each gains over plain WiSE-FT, over seeds.

Explained in notebook 10_go_beyond.
"""

import pandas as pd

from wiseft_nb.analyse.bootstrap import seeds_table
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.intervals import MEAN

CHOSEN = "chosen"


def at_alpha(curves: pd.DataFrame, alpha: float | str = CHOSEN) -> pd.DataFrame:
    """The rows of one alpha a method and a seed.

    Parameters
    ----------
    curves : pandas.DataFrame
        ``data/results/beyond/curves.csv``: seed, part, method, alpha, figure, place, value, low, high.
    alpha : float or "chosen"
        One for all; or the one that validation data chose for each method and seed.

    Explained in notebook 10_go_beyond.
    """
    choices = curves.figure == "chosen alpha"
    rows = curves[~choices]
    if alpha == CHOSEN:
        chosen = curves[choices].set_index(["method", "seed"]).value
        wanted = pd.MultiIndex.from_frame(rows[["method", "seed"]]).map(chosen)
        found = rows[(rows.alpha - wanted).abs() < 1e-9]
    else:
        found = rows[(rows.alpha - float(alpha)).abs() < 1e-9]
    there, asked = (set(zip(table.method, table.seed, strict=True)) for table in (found, rows))
    if lacking := sorted(asked - there):
        method, seed = lacking[0]
        alphas = sorted(set(rows[(rows.method == method) & (rows.seed == seed)].alpha))
        raise WiseftError(f"no row of {method}, seed {seed}, has alpha {alpha}: its alphas are {alphas}")
    return found


def gains(
    curves: pd.DataFrame, alpha: float | str = CHOSEN, place: str = MEAN, baseline: str = "plain"
) -> pd.DataFrame:
    """Of every method the gain over plain WiSE-FT's curve at equal reference accuracy: mean and 95 % over seeds.

    Parameters
    ----------
    curves, alpha
        As for ``at_alpha``.
    place : str
        A group of shifts, or their mean.
    baseline : str
        Whose curve: "plain", or "plain-low" for that of the lower learning rate.

    Returns
    -------
    pandas.DataFrame
        Indexed by method, in the order of the table: mean, low, high, least, most, as fractions.

    Explained in notebook 10_go_beyond.
    """
    parts = sorted(part.removeprefix("against ") for part in set(curves.part) if part.startswith("against "))
    if baseline not in parts:
        raise unknown("baseline", baseline, parts)
    rows = at_alpha(curves, alpha)
    return seeds_table(rows[(rows.part == f"against {baseline}") & (rows.place == place)], "method")
