"""The plane through three sets of weights, and how far each part of a network moved.

Explained in notebook 06_see_why_it_works.
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import evaluate
from wiseft_nb.interpolate import check_pair
from wiseft_nb.models.classifier import ImageClassifier

State = Mapping[str, Tensor]


def plane(zero_shot: ImageClassifier, first: ImageClassifier, second: ImageClassifier) -> np.ndarray:
    """Where three classifiers lie on the plane through them, in units of weight space.

    The zero-shot weights are the origin, the first fine-tuned ones lie on the x axis; the second y is positive
    (Garipov et al. 2018, arXiv 1802.10026, appendix A.1; Wortsman et al. 2022, figure 6 and section 5.2 ask the
    same of a line).

    Returns
    -------
    array
        ``(3, 2)``: x and y of each.

    Raises
    ------
    WiseftError
        If the three lie on one line, or are no three of a kind.

    Explained in notebook 06_see_why_it_works.
    """
    check_pair(zero_shot, first)
    check_pair(zero_shot, second)
    tau, other = (difference(zero_shot, model) for model in (first, second))
    length = tau.norm()
    along = other @ tau / length if length else length
    aside = (other.square().sum() - along.square()).clamp(min=0).sqrt()
    if not aside > 1e-3 * other.norm():  # weights are rounded to float32
        raise WiseftError("the three lie on one line, which has no plane: give two models fine-tuned apart")
    return np.array([[0, 0], [length, 0], [along, aside]], dtype=float)


def landscape(
    zero_shot: ImageClassifier,
    first: ImageClassifier,
    second: ImageClassifier,
    datasets: Mapping[str, Dataset],
    grid: Sequence[tuple[float, float]],
) -> pd.DataFrame:
    """Accuracy at points theta_0 + a (theta_1 - theta_0) + b (theta_2 - theta_0) of the plane through three classifiers.

    Parameters
    ----------
    zero_shot, first, second : ImageClassifier
        theta_0, theta_1, theta_2; not changed.
    datasets : mapping of str to Dataset
    grid : sequence of (a, b)

    Returns
    -------
    pandas.DataFrame
        A row for each point and dataset: a, b, x, y (as ``plane`` has them), dataset, accuracy, n, low, high.

    Explained in notebook 06_see_why_it_works.
    """
    corners = plane(zero_shot, first, second)
    mixed = copy.deepcopy(zero_shot).eval()
    theta_0, *others = ({**model.state_dict()} for model in (zero_shot, first, second))
    rows = []
    for a, b in grid:
        mixed.load_state_dict(
            {
                name: tensor + a * (others[0][name] - tensor) + b * (others[1][name] - tensor)
                if tensor.is_floating_point()
                else tensor
                for name, tensor in theta_0.items()
            }
        )
        x, y = a * corners[1] + b * corners[2]
        for name, images in datasets.items():
            found = evaluate(mixed, images, progress=False).row()
            rows.append({"a": a, "b": b, "x": x, "y": y, "dataset": name} | found)
    return pd.DataFrame(rows)


def parameters_of(classifier: ImageClassifier) -> dict[str, Tensor]:
    """Trained tensors by name: BatchNorm's statistics, which no gradient moves, are no part of the distance."""
    return {name: parameter.detach().double().cpu() for name, parameter in classifier.named_parameters()}


def difference(zero_shot: ImageClassifier, other: ImageClassifier) -> Tensor:
    """All trained weights of one minus those of the other, as one vector."""
    theta_0, theta_1 = parameters_of(zero_shot), parameters_of(other)
    return torch.cat([(theta_1[name] - tensor).flatten() for name, tensor in theta_0.items()])


def moved(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, depth: int = 2) -> pd.DataFrame:
    """How far fine-tuning moved each part of the network.

    Parameters
    ----------
    zero_shot, fine_tuned : ImageClassifier
    depth : int
        A part is named by the first so many pieces of its tensors' names: 2 tells the blocks of an encoder apart.

    Returns
    -------
    pandas.DataFrame
        A row for each part, in the network's order: parameters (their number), distance (length of theta_1 -
        theta_0), relative (the same by the length of theta_0), share (of the squared distance of all).

    Explained in notebook 06_see_why_it_works.
    """
    check_pair(zero_shot, fine_tuned)
    theta_0, theta_1 = parameters_of(zero_shot), parameters_of(fine_tuned)
    parts: dict[str, list[float]] = {}
    for name, tensor in theta_0.items():
        sums = parts.setdefault(".".join(name.split(".")[:depth]), [0, 0.0, 0.0])
        for place, value in enumerate((tensor.numel(), (theta_1[name] - tensor).square().sum(), tensor.square().sum())):
            sums[place] += float(value)
    table = pd.DataFrame(parts, index=["parameters", "squared", "length"]).T.rename_axis("part")
    distance = table.squared**0.5
    return pd.DataFrame(
        {
            "parameters": table.parameters.astype(int),
            "distance": distance,
            "relative": distance / table.length**0.5,
            "share": table.squared / table.squared.sum(),
        }
    )
