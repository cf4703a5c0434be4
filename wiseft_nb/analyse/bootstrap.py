"""Any figure that is made of accuracies, with its interval over images, and over seeds.

Explained in notebook 07_compare_ensembles.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import t

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import DRAWS, DRAWS_AT_ONCE, drawn

FINE = 20  # points between two neighbours of a curve
Statistic = Callable[[dict[str, np.ndarray]], np.ndarray]  # dataset -> (draws, columns) to (draws,) or (draws, figures)


def bootstrapped(
    statistic: Statistic,
    right: Mapping[str, np.ndarray],
    sources: Mapping[str, np.ndarray | None] | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A figure made of accuracies on several datasets, and its 95 % interval by the bootstrap over images.

    All classifiers are judged on the same drawn images, so a difference between two is a paired one.

    Parameters
    ----------
    statistic : function
        Accuracies, dataset -> ``(draws, columns)``, to ``(draws,)`` or ``(draws, figures)``.
    right : dict
        Dataset -> whether each image was right, bool ``(n, columns)``: a column a classifier.
    sources : dict, optional
        Dataset -> number of the thing that each image was made of, or None: images of one number, in all
        datasets, are drawn together.
    seed : int

    Returns
    -------
    value, low, high : array
        The figure on all images, and the percentiles of the draws.

    Explained in notebook 07_compare_ensembles.
    """
    sources, rng, found = dict(sources or {}), np.random.default_rng(seed), []
    known = [source for name in right if (source := sources.get(name)) is not None]
    shared = np.unique(np.concatenate([*known, np.empty(0, int)]))
    columns = {name: answers.astype(np.float32) for name, answers in right.items()}
    for _ in range(0, DRAWS, DRAWS_AT_ONCE):
        weights, of_each = drawn(rng, len(shared)), {}
        for name, answers in columns.items():
            source = sources.get(name)
            own = drawn(rng, len(answers)) if source is None else weights[:, np.searchsorted(shared, source)]
            of_each[name] = own @ answers / own.sum(axis=1, keepdims=True)
        found.append(statistic(of_each))
    low, high = np.nanquantile(np.concatenate(found), [0.025, 0.975], axis=0)
    plain = statistic({name: answers.mean(axis=0, dtype=np.float64)[None] for name, answers in right.items()})[0]
    return plain, low, high


def best_at_equal_reference(x: np.ndarray, y: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The best accuracy under shift on a curve, for those who give up no more reference accuracy than ``wanted``.

    Between two neighbouring alphas both accuracies are taken as straight lines. Where the curve nowhere
    reaches ``wanted``, its point of highest reference accuracy counts.

    Parameters
    ----------
    x, y : array
        ``(draws, alphas)``: accuracy on the reference and under shift, along the curve.
    wanted : array
        ``(draws,)``: a method's accuracy on the reference.

    Returns
    -------
    array
        ``(draws,)``.

    Examples
    --------
    >>> x, y = np.array([[0.5, 0.9, 0.8]]), np.array([[0.4, 0.6, 0.2]])
    >>> [round(float(best_at_equal_reference(x, y, np.array([wanted]))[0]), 6) for wanted in (0.5, 0.7, 0.9, 0.95)]
    [0.6, 0.6, 0.6, 0.6]

    Explained in notebook 07_compare_ensembles.
    """
    x, y, wanted = (np.asarray(values, dtype=float) for values in (x, y, wanted))
    if x.shape != y.shape or x.ndim != 2 or wanted.shape != x.shape[:1]:
        raise WiseftError(
            f"the curve is {x.shape} and {y.shape}, wanted {wanted.shape}: expected (draws, alphas), (draws,)"
        )
    share = np.linspace(0, 1, FINE + 1)
    x, y = (np.concatenate([v[:, :1], between(v, share)], axis=1) for v in (x, y))
    allowed = x >= wanted[:, None] - 1e-9
    highest = np.take_along_axis(y, x.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(allowed.any(axis=1), np.where(allowed, y, -np.inf).max(axis=1), highest)


def between(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """All points on the straight lines between neighbouring columns, ``(draws, pieces * shares)``."""
    pieces = values[:, :-1, None] * (1 - share) + values[:, 1:, None] * share
    return pieces.reshape(len(values), -1)


def over_seeds(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over seeds of one figure, and a 95 % interval that knows of seeds and of images.

    Seeds vary by themselves (Student's t, few degrees of freedom); the test images are the same for all of them,
    so their error does not shrink with the number of seeds. The two are added in squares.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row a seed: value, low, high (of the bootstrap over images; NaN where there are none).

    Returns
    -------
    mean, low, high : float

    Explained in notebook 07_compare_ensembles.
    """
    values = rows.value.to_numpy(float)
    if len(values) < 2:
        raise WiseftError(f"{len(values)} seeds show no spread: give two or more")
    of_seeds = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    widths = (rows.high - rows.low).to_numpy(float) / 2
    of_images = np.sqrt(np.nanmean(widths**2)) if np.isfinite(widths).any() else 0.0
    mean, half = values.mean(), float(np.hypot(of_seeds, of_images))
    return float(mean), mean - half, mean + half


def seeds_table(rows: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """``over_seeds`` for each group of rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        seed, value, low, high, and the columns to group by; one row a seed in each group.
    by : str or list of str

    Returns
    -------
    pandas.DataFrame
        Indexed by the groups, in their order: mean, low, high, least and most (the lowest and the highest seed).

    Raises
    ------
    WiseftError
        If a seed stands twice in a group: then the columns to group by do not tell its rows apart.

    Explained in notebook 07_compare_ensembles.
    """
    found = {}
    for key, group in rows.groupby(by, sort=False, dropna=False):
        if group.seed.duplicated().any():
            raise WiseftError(
                f"seed {group.seed[group.seed.duplicated()].iloc[0]} stands twice in {key}: group by more columns"
            )
        found[key] = (*over_seeds(group), group.value.min(), group.value.max())
    table = pd.DataFrame(found, index=["mean", "low", "high", "least", "most"]).T
    return table.rename_axis(by) if isinstance(by, list) else table.rename_axis(index=by)


def in_points(table: pd.DataFrame) -> pd.Series:
    """Fractions of a ``seeds_table`` as texts in points: mean (low to high), with signs.

    Examples
    --------
    >>> in_points(pd.DataFrame({"mean": [0.012], "low": [-0.001], "high": [0.025]})).tolist()
    ['+1.2 (-0.1 to +2.5)']

    Explained in notebook 07_compare_ensembles.
    """
    columns = (100 * table[column] for column in ("mean", "low", "high"))
    texts = [f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" for mean, low, high in zip(*columns, strict=True)]
    return pd.Series(texts, table.index, dtype=object)


def accuracy_of(names: Sequence[str], column: int = 0) -> Statistic:
    """Mean accuracy over datasets of one classifier, as a statistic."""
    return lambda found: np.mean([found[name][:, column] for name in names], axis=0)
