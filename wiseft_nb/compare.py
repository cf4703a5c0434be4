"""Two classifiers on the same images, compared in pairs.

Explained in notebook 02_fine_tune.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from statsmodels.stats.multitest import multipletests

from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions
from wiseft_nb.intervals import mcnemar


@dataclass(frozen=True)
class Paired:
    """Two classifiers on the same images: on how many which of them was right.

    Attributes
    ----------
    both, only_first, only_second, neither : int
        Numbers of images.

    Explained in notebook 02_fine_tune.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def n(self) -> int:
        """Number of images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the first minus accuracy of the second, a fraction."""
        return (self.only_first - self.only_second) / self.n

    @property
    def p(self) -> float:
        """Exact McNemar test: how often a fair coin splits the images in dispute as unevenly, or more so."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def standard_error(self) -> float:
        """Of the difference, a fraction: images that both read alike do not count (Agresti 2013, section 11.1.1)."""
        disputed, uneven = self.only_first + self.only_second, self.only_first - self.only_second
        return (disputed - uneven**2 / self.n) ** 0.5 / self.n

    def __str__(self) -> str:
        return f"{self.only_first} : {self.only_second} of {self.n:,}, p = {self.p:.2g}"


def paired(predictions: Predictions, others: Predictions) -> Paired:
    """Compare two classifiers on the same images, image by image.

    Intervals of two accuracies say little about their difference where both come from the same images: most
    are right for both. The images on which one is right and the other wrong decide (McNemar 1947).

    Parameters
    ----------
    predictions, others : Predictions
        Of two classifiers on one dataset, in one order.

    Returns
    -------
    Paired

    Raises
    ------
    WiseftError
        If the labels, or the classes and metric that were asked for, are not the same.

    Examples
    --------
    >>> labels = torch.tensor([0, 1, 1, 0])
    >>> perfect = Predictions(torch.eye(2)[labels], labels)
    >>> always_1 = Predictions(torch.tensor([[0.0, 1.0]]).expand(4, 2), labels)
    >>> found = paired(perfect, always_1)
    >>> found.only_first, found.only_second, found.difference, found.p
    (2, 0, 0.5, 0.5)

    Explained in notebook 02_fine_tune.
    """
    if not torch.equal(predictions.labels, others.labels):
        raise WiseftError(
            f"the two were not predicted for the same images ({predictions.n} and {others.n}, other labels): "
            "evaluate both on one dataset"
        )
    for name in ("class_subset", "class_groups"):
        if getattr(predictions, name) != getattr(others, name):
            raise WiseftError(f"the two choose among other classes ({name} differs): evaluate both on one dataset")
    first, second = predictions.correct, others.correct
    cells = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Paired(*(int(cell.sum()) for cell in cells))


def paired_table(pairs: Mapping[Hashable, Paired]) -> pd.DataFrame:
    """Many comparisons at once, with p values corrected for their number (Holm 1979).

    Of twenty comparisons of equal classifiers one has p < 0.05 by chance; of ``holm`` none has, in 19 of 20 such
    tables.

    Parameters
    ----------
    pairs : mapping of name to Paired
        All comparisons that a sentence rests on, not those alone that came out well.

    Returns
    -------
    pandas.DataFrame
        A row a comparison: only_first, only_second, n (images), difference (a fraction), p, holm.

    Explained in notebook 02_fine_tune.
    """
    columns = ["only_first", "only_second", "n", "difference", "p"]
    rows = [[getattr(pair, column) for column in columns] for pair in pairs.values()]
    table = pd.DataFrame(rows, index=pd.Index(list(pairs), tupleize_cols=True), columns=columns)
    return table.assign(holm=multipletests(table.p, method="holm")[1] if len(table) else [])
