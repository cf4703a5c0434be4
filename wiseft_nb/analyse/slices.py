"""Accuracy on the line, sliced: what one line through whole test sets hides.

Explained in notebook 06_see_why_it_works.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import accuracy_row
from wiseft_nb.paths import DATA
from wiseft_nb.robustness import load_standard_models


def load_standard_answers(benchmark: str = "digits") -> dict[str, pd.DataFrame]:
    """Which images of each test set every standard model read.

    Returns
    -------
    dict of str to pandas.DataFrame
        Dataset -> bool ``(images, models)``, columns named by model. Made by
        ``python -m wiseft_nb.make.standard_models``.

    Explained in notebook 06_see_why_it_works.
    """
    table = load_standard_models(benchmark)
    sizes = table.drop_duplicates("dataset").set_index("dataset").n
    with np.load(DATA / "baselines" / f"{benchmark}.npz", allow_pickle=False) as file:
        bits = {model: np.unpackbits(file[model], count=int(sizes.sum())).astype(bool) for model in file.files}
    if set(bits) != set(table.model):
        raise WiseftError(f"{benchmark}.npz and {benchmark}.csv are of other models: make both again")
    all_of_them, starts = pd.DataFrame(bits), np.concatenate([[0], sizes.cumsum()])
    return {
        name: all_of_them.iloc[start:stop].reset_index(drop=True)
        for name, start, stop in zip(sizes.index, starts[:-1], starts[1:], strict=True)
    }


def slice_accuracies(right: pd.DataFrame, slices: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Accuracy of many models on parts of one test set.

    Parameters
    ----------
    right : pandas.DataFrame
        Bool ``(images, models)``.
    slices : mapping of str to array
        Name -> bool ``(images,)``: which images belong to the part.

    Returns
    -------
    pandas.DataFrame
        Tidy: model, dataset (the part's name), accuracy, n, low, high, as ``fit_table`` takes it.

    Raises
    ------
    WiseftError
        If a part has no image, or no entry for each.

    Explained in notebook 06_see_why_it_works.
    """
    rows = []
    for name, inside in slices.items():
        inside = np.asarray(inside)
        if inside.shape != (len(right),) or inside.dtype != bool:
            raise WiseftError(
                f"slice {name!r} is {inside.dtype} {inside.shape}: expected bool ({len(right)},), one an image"
            )
        if not inside.any():
            raise WiseftError(f"slice {name!r} holds no image: leave it out")
        counts = right[inside].sum()
        rows += [
            {"model": model, "dataset": name} | accuracy_row(int(count), int(inside.sum()))
            for model, count in counts.items()
        ]
    return pd.DataFrame(rows)
