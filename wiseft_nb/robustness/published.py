"""Published accuracies, in one schema, with a source for every row.

``data/published/README.md`` says where each table comes from. Tables are made by
``python -m wiseft_nb.make.published``.

Explained in notebook 05_redraw_the_paper.
"""

from collections.abc import Mapping
from numbers import Integral

import pandas as pd

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.intervals import accuracy_interval
from wiseft_nb.paths import DATA
from wiseft_nb.robustness import check_fractions, standard_by_testbed_rule, with_intervals
from wiseft_nb.robustness.points import MEAN, mean_of_shifts

FOLDER = DATA / "published"
KEY = ["source", "model", "pretrained", "method"]
SCHEMA = [*KEY, "alpha", "dataset", "accuracy", "n"]
DTYPES = {"n": "Int64", "pretrained": str, "alpha": float}
SHIFTS = ("ImageNet-V2", "ImageNet-R", "ImageNet-Sketch", "ObjectNet", "ImageNet-A")  # the paper's five
IMAGES = {  # images behind an accuracy, where a table says nothing else
    "ImageNet": 50_000,
    "ImageNet-V2": 10_000,
    "ImageNet-R": 30_000,
    "ImageNet-Sketch": 50_889,
    "ObjectNet": 18_574,
    "ImageNet-A": 7_500,
    "ImageNet (classes of ImageNet-R)": 10_000,
    "ImageNet (classes of ObjectNet)": 6_250,
    "ImageNet (classes of ImageNet-A)": 10_000,
}


def published_tables() -> list[str]:
    """The names ``published`` knows.

    >>> "paper_alpha_sweeps" in published_tables()
    True

    Explained in notebook 05_redraw_the_paper.
    """
    return sorted(path.stem for path in FOLDER.glob("*.csv") if not path.stem.endswith(".details"))


def published(name: str, details: bool = False) -> pd.DataFrame:
    """A table of published accuracies.

    Parameters
    ----------
    name : str
        One of ``published_tables()``.
    details : bool
        Whether to add what else is known of each model, such as its learning rate, as further columns; in
        ``detection``, of each figure.

    Returns
    -------
    pandas.DataFrame
        source, model, pretrained, method, alpha, dataset, accuracy, n; a row for each accuracy.
        accuracy is a fraction; alpha is empty where nothing was interpolated or it was chosen afterwards;
        n is the number of images, empty where the figure is no plain accuracy.

    Examples
    --------
    >>> table = published("paper_tables")
    >>> list(table.columns)
    ['source', 'model', 'pretrained', 'method', 'alpha', 'dataset', 'accuracy', 'n']

    Explained in notebook 05_redraw_the_paper.
    """
    if name not in published_tables():
        raise unknown("published table", name, published_tables())
    table = pd.read_csv(FOLDER / f"{name}.csv", dtype=DTYPES)
    table = table.assign(pretrained=table.pretrained.fillna(""))
    if details:
        path = FOLDER / f"{name}.details.csv"
        if not path.exists():
            raise WiseftError(f"the table {name!r} has no details: ask for it without")
        more = pd.read_csv(path, dtype={"pretrained": str})
        known = [column for column in SCHEMA if column in more]  # of models, or of each of their figures
        table = table.merge(more.assign(pretrained=more.pretrained.fillna("")), on=known, how="left", validate="m:1")
    return table


def own_model(
    name: str, accuracies: Mapping[str, float | tuple[int, int]], alpha: float = float("nan")
) -> pd.DataFrame:
    """Rows for a model of your own, ready to be drawn beside the published ones.

    Parameters
    ----------
    name : str
    accuracies : dict
        Dataset -> accuracy as a fraction, or ``(correct, n)``.
    alpha : float, optional

    Returns
    -------
    pandas.DataFrame
        In the schema of ``published``, with low and high (95 % Clopper-Pearson).

    Examples
    --------
    >>> own_model("mine", {"ImageNet": 0.8, "ImageNet-V2": (7000, 10000)}).accuracy.tolist()
    [0.8, 0.7]

    Explained in notebook 05_redraw_the_paper.
    """
    rows = []
    for dataset, value in accuracies.items():
        if dataset not in IMAGES:
            raise unknown("dataset", dataset, IMAGES)
        if isinstance(value, tuple):
            if len(value) != 2 or not all(isinstance(count, Integral) for count in value):
                raise WiseftError(
                    f"{dataset}: {value} is no pair of whole numbers, (images classified correctly, all images); "
                    "give that, or the accuracy alone as a fraction"
                )
            (correct, n), accuracy = value, None
        else:
            accuracy, n = float(check_fractions(value, f"the accuracy on {dataset}")), IMAGES[dataset]
            correct = round(accuracy * n)
        interval = accuracy_interval(correct, n)
        accuracy = correct / n if accuracy is None else accuracy
        rows.append(("your own", name, "", "your own", alpha, dataset, accuracy, n, *interval))
    return pd.DataFrame(rows, columns=[*SCHEMA, "low", "high"])


def with_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Intervals, and rows for the mean of the paper's five shifts where a model has all five.

    ``.attrs["left_out"]`` holds the names of the models that have some of the five, not all.
    """
    table = with_intervals(table)
    if MEAN in set(table.dataset):  # printed in the table
        return table
    keys = [*KEY, "alpha"]
    five = table[table.dataset.isin(SHIFTS)]
    complete = five.groupby(keys, dropna=False).dataset.transform("nunique") == len(SHIFTS)
    mean = [mean_of_shifts(five[complete], SHIFTS)] if complete.any() else []
    table = pd.concat([table, *mean], ignore_index=True)
    table.attrs["left_out"] = tuple(five.model[~complete].unique())
    return table


def model_groups() -> dict[str, pd.DataFrame]:
    """All published models, in the groups that the notebook draws, with intervals and the mean of shifts.

    Returns
    -------
    dict
        Name of a group -> tidy table with low and high. The standard models come first. Nine of LAION's
        scaling runs stand among the zero-shot CLIP models too; PE-Core has no figures for R and Sketch.

    Explained in notebook 05_redraw_the_paper.
    """
    testbed = with_mean(published("testbed"))
    standard = standard_by_testbed_rule(testbed)
    rest = testbed[~testbed.model.isin(standard.model) & (testbed.method != "low-accuracy CNN")]
    timm = published("timm")
    runs = with_mean(published("fine_tuned_clip_b32_runs"))
    sweeps = with_mean(published("paper_alpha_sweeps"))
    newer = with_mean(published("newer_zero_shot", details=True))
    return {
        "standard models": standard,
        "testbed, more data": rest[rest.method == "more data"],
        "testbed, robustness interventions": rest[rest.method.str.startswith("robustness")],
        "zero-shot CLIP models": with_mean(published("open_clip_zero_shot")),
        "LAION's scaling runs": newer[newer.family == "LAION scaling laws"],
        "MobileCLIP and MobileCLIP2": newer[newer.family.str.startswith("MobileCLIP")],
        "PE-Core": newer[newer.family == "PE-Core"],
        "CLIP fine-tuned, timm": with_mean(timm[timm.method.str.startswith("fine-tuned CLIP")]),
        "fine-tunings of one CLIP": runs[runs.method == "end-to-end"],
        "soups of them": runs[runs.method != "end-to-end"],
        "the paper's WiSE-FT curves": sweeps,
    }
