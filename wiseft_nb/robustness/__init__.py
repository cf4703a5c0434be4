"""Tidy table + baseline -> effective robustness.

``tidy`` checks tables and lays accuracies side by side; ``baseline`` fits the line of the standard
models; ``points`` measures how far accuracies are from it.

Explained in notebooks 04_measure_robustness and 05_redraw_the_paper.
"""

import pandas as pd

from wiseft_nb.errors import unknown
from wiseft_nb.paths import DATA
from wiseft_nb.robustness.baseline import SCALES, Baseline, fit_baseline
from wiseft_nb.robustness.points import (
    MEAN,
    effective_robustness,
    fit_table,
    mean_of_shifts,
    relative_robustness,
    standard_by_testbed_rule,
)
from wiseft_nb.robustness.tidy import by_seed, check_axis, check_fractions, rows_of, side_by_side, with_intervals

__all__ = [
    "MEAN",
    "SCALES",
    "Baseline",
    "by_seed",
    "check_axis",
    "check_fractions",
    "effective_robustness",
    "fit_baseline",
    "fit_table",
    "load_standard_models",
    "mean_of_shifts",
    "relative_robustness",
    "rows_of",
    "side_by_side",
    "standard_by_testbed_rule",
    "with_intervals",
]


def load_standard_models(benchmark: str = "digits") -> pd.DataFrame:
    """Committed accuracies of the standard models: trained on the reference only, no CLIP.

    Returns
    -------
    pandas.DataFrame
        A row for each model and dataset: model, family, train_size, augmentation, dataset, accuracy,
        n, low, high. Made by ``python -m wiseft_nb.make.standard_models``.

    Explained in notebook 04_measure_robustness.
    """
    path = DATA / "baselines" / f"{benchmark}.csv"
    if not path.exists():
        raise unknown("table of standard models", benchmark, [p.stem for p in path.parent.glob("*.csv")])
    return pd.read_csv(path)
