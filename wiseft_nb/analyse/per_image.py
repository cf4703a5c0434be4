"""An alpha for every image: VRF by the distance from known failures, DaWin by the two entropies.

Both need the answers of two networks before they can weigh them, and calibrated probabilities.

Explained in notebook 07_compare_ensembles.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.analyse.calibration import entropy, negative_log_likelihood, probabilities
from wiseft_nb.analyse.ensembles import check_same_images, like, output_ensemble
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import Predictions
from wiseft_nb.fine_tune import features
from wiseft_nb.models.classifier import ImageClassifier

QUANTILES = torch.arange(0, 1.01, 0.1, dtype=torch.float64)  # of the distances, for the grid of a
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0)  # of b, in standard deviations of the distances


def entropy_coefficients(zero_shot: Predictions, fine_tuned: Predictions) -> Tensor:
    """DaWin's alpha of every image: exp(-H_1) / (exp(-H_0) + exp(-H_1)), with the entropies of both ends.

    Oh et al. 2025 (arXiv 2410.03782), as in its code for robust fine-tuning, without the offset that it
    offers. Calibrate both first (``at_temperature``).

    Returns
    -------
    Tensor
        float64 ``(n,)``, in (0, 1): the surer the fine-tuned end is, the larger.

    Explained in notebook 07_compare_ensembles.
    """
    check_same_images(zero_shot, fine_tuned)
    return torch.sigmoid(entropy(probabilities(zero_shot)) - entropy(probabilities(fine_tuned)))


def at_coefficients(path: Mapping[float, Predictions], coefficients: Tensor) -> Predictions:
    """Interpolated weights with another alpha for every image: the nearest on the path.

    One network an image is slow, so images share a few alphas, as in DaWin's code, where a mixture of Beta
    distributions groups them.

    Parameters
    ----------
    path : dict
        Alpha -> predictions, as ``predict_along`` gives them.
    coefficients : Tensor
        ``(n,)``.

    Explained in notebook 07_compare_ensembles.
    """
    some = next(iter(path.values()))
    if coefficients.shape != (some.n,):
        raise WiseftError(f"there are {tuple(coefficients.shape)} coefficients for {some.n} images: give one for each")
    alphas = torch.tensor(list(path), dtype=torch.float64)
    nearest = (coefficients.double()[:, None] - alphas).abs().argmin(1)
    logits = torch.stack([predictions.logits for predictions in path.values()])
    return like(some, logits[nearest, torch.arange(some.n)])


def encode(classifier: ImageClassifier, dataset: Dataset, workers: int | None = None) -> Tensor:
    """Features of every image, of unit length, ``(n, dim)``."""
    return F.normalize(torch.stack([feature for feature, _ in features(classifier, dataset, workers)]), dim=1)


@dataclass(frozen=True, eq=False)
class FailureSet:
    """The training images that zero-shot gets wrong and fine-tuned right, as the fine-tuned encoder sees them.

    Attributes
    ----------
    features : Tensor
        ``(m, dim)``, of unit length.
    k : int
        The distance to the k-th nearest counts.

    Explained in notebook 07_compare_ensembles.
    """

    features: Tensor
    k: int

    @classmethod
    def of(
        cls, features: Tensor, zero_shot: Predictions, fine_tuned: Predictions, share: float = 0.001
    ) -> "FailureSet":
        """From features and answers on training images; ``share`` of the failures, at least one, is k."""
        check_same_images(zero_shot, fine_tuned)
        failures = features[fine_tuned.correct & ~zero_shot.correct]
        if not len(failures):
            raise WiseftError(
                "zero-shot gets no training image wrong that fine-tuned gets right: there is nothing to fix"
            )
        return cls(failures, max(1, round(share * len(failures))))

    def distance(self, features: Tensor) -> Tensor:
        """From every image to its k-th nearest failure, float64 ``(n,)``, in [0, 2]."""
        return torch.cdist(features.double(), self.features.double()).kthvalue(self.k, dim=1).values


def distance_coefficients(distance: Tensor, a: float, b: float) -> Tensor:
    """VRF's alpha of every image: 1 / (1 + exp((distance - a) / b)), large near a known failure.

    Zhu et al. 2024 (arXiv 2411.06966). Its code takes squared distances, with a = 1.5 and b = 0.6; here the
    two are chosen on validation data (``choose_distance``).

    Explained in notebook 07_compare_ensembles.
    """
    if not b > 0:
        raise WiseftError(f"b is {b}: expected a number above 0, the width of the step")
    return torch.sigmoid((a - distance) / b)


def choose_distance(distance: Tensor, zero_shot: Predictions, fine_tuned: Predictions) -> tuple[float, float]:
    """VRF's a and b: of a grid the best accuracy on validation data, of equal ones the least cross-entropy.

    Parameters
    ----------
    distance : Tensor
        Of validation images.
    zero_shot, fine_tuned : Predictions
        Calibrated.

    Returns
    -------
    a, b : float

    Explained in notebook 07_compare_ensembles.
    """

    def worth(pair: tuple[float, float]) -> tuple[float, float]:
        said = output_ensemble(zero_shot, fine_tuned, distance_coefficients(distance, *pair))
        return said.accuracy(), -negative_log_likelihood(said)

    return max(distance_grid(distance), key=worth)


def distance_grid(distance: Tensor) -> list[tuple[float, float]]:
    """Pairs of a and b that are worth a try: a among the distances, or twice as far; b from a sharp step to a slope."""
    spread, quantiles = distance.std().item() or 1.0, distance.quantile(QUANTILES).tolist()
    return list(
        itertools.product(
            [0.5 * quantiles[0], *quantiles, 1.5 * quantiles[-1], 2 * quantiles[-1]], [w * spread for w in WIDTHS]
        )
    )
