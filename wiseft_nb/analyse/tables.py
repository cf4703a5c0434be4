"""The tables that ship with the course: what was measured on digits over three seeds, study by study.

Explained in notebook 06_see_why_it_works.
"""

import pandas as pd

from wiseft_nb.errors import unknown
from wiseft_nb.paths import DATA

RESULTS = DATA / "results"


def load_results(study: str, name: str) -> pd.DataFrame:
    """A table of a study; the card in its folder says what a row is and which command makes it.

    Parameters
    ----------
    study : str
        A folder of ``data/results``, such as "breaking" or "choosing".
    name : str
        A table in it.

    Returns
    -------
    pandas.DataFrame
        Accuracies are fractions.

    Examples
    --------
    >>> "epochs" in load_results("breaking", "map")
    True

    Explained in notebook 08_break_it.
    """
    studies = sorted(path.parent.name for path in RESULTS.glob("*/README.md"))
    if study not in studies:
        raise unknown("study", study, studies)
    names = sorted(path.stem for path in (RESULTS / study).glob("*.csv"))
    if name not in names:
        raise unknown("table", name, names)
    return pd.read_csv(RESULTS / study / f"{name}.csv")
