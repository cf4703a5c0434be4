"""Images, training histories, curves over alpha.

Explained in notebooks 00_start_here, 02_fine_tune and 03_interpolate.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import Z
from wiseft_nb.plots.style import BLUE, MARKERS, ORANGE, ROLES, SERIES, SKY
from wiseft_nb.robustness import rows_of
from wiseft_nb.robustness.tidy import check_columns

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch.utils.data import Dataset

    from wiseft_nb.compare import Paired


def plot_images(datasets: "dict[str, Dataset]", columns: int = 16, step: int = 1) -> tuple[Figure, Axes]:
    """A contact sheet: the first images of every dataset, or every ``step``-th, a row each.

    Explained in notebook 00_start_here.
    """
    rows = []
    for dataset in datasets.values():
        places = [i * step % len(dataset) for i in range(min(columns, len(dataset)))]
        tiles = [np.asarray(dataset[i][0].convert("RGB").resize((32, 32))) for i in places]
        tiles += [np.full_like(tiles[0], 255)] * (columns - len(tiles))
        rows.append(np.concatenate(tiles, axis=1))
    # at 72 dots an inch a tile is about as large as its 32 pixels
    fig, ax = plt.subplots(figsize=(columns * 0.5 + 1.2, len(rows) * 0.5 + 0.2), dpi=72)
    ax.imshow(np.concatenate(rows), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([32 * i + 16 for i in range(len(rows))], datasets)
    ax.tick_params(length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    fig.tight_layout()
    return fig, ax


def plot_history(history: Sequence[dict]) -> tuple[Figure, Axes]:
    """Training loss and validation accuracy over the epochs of ``classifier.history``.

    Explained in notebook 02_fine_tune.
    """
    table = pd.DataFrame(history)
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.plot(table.epoch, table.loss, "o-", color=ORANGE)
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(table.epoch, 100 * table.val_accuracy, "o-", color=BLUE)
    right.set(xlabel="epoch", ylabel="validation accuracy (%)")
    sns.despine(fig)
    fig.tight_layout()
    return fig, np.array([left, right])


def plot_change(
    pairs: "Mapping[str, Paired]", groups: Mapping[str, Sequence[str]], roles: tuple[str, str]
) -> tuple[Figure, Axes]:
    """What a step changed on each dataset: an arrow from one accuracy to the other, by group, sorted by gain.

    The bar at an arrow's head is the 95 % interval of the change, from the images on which the two differ.

    Parameters
    ----------
    pairs : mapping of str to Paired
        Dataset -> ``paired(after, before)``.
    groups : mapping of str to sequence of str
        Name -> datasets; each group is headed by its mean.
    roles : (str, str)
        The two in the legend, before and after, keys of ``ROLES``.

    Explained in notebook 02_fine_tune.
    """
    rows = [
        (100 * (pair.both + pair.only_second) / pair.n, 100 * (pair.both + pair.only_first) / pair.n, pair.n)
        for pair in pairs.values()
    ]
    table = pd.DataFrame(rows, index=list(pairs), columns=["before", "after", "n"])
    gain = table.after - table.before
    error = pd.Series({name: 100 * Z * pair.standard_error for name, pair in pairs.items()})
    places, names, headings = [], [], []
    for group, members in groups.items():
        start = len(places) + 1.2 * len(headings)
        headings.append((start, f"{group}: {gain[list(members)].mean():+.1f}"))
        ordered = gain[list(members)].sort_values(ascending=False).index
        places += [start + 1 + i for i in range(len(ordered))]
        names += list(ordered)
    fig, ax = plt.subplots(figsize=(7, 0.36 * (len(names) + len(headings)) + 1.2), layout="constrained")
    for place, name in zip(places, names, strict=True):
        ends = table.before[name], table.after[name]
        ax.annotate("", (ends[1], place), (ends[0], place), arrowprops=dict(arrowstyle="->", color="0.4", lw=1.2))
        right = max(ends[0], ends[1] + error[name])
        ax.text(right + 1.2, place, f"{gain[name]:+.1f}", va="center", fontsize=9)
    table = table.loc[names]
    ax.errorbar(table.after, places, xerr=error[names], fmt="none", ecolor=ROLES[roles[1]]["color"], elinewidth=1.5)
    for role, values, size in zip(roles, (table.before, table.after), (12, 7), strict=True):
        ax.plot(values, places, ls="none", ms=size, mec="white", label=role, **ROLES[role])
    left = table[["before", "after"]].min(axis=None) - 3
    for place, text in headings:
        ax.text(left, place, text, weight="bold", va="center")
    ax.set_yticks(places, [f"{name} (n={n:,})" for name, n in table.n.items()])
    ax.set(xlim=(left - 1, 107), ylim=(max(places) + 0.8, -1))
    ax.set_xlabel("accuracy (%); numbers: the change in points; bars: its 95 % interval")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    sns.despine(ax=ax)
    return fig, ax


def plot_curves(
    table: pd.DataFrame, datasets: Sequence[str], ax: Axes | None = None, chords: bool = False
) -> tuple[Figure, Axes]:
    """Accuracy against alpha, a line a dataset, with 95 % intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        As ``sweep`` returns it.
    datasets : sequence of str
        Which to draw; n stands in the legend.
    chords : bool
        Whether to draw the straight line between the two ends of each, dotted.

    Explained in notebook 03_interpolate.
    """
    check_columns(table, ["alpha", "dataset", "accuracy", "n", "low", "high"], "give one as sweep returns it")
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(6, 4))
    for i, name in enumerate(datasets):
        rows = rows_of(table, name).sort_values("alpha")
        if rows.alpha.duplicated().any():
            raise WiseftError(f"{name} has more than one accuracy for one alpha: draw one sweep at a time")
        colour = SERIES[i % 10]
        ax.plot(
            rows.alpha,
            100 * rows.accuracy,
            marker=MARKERS[i % 10],
            ms=5,
            color=colour,
            label=name if pd.isna(rows.n.iloc[0]) else f"{name} (n={rows.n.iloc[0]:,.0f})",
        )
        ax.fill_between(rows.alpha, 100 * rows.low, 100 * rows.high, color=colour, alpha=0.15, lw=0)
        if chords:
            ends = rows[rows.alpha.isin([0, 1])]
            ax.plot(ends.alpha, 100 * ends.accuracy, ":", color=colour, lw=1.2)
    ax.set(xlabel=r"$\alpha$   (0 zero-shot, 1 fine-tuned)", ylabel="accuracy (%)")
    ax.legend(fontsize=9)
    sns.despine(ax=ax)
    return fig, ax


def plot_heat(curve: pd.DataFrame, groups: Mapping[str, Sequence[str]], ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Accuracy as colour and number, a row a dataset and a column an alpha; a frame around each row's best.

    Parameters
    ----------
    curve : pandas.DataFrame
        Fractions, alpha as index, datasets as columns.
    groups : mapping of str to sequence of str
        Which datasets stand together; those in none come first.

    Explained in notebook 03_interpolate.
    """
    grouped = {name for names in groups.values() for name in names}
    parts = [[name for name in curve.columns if name not in grouped], *groups.values()]
    rows = 100 * curve[[name for part in parts for name in part]].T
    fig, ax = (ax.figure, ax) if ax else plt.subplots(figsize=(9, 0.36 * len(rows) + 1.2))
    shades = sns.light_palette(SKY, as_cmap=True)  # light enough for black numbers
    sns.heatmap(rows, annot=True, fmt=".1f", cmap=shades, annot_kws={"size": 9, "color": "black"}, ax=ax, cbar=False)
    for place, best in enumerate(rows.to_numpy().argmax(axis=1)):
        ax.add_patch(plt.Rectangle((best + 0.04, place + 0.05), 0.92, 0.9, fill=False, ec="black", lw=1.8, zorder=3))
    for line in np.cumsum([len(part) for part in parts])[:-1]:
        ax.axhline(line, color="white", lw=5)
    ends = {0.0: "0\nzero-shot", 1.0: "1\nfine-tuned"}
    ax.set_xticks(np.arange(rows.shape[1]) + 0.5, [ends.get(alpha, f"{alpha:g}") for alpha in curve.index], rotation=0)
    ax.set(xlabel=r"$\alpha$", ylabel="")
    ax.tick_params(length=0)
    return fig, ax


