"""How differently two classifiers err: four measures, from their outputs on the same images.

Explained in notebook 06_see_why_it_works.
"""

import torch
from torch import Tensor

from wiseft_nb.compare import paired
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions


def prediction_diversity(predictions: Predictions, others: Predictions) -> float:
    """Fraction of the images that exactly one of the two classifies correctly, in [0, 1].

    Wortsman et al. 2022, section 5.1 and appendix E.

    Examples
    --------
    >>> labels = torch.tensor([0, 1, 1, 0])
    >>> always = [Predictions(torch.eye(2)[k].expand(4, 2), labels) for k in (0, 1)]
    >>> prediction_diversity(*always)
    1.0

    Explained in notebook 06_see_why_it_works.
    """
    pair = paired(predictions, others)
    return (pair.only_first + pair.only_second) / pair.n


def kappa_complement(predictions: Predictions, others: Predictions) -> float:
    """1 - Cohen's kappa of the two predicted classes: how far from agreeing, measured by what chance would give.

    Wortsman et al. 2022, appendix E: (1 - p_o) / (1 - p_e), where p_o is the fraction on which they agree, and
    p_e the one on which two that answer independently, each with its own class frequencies, would.

    Returns
    -------
    float
        0 if they always agree, 1 if they agree as often as by chance; 0 if both name one class only.

    Explained in notebook 06_see_why_it_works.
    """
    check_same_images(predictions, others)
    first, second = predictions.predicted, others.predicted
    classes = predictions.logits.shape[1]
    frequencies = [torch.bincount(said, minlength=classes).double() / len(said) for said in (first, second)]
    by_chance = (frequencies[0] * frequencies[1]).sum()
    differ = (first != second).double().mean()
    return (differ / (1 - by_chance)).item() if differ else 0.0


def mean_kl(predictions: Predictions, others: Predictions) -> float:
    """Mean KL divergence of the first's probabilities from the second's, in nats, 0 or more.

    Wortsman et al. 2022, appendix E. It depends on the temperature of both.

    Explained in notebook 06_see_why_it_works.
    """
    check_same_images(predictions, others)
    log_p, log_q = (found.choices.double().log_softmax(1) for found in (predictions, others))
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0).sum(dim=1).mean().item()


def cka_complement(outputs: Tensor, others: Tensor) -> float:
    """1 - linear CKA: how far two sets of outputs on the same images are from each other, rotations aside.

    Kornblith et al. 2019 (arXiv 1905.00414), equation 3 with a linear kernel; Wortsman et al. 2022, appendix E.

    Parameters
    ----------
    outputs, others : Tensor
        ``(n, d)`` and ``(n, e)``: logits or features, in one order of images. Columns are centred here.

    Returns
    -------
    float
        In [0, 1]; 0 where one is the other rotated, scaled or shifted.

    Explained in notebook 06_see_why_it_works.
    """
    if outputs.ndim != 2 or others.ndim != 2 or len(outputs) != len(others):
        raise WiseftError(
            f"outputs are {tuple(outputs.shape)} and {tuple(others.shape)}: expected a row for each of the same images"
        )
    x, y = (found.double() - found.double().mean(dim=0) for found in (outputs, others))
    norms = (x.T @ x).norm() * (y.T @ y).norm()
    if norms == 0:
        raise WiseftError("one of the two has the same outputs for every image: CKA is not defined for it")
    return 1 - ((x.T @ y).norm() ** 2 / norms).item()


def diversity(predictions: Predictions, others: Predictions) -> dict[str, float]:
    """All four by name; CKA is that of the logits.

    Explained in notebook 06_see_why_it_works.
    """
    return {
        "prediction diversity": prediction_diversity(predictions, others),
        "kappa complement": kappa_complement(predictions, others),
        "KL": mean_kl(predictions, others),
        "CKA complement": cka_complement(predictions.logits, others.logits),
    }


def check_same_images(predictions: Predictions, others: Predictions) -> None:
    """Refuse two that were not asked about the same images and classes."""
    paired(predictions, others)
    if predictions.logits.shape != others.logits.shape:
        shapes = [tuple(found.logits.shape) for found in (predictions, others)]
        raise WiseftError(f"logits are {shapes[0]} and {shapes[1]}: give two classifiers of the same classes")
