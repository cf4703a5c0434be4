"""What a rule for alpha costs: accuracy lost against the best alpha.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.robustness.tidy import check_columns

DRAWS = 2000


def regret(choices: pd.DataFrame, curves: pd.DataFrame, run: Sequence[str] = ()) -> pd.DataFrame:
    """Judge chosen alphas by the accuracy that they have.

    Parameters
    ----------
    choices : pandas.DataFrame
        dataset, alpha and the columns of ``run``; others, such as the rule's name, stay.
    curves : pandas.DataFrame
        Tidy sweeps: dataset, alpha, accuracy and the columns of ``run``.
    run : sequence of str
        Columns that tell sweeps apart, where there are several.

    Returns
    -------
    pandas.DataFrame
        ``choices`` with fractions: accuracy (of the chosen alpha), regret (the best alpha's accuracy on this dataset
        minus that), regret_single (the same for the one alpha of the run that is best in the mean over the datasets
        in ``choices``; below 0 where choosing for each dataset won) and gain (accuracy minus that of alpha 0.5).
        The best alpha is chosen with the labels that it is judged by, so even a perfect rule has a little regret.

    Raises
    ------
    WiseftError
        If a chosen alpha, or 0.5, is not on its curve. Curves of different runs may have different alphas.

    Explained in notebook 09_choose_alpha.
    """
    run = list(run)
    check_columns(choices, [*run, "dataset", "alpha"], "give a row a choice")
    check_columns(
        curves, [*run, "dataset", "alpha", "accuracy"], "give tidy sweeps, and the columns that tell them apart"
    )
    wide = curves.pivot(index=[*run, "dataset"], columns="alpha", values="accuracy")
    wide.columns = wide.columns.to_numpy(float).round(9)
    rows = pd.MultiIndex.from_frame(choices[[*run, "dataset"]]) if run else pd.Index(choices.dataset)
    if lost := [*rows[~rows.isin(wide.index)].unique()]:
        raise WiseftError(f"there is no curve for {lost[0]}: sweep it")
    judged = wide.loc[rows.unique()]
    mean = judged.groupby(level=run).mean(skipna=False) if run else judged.mean(skipna=False).to_frame().T
    single = mean.idxmax(axis=1)
    of_run = single.loc[pd.MultiIndex.from_frame(choices[run]) if len(run) > 1 else choices[run[0]]] if run else single
    found = wide.to_numpy()[wide.index.get_indexer(rows)]
    at = np.arange(len(found))

    def accuracy_at(wanted: np.ndarray) -> np.ndarray:
        wanted = np.broadcast_to(wanted, len(found))
        places = wide.columns.get_indexer(wanted)
        off = np.flatnonzero((places < 0) | np.isnan(found[at, places]))
        if len(off):
            raise WiseftError(
                f"alpha {wanted[off[0]]:g} is not on the curve of {rows[off[0]]}: sweep it, or round to the nearest that is"
            )
        return found[at, places]

    chosen = accuracy_at(choices.alpha.to_numpy(float).round(9))
    return choices.assign(
        accuracy=chosen,
        regret=np.nanmax(found, axis=1) - chosen,
        regret_single=accuracy_at(of_run.to_numpy()) - chosen,
        gain=chosen - accuracy_at(np.array(0.5)),
    )


def two_way_interval(values: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Mean of a table of runs and datasets, and its 95 % interval by a bootstrap over both.

    Runs and datasets are drawn apart, for the runs share their datasets: the interval is for other runs *and* other
    datasets of the kind. Few of either make it rough.

    Parameters
    ----------
    values : pandas.DataFrame
        A row a run, a column a dataset; none missing.
    seed : int

    Returns
    -------
    mean, low, high : float

    Explained in notebook 09_choose_alpha.
    """
    found, rng = values.to_numpy(float), np.random.default_rng(seed)
    if np.isnan(found).any() or 0 in found.shape:
        raise WiseftError("the table of runs and datasets has gaps: give every run the same datasets")
    weights = [rng.multinomial(size, np.full(size, 1 / size), DRAWS) / size for size in found.shape]
    means = np.einsum("dr,rc,dc->d", weights[0], found, weights[1])
    return float(found.mean()), *(float(bound) for bound in np.quantile(means, [0.025, 0.975]))


def two_way_table(rows: pd.DataFrame, by: str, value: str = "gain") -> pd.DataFrame:
    """``two_way_interval`` for each group of rows, in points.

    Parameters
    ----------
    rows : pandas.DataFrame
        recipe, seed, dataset, and the columns ``by`` and ``value`` (a fraction).
    by, value : str

    Returns
    -------
    pandas.DataFrame
        Indexed by the groups, in their order: mean, low, high.

    Explained in notebook 09_choose_alpha.
    """
    found = {
        key: two_way_interval(100 * group.pivot(index=["recipe", "seed"], columns="dataset", values=value))
        for key, group in rows.groupby(by, sort=False)
    }
    return pd.DataFrame(found, index=["mean", "low", "high"]).T.rename_axis(by)


def judge(judged: pd.DataFrame, rules: Sequence[str]) -> pd.DataFrame:
    """What each rule loses and gains over all runs and datasets, in points.

    Parameters
    ----------
    judged : pandas.DataFrame
        As ``regret`` returns it: rule, recipe, seed, dataset, alpha, regret, regret_single, gain; every rule for the
        same runs and datasets.
    rules : sequence of str

    Returns
    -------
    pandas.DataFrame
        Indexed by rule: regret, against one alpha, gain (over alpha 0.5), low, high (its 95 % interval for other runs
        and datasets), mean alpha, and the gain of each recipe.

    Explained in notebook 09_choose_alpha.
    """
    table = {}
    for rule in rules:
        some = judged[judged.rule == rule]
        if some.empty:
            raise unknown("rule", rule, set(judged.rule))
        mean, low, high = two_way_table(some, "rule").loc[rule]
        of_recipe = {recipe: 100 * gain for recipe, gain in some.groupby("recipe").gain.mean().items()}
        lost = {"regret": 100 * some.regret.mean(), "against one alpha": 100 * some.regret_single.mean()}
        gained = {"gain": mean, "low": low, "high": high, "mean alpha": some.alpha.mean()}
        table[rule] = lost | gained | of_recipe
    return pd.DataFrame(table).T.rename_axis("rule").round(2)
