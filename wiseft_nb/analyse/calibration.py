"""Whether a classifier is right as often as it says: calibration error, reliability, temperature.

Explained in notebook 06_see_why_it_works.
"""

import dataclasses

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions
from wiseft_nb.intervals import accuracy_interval

BINS = 15


def probabilities(predictions: Predictions) -> Tensor:
    """Of the labels that are asked for, float64 ``(n, labels)``."""
    return predictions.choices.double().softmax(1)


def confidence(predictions: Predictions) -> np.ndarray:
    """The probability of each predicted label, ``(n,)``."""
    return probabilities(predictions).amax(1).numpy()


def entropy(p: Tensor) -> Tensor:
    """Of probabilities, over the last dimension, in nats."""
    return torch.special.entr(p).sum(-1)


def reliability(predictions: Predictions, bins: int = BINS) -> pd.DataFrame:
    """Accuracy by confidence, in bins of equal width.

    Guo et al. 2017 (arXiv 1706.04599), section 2.

    Returns
    -------
    pandas.DataFrame
        A row for each bin that holds an image: confidence (its mean), accuracy, n, low, high (95 %); fractions.

    Explained in notebook 06_see_why_it_works.
    """
    if bins < 1:
        raise WiseftError(f"bins is {bins}: give at least 1")
    sure, right = confidence(predictions), predictions.correct.numpy()
    place = np.minimum((sure * bins).astype(int), bins - 1)
    rows = []
    for of_bin in range(bins):
        inside = place == of_bin
        if n := int(inside.sum()):
            low, high = accuracy_interval(int(right[inside].sum()), n)
            rows.append([sure[inside].mean(), right[inside].mean(), n, low, high])
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "n", "low", "high"])


def calibration_error(predictions: Predictions, bins: int = BINS) -> float:
    """Expected calibration error (ECE): mean distance of accuracy and confidence over the bins, weighed by their n.

    Guo et al. 2017, equation 3. A fraction, in [0, 1]; with few images a little above 0 even if calibrated.

    Explained in notebook 06_see_why_it_works.
    """
    table = reliability(predictions, bins)
    return float((table.n * (table.accuracy - table.confidence).abs()).sum() / table.n.sum())


def negative_log_likelihood(predictions: Predictions, temperature: float = 1.0) -> float:
    """Mean of -log p(label), in nats, after the logits were divided by the temperature.

    Explained in notebook 06_see_why_it_works.
    """
    log_p = (predictions.choices.double() / temperature).log_softmax(1)
    return -log_p.gather(1, places(predictions)[:, None]).mean().item()


def fit_temperature(predictions: Predictions) -> float:
    """The temperature that makes labels most likely: divide logits by it. Above 1, the classifier was too sure.

    Guo et al. 2017, section 4.2. Fit it on validation data; no prediction changes by it.

    Raises
    ------
    WiseftError
        If every label is predicted right, or none: the best temperature is then 0 or infinite.

    Explained in notebook 06_see_why_it_works.
    """
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(predictions, np.exp(log_t)), bounds=(-5, 5), method="bounded"
    )
    if predictions.correct.all() or abs(found.x) > 4.9:
        raise WiseftError(
            f"no temperature between {np.exp(-5):.3f} and {np.exp(5):.0f} fits these {predictions.n} images (all right, or "
            "all wrong?): fit it on more images, or on harder ones"
        )
    return float(np.exp(found.x))


def at_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """The same predictions, logits divided by the temperature.

    Explained in notebook 06_see_why_it_works.
    """
    if not 0 < temperature < float("inf"):
        raise WiseftError(f"the temperature is {temperature:g}: expected a number above 0")
    return dataclasses.replace(predictions, logits=predictions.logits / temperature)


def places(predictions: Predictions) -> "np.ndarray":
    """Where each label stands among the columns of ``choices``, int64 tensor ``(n,)``."""
    if predictions.class_subset is None:
        return predictions.labels
    place = {label: i for i, label in enumerate(predictions.class_subset)}
    return predictions.labels.new_tensor([place[label] for label in predictions.labels.tolist()])