def plot_answers(
    rows: "Mapping[str, Sequence[tuple[Image, object, Mapping[str, object]]]]",
) -> tuple[Figure, np.ndarray]:
    """Images with what several models say of them below; wrong answers are white on the model's colour.

    Parameters
    ----------
    rows : mapping of str to sequence of (image, label, answers)
        A row of images a name. ``answers`` maps each model to its answer; a model that is no role of
        ``ROLES`` is drawn as an interpolated one.

    Explained in notebook 03_interpolate.
    """
    width = max(len(row) for row in rows.values())
    fig, axes = plt.subplots(
        len(rows), width, figsize=(1.05 * width + 0.9, 1.36 * len(rows) + 0.5), squeeze=False, layout="constrained"
    )
    models = {}
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        for ax in line:
            ax.axis("off")
        for ax, (image, label, answers) in zip(line, row, strict=False):
            ax.imshow(np.asarray(image.convert("RGB")), interpolation="nearest")
            for place, (model, answer) in enumerate(answers.items()):
                look = models.setdefault(model, ROLES.get(model, ROLES["interpolated"]))
                wrong = answer != label
                box = dict(boxstyle="round,pad=0.2", fc=look["color"] if wrong else "none", ec="none")
                ax.text(
                    (2 * place + 1) / (2 * len(answers)),
                    -0.15,
                    str(answer),
                    transform=ax.transAxes,
                    ha="center",
                    va="center",
                    fontsize=12,
                    fontweight="bold",
                    color="white" if wrong else look["color"],
                    bbox=box,
                )
        line[0].text(-0.12, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=12)
    handles = [plt.Line2D([], [], ls="none", ms=10, label=model, **look) for model, look in models.items()]
    handles.append(plt.Line2D([], [], ls="none", label="(white in a box: wrong)"))
    fig.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=12, handletextpad=0.1)
    return fig, axes
