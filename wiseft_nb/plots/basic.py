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
from wiseft_nb.plots.style import BLUE, MARKERS, ORANGE, RED, ROLES
from wiseft_nb.robustness import rows_of
from wiseft_nb.robustness.tidy import check_columns

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch.utils.data import Dataset


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


def plot_answers(
    images: Sequence["Image"], labels: Sequence[str], answers: Mapping[str, Sequence[str]]
) -> tuple[Figure, np.ndarray]:
    """A row of images with what several classifiers say of each below it.

    Parameters
    ----------
    images : sequence of PIL.Image
    labels : sequence of str
        The right answers, above the images.
    answers : mapping of str to sequence of str
        Name of a classifier -> its answers. A wrong one is red and struck by a cross, a right one has a tick.

    Explained in notebook 03_interpolate.
    """
    fig, axes = plt.subplots(
        1, len(images), figsize=(1.05 * len(images) + 1.4, 1.2 + 0.3 * len(answers)), squeeze=False
    )
    for column, (ax, image, label) in enumerate(zip(axes[0], images, labels, strict=True)):
        ax.imshow(image, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(label, fontsize=12)
        for row, said in enumerate(answers.values()):
            right = said[column] == label
            ax.text(
                0.5,
                -0.2 - 0.27 * row,
                f"{said[column]} {'✓' if right else '✗'}",
                color="black" if right else RED,
                weight="normal" if right else "bold",
                ha="center",
                va="center",
                transform=ax.transAxes,
            )
    for row, name in enumerate(answers):
        axes[0, 0].text(-0.25, -0.2 - 0.27 * row, name, ha="right", va="center", transform=axes[0, 0].transAxes)
    sns.despine(fig, left=True, bottom=True)
    fig.subplots_adjust(left=0.18, right=0.99, bottom=0.18 + 0.1 * len(answers), top=0.85, wspace=0.15)
    return fig, axes[0]


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
    before: pd.Series, after: pd.Series, groups: Mapping[str, Sequence[str]], roles: tuple[str, str]
) -> tuple[Figure, Axes]:
    """What a step changed on each dataset: an arrow from one accuracy to the other, by group, sorted by gain.

    Parameters
    ----------
    before, after : pandas.Series
        Accuracies, fractions, indexed by dataset.
    groups : mapping of str to sequence of str
        Name -> datasets; each group is headed by its mean.
    roles : (str, str)
        The two in the legend, keys of ``ROLES``.

    Explained in notebook 02_fine_tune.
    """
    gain, places, names, headings = after - before, [], [], []
    for group, members in groups.items():
        start = len(places) + 1.2 * len(headings)
        headings.append((start, f"{group}: {100 * gain[list(members)].mean():+.1f}"))
        ordered = gain[list(members)].sort_values(ascending=False).index
        places += [start + 1 + i for i in range(len(ordered))]
        names += list(ordered)
    fig, ax = plt.subplots(figsize=(7, 0.36 * (len(names) + len(headings)) + 1.2), layout="constrained")
    for place, name in zip(places, names, strict=True):
        ends = 100 * before[name], 100 * after[name]
        ax.annotate("", (ends[1], place), (ends[0], place), arrowprops=dict(arrowstyle="->", color="0.4", lw=1.2))
        ax.text(max(ends) + 1.2, place, f"{ends[1] - ends[0]:+.1f}", va="center", fontsize=9)
    for role, values, size in zip(roles, (before, after), (12, 7), strict=True):
        ax.plot(100 * values[names], places, ls="none", ms=size, mec="white", label=role, **ROLES[role])
    left = 100 * min(before[names].min(), after[names].min()) - 3
    for place, text in headings:
        ax.text(left, place, text, weight="bold", va="center")
    ax.set_yticks(places, names)
    ax.set(xlabel="accuracy (%), and the change in points", xlim=(left - 1, 107), ylim=(max(places) + 0.8, -1))
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
        colour = sns.color_palette("colorblind")[i % 10]
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
