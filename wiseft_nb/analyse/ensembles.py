"""Two classifiers, one answer: ensembles of their outputs, and how far those are from ensembles of their weights.

Explained in notebook 07_compare_ensembles.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.asked import check_order
from wiseft_nb.compare import paired, paired_table
from wiseft_nb.engine.compute import evaluating
from wiseft_nb.engine.forward import PATIENCE, forward_over, progress_bar
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.evaluate import Predictions
from wiseft_nb.interpolate import as_alphas, check_alpha, check_pair
from wiseft_nb.models.checks import check_same_inputs
from wiseft_nb.models.classifier import ImageClassifier, check_classifier
from wiseft_nb.sweep import BATCHES_AT_ONCE, has_linear_heads, head_path, same_encoder, weight_path

SPACES = ("logits", "probabilities")


def output_ensemble(
    first: Predictions, second: Predictions, alpha: float | Tensor, space: str = "probabilities"
) -> Predictions:
    """Average what two classifiers say: (1 - alpha) first + alpha second, in logits or in probabilities.

    Wortsman et al. 2022 (arXiv 2109.01903), appendices C.3.1 (logits) and C.3.3 (probabilities). Both
    networks are run for every image.

    Parameters
    ----------
    first, second : Predictions
        Of one dataset, in one order, such as zero-shot and fine-tuned.
    alpha : float or Tensor
        In [0, 1]; a tensor ``(n,)`` has one for each image.
    space : {"logits", "probabilities"}
        Probabilities come back as their logarithms, whose softmax they are. Where a dataset asks for some of
        the classes (``class_subset``, ``class_groups``), they are probabilities among its labels.

    Returns
    -------
    Predictions

    Raises
    ------
    WiseftError
        If the two are not of the same images and classes, alpha is outside [0, 1], space is unknown, or
        probabilities are asked for of labels that share a class.

    Explained in notebook 07_compare_ensembles.
    """
    if space not in SPACES:
        raise unknown("space of an ensemble", space, SPACES)
    check_same_images(first, second)
    if not isinstance(alpha, Tensor):
        check_alpha(alpha)
        alpha = torch.full((first.n,), float(alpha))
    if alpha.shape != (first.n,) or not ((alpha >= 0) & (alpha <= 1)).all():
        raise WiseftError(
            f"alpha is {tuple(alpha.shape)}: expected one number in [0, 1], or one for each of {first.n} images"
        )
    share = alpha.double()[:, None]
    if space == "logits":
        return like(first, (1 - share) * first.logits.double() + share * second.logits.double())
    a, b = (predictions.choices.double().log_softmax(1) for predictions in (first, second))
    return like(first, back_in_place(torch.logaddexp(a + (1 - share).log(), b + share.log()), first))


def back_in_place(log_p: Tensor, predictions: Predictions) -> Tensor:
    """From a column for each label that is asked for to a column for each class: minus infinity for all others."""
    if predictions.class_groups is None and predictions.class_subset is None:
        return log_p
    groups = classes_asked(predictions)
    if len(named := [place for group in groups for place in group]) > len(set(named)):
        raise WiseftError(
            "two labels of the dataset share a class of the classifier, so a probability has no place of its own: "
            'average logits (space="logits")'
        )
    found = torch.full(predictions.logits.shape, -torch.inf, dtype=log_p.dtype)
    for column, group in enumerate(groups):
        found[:, list(group)] = log_p[:, [column]]
    return found


def classes_asked(predictions: Predictions) -> Sequence[Sequence[int]]:
    """The classes of each label that is asked for, as columns of the logits."""
    if predictions.class_groups is not None:
        return predictions.class_groups
    subset = predictions.class_subset
    return [(place,) for place in (range(predictions.logits.shape[1]) if subset is None else subset)]


def check_same_images(first: Predictions, second: Predictions) -> None:
    """Refuse two that were not predicted for the same images and classes."""
    asked = [(p.logits.shape, p.class_subset, p.class_groups) for p in (first, second)]
    if asked[0] != asked[1] or not torch.equal(first.labels, second.labels):
        raise WiseftError(
            f"the two were predicted for other images or classes ({tuple(first.logits.shape)} and "
            f"{tuple(second.logits.shape)}): evaluate both on one dataset"
        )


def like(predictions: Predictions, logits: Tensor) -> Predictions:
    """Other logits for the same images, with all that is asked of them."""
    asked = (predictions.class_subset, predictions.class_groups, predictions.metric)
    return Predictions(logits, predictions.labels, *asked)


def predict_along(
    zero_shot: ImageClassifier,
    fine_tuned: ImageClassifier,
    dataset: Dataset,
    alphas: Sequence[float],
    progress: bool = True,
    workers: int | None = None,
) -> dict[float, Predictions]:
    """Logits of the interpolated classifier for every alpha; every image is read once.

    Parameters
    ----------
    zero_shot, fine_tuned : ImageClassifier
        Not changed.
    dataset : Dataset
    alphas : sequence of float
    progress : bool
    workers : int, optional
        Processes that read images ahead.

    Returns
    -------
    dict of float to Predictions
        In the order of alphas.

    Raises
    ------
    WiseftError
        If the classifiers and the dataset do not belong together.

    Explained in notebook 07_compare_ensembles.
    """
    alphas = as_alphas(alphas)
    check_classifier(zero_shot, fine_tuned)
    check_pair(zero_shot, fine_tuned)
    check_order(dataset, zero_shot.class_names)
    check_same_inputs(zero_shot, fine_tuned, dataset)
    shared = same_encoder(zero_shot, fine_tuned) and has_linear_heads(zero_shot, fine_tuned)
    path = (head_path if shared else weight_path)(zero_shot, fine_tuned)
    names = [repr(alpha) for alpha in alphas]
    with (
        evaluating(zero_shot, fine_tuned),
        progress_bar(len(dataset), "along the path (images)", progress, PATIENCE) as bar,
    ):
        found = forward_over(
            lambda inputs, wanted: dict(
                zip(wanted, (said.cpu() for said in path(inputs, [float(name) for name in wanted])), strict=True)
            ),
            dataset,
            names,
            zero_shot.collate,
            len(zero_shot.class_names),
            batches_at_once=BATCHES_AT_ONCE,
            workers=workers,
            bar=bar,
        )
    return {
        alpha: Predictions.on(dataset, found[name], found["labels"]) for alpha, name in zip(alphas, names, strict=True)
    }


def compare_spaces(
    along: Mapping[str, Mapping[float, Predictions]], alphas: Sequence[float] | None = None
) -> pd.DataFrame:
    """Ensembles of weights against ensembles of outputs of the same two ends, in pairs.

    Parameters
    ----------
    along : dict
        Dataset -> alpha -> predictions of the interpolated classifier, as ``predict_along`` gives them;
        the smallest and the largest alpha are the ends whose outputs are averaged.
    alphas : sequence of float, optional
        Those to compare at; by default all between the ends. Holm's correction is for all that are compared.

    Returns
    -------
    pandas.DataFrame
        Indexed by dataset, alpha and space (logits, probabilities): only_weights and only_outputs (images that one of
        the two alone got right), n, difference (a fraction, weights minus outputs), p (exact McNemar test), holm.

    Explained in notebook 07_compare_ensembles.
    """
    pairs = {}
    for name, path in along.items():
        first, last = ends_of(path)
        for alpha in alphas or [alpha for alpha in path if first < alpha < last]:
            for space in SPACES:
                outputs = output_ensemble(path[first], path[last], (alpha - first) / (last - first), space)
                pairs[name, alpha, space] = paired(path[alpha], outputs)
    table = paired_table(pairs).rename(columns={"only_first": "only_weights", "only_second": "only_outputs"})
    return table.rename_axis(["dataset", "alpha", "space"])


def departure_from_line(path: Mapping[float, Predictions]) -> pd.DataFrame:
    """How far logits along the path are from the straight line between the logits of its ends.

    A network that is linear in its weights along the path has departure 0, and ensembles of weights and of
    logits are one thing (the paper's appendix F).

    Parameters
    ----------
    path : dict
        Alpha -> predictions, as ``predict_along`` gives them; a part of it is the path between its own ends.

    Returns
    -------
    pandas.DataFrame
        A row for each alpha: departure (root mean square over images of the distance from the line, as a
        fraction of the same of the distance between the ends), agreement (fraction of images to which
        averaged weights and averaged logits give one class). Logits are those of the classes that the dataset
        asks for, centred first: a number added to all of them changes no answer.

    Raises
    ------
    WiseftError
        If the path has fewer than two alphas, or its ends say the same.

    Explained in notebook 07_compare_ensembles.
    """
    first, last = ends_of(path)
    centred = {alpha: centre(predictions) for alpha, predictions in path.items()}
    length = (centred[last] - centred[first]).square().sum(1).mean().sqrt().item()
    if not length:
        raise WiseftError("the ends of the path say the same of every image: there is no line to depart from")
    rows = []
    for alpha, predictions in path.items():
        share = (alpha - first) / (last - first)
        away = centred[alpha] - torch.lerp(centred[first], centred[last], share)
        ensemble = output_ensemble(path[first], path[last], share, "logits")
        rows.append(
            {
                "alpha": alpha,
                "departure": away.square().sum(1).mean().sqrt().item() / length,
                "agreement": (predictions.predicted == ensemble.predicted).double().mean().item(),
            }
        )
    return pd.DataFrame(rows)


def ends_of(path: Mapping[float, Predictions]) -> tuple[float, float]:
    """The smallest and the largest alpha of a path."""
    if len(path) < 2:
        raise WiseftError(f"a path of {len(path)} alphas has no two ends: predict along it for two or more")
    return min(path), max(path)


def centre(predictions: Predictions) -> Tensor:
    """Logits of the classes that are asked for, their mean over the classes 0, float64."""
    logits = predictions.logits.double()[:, sorted({place for group in classes_asked(predictions) for place in group})]
    return logits - logits.mean(1, keepdim=True)
