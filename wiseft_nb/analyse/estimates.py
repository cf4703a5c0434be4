"""How good each alpha may be on images without labels: what stands in for accuracy along the path.

Each function takes predictions along alpha, as ``predict_along`` gives them, and returns a Series over alpha, the
higher the better. Labels of the target are not looked at, but by ``likelihood``.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from torch import Tensor, nn

from wiseft_nb.analyse.calibration import (
    at_temperature,
    confidence,
    entropy,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
)
from wiseft_nb.analyse.merging import stock_ratio
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions

Along = Mapping[float, Predictions]  # alpha -> predictions of the interpolated classifier, all of the same images


def along(path: Along, figure: Callable[[Predictions], float]) -> pd.Series:
    """A figure of every alpha: a Series over alpha."""
    return pd.Series({alpha: float(figure(said)) for alpha, said in path.items()}, dtype=float).rename_axis("alpha")


def check_alphas(path: Along, other: Along, what: str) -> None:
    """Refuse two paths that are not of the same alphas."""
    if list(path) != list(other):
        raise WiseftError(
            f"{what} was predicted for alphas {list(other)}, the target for {list(path)}: give both the same"
        )


def calibrated(path: Along, on: Along) -> dict[float, Predictions]:
    """Each alpha's logits divided by a temperature of its own, fitted on labelled images.

    One temperature for all alphas would leave what is to be removed: overconfidence that grows along the path.

    Parameters
    ----------
    path : dict
        Alpha -> predictions on the target.
    on : dict
        The same alphas on labelled images, such as validation images that were made harder (``rotated``; Tomani
        et al. 2021, arXiv 2012.10988).

    Explained in notebook 09_choose_alpha.
    """
    check_alphas(path, on, "what to calibrate on")
    return {alpha: at_temperature(said, fit_temperature(on[alpha])) for alpha, said in path.items()}


def average_confidence(path: Along) -> pd.Series:
    """Mean probability of the predicted label: what a calibrated classifier's accuracy is, by its own account.

    Explained in notebook 09_choose_alpha.
    """
    return along(path, lambda said: confidence(said).mean())


def negative_entropy(path: Along) -> pd.Series:
    """Minus the mean entropy of the probabilities, in nats.

    Minimising the entropy over alpha is the rule of AdaWiSE (Döbler et al., ECCV workshops 2024). Where it is not
    calibrated it prefers whatever is surest.

    Explained in notebook 09_choose_alpha.
    """
    return along(path, lambda said: -entropy(probabilities(said)).mean())


def mutual_information(path: Along) -> pd.Series:
    """Entropy of the mean prediction minus mean entropy: information maximisation, in nats.

    The first term asks for all classes to be predicted, which is right where all occur alike, and only there.

    Explained in notebook 09_choose_alpha.
    """
    return along(path, lambda said: entropy(probabilities(said).mean(0)) - entropy(probabilities(said)).mean())


def threshold_confidence(path: Along, validation: Along) -> pd.Series:
    """Fraction of images that are surer than a threshold, which on validation data as many are as are right.

    ATC with maximum confidence (Garg et al. 2022, arXiv 2201.04234, equation 2).

    Explained in notebook 09_choose_alpha.
    """
    check_alphas(path, validation, "validation")

    def of(alpha: float, said: Predictions) -> float:
        wrong = 1 - validation[alpha].accuracy()
        return (confidence(said) > np.quantile(confidence(validation[alpha]), wrong)).mean()

    return pd.Series({alpha: of(alpha, said) for alpha, said in path.items()}).rename_axis("alpha")


def agreement(path: Along, other: Along) -> pd.Series:
    """Fraction of images on which two fine-tuning runs give one answer, at each alpha.

    Their disagreement is an estimate of the error (GDE; Jiang et al. 2022, arXiv 2106.13799) where the two are
    independent runs. At alpha 0 they are one model.

    Explained in notebook 09_choose_alpha.
    """
    check_alphas(path, other, "the other run")
    return pd.Series({a: agree(said, other[a]) for a, said in path.items()}).rename_axis("alpha")


def agreement_on_the_line(path: Along, validation: Along) -> pd.Series:
    """Accuracy by the line that the agreement of pairs of alphas follows, in probits, from validation to the target.

    ALine-S (Baek et al. 2022, arXiv 2206.13089, equation 3). The estimate rises with validation accuracy, so as a
    rule for alpha it is validation's own choice.

    Explained in notebook 09_choose_alpha.
    """
    check_alphas(path, validation, "validation")
    pairs = [(a, b) for a in path for b in path if a < b]
    x, y = ([probit(agree(of[a], of[b]), of[a].n) for a, b in pairs] for of in (validation, path))
    slope, intercept = np.polyfit(x, y, 1)
    return along(validation, lambda said: norm.cdf(slope * probit(said.accuracy(), said.n) + intercept))


def likelihood(path: Along) -> pd.Series:
    """Mean log-probability of the labels, in nats: for a few labelled images of the target; calibrate first.

    Of twenty images many alphas get as many right; how sure they were of the labels tells them apart.

    Explained in notebook 09_choose_alpha.
    """
    return along(path, lambda said: -negative_log_likelihood(said))


def model_stock_ratio(zero_shot: nn.Module, runs: Sequence[nn.Module]) -> float:
    """Model Stock's share t of the mean of k fine-tuned runs: k cos / (1 + (k - 1) cos), cos between their steps.

    Jang et al. 2024 (arXiv 2403.19522), equation 2, for all weights at once (the paper: tensor by tensor). Needs
    no data. A negative cosine gives 0.

    Explained in notebook 09_choose_alpha.
    """
    if len(runs) < 2:
        raise WiseftError(f"{len(runs)} run has no angle to another: give two or more, of one recipe and several seeds")
    return stock_ratio(torch.stack([flat(run) - flat(zero_shot) for run in runs]))


def flat(model: nn.Module) -> Tensor:
    """All parameters in one float64 vector."""
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def agree(said: Predictions, other: Predictions) -> float:
    """Fraction of images to which both give one label."""
    return (said.predicted == other.predicted).double().mean().item()


def probit(fraction: float, n: int) -> float:
    """Quantile of the normal distribution; 0 and 1 of n are moved inwards by half an image."""
    return float(norm.ppf(np.clip(fraction, 0.5 / n, 1 - 0.5 / n)))
