"""Averages of the weights along one fine-tuning: EMA, SWA, Beta, all of them torch's ``AveragedModel``.

Explained in notebook 07_compare_ensembles.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from scipy.stats import beta
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import Dataset

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.nested import Batch
from wiseft_nb.engine.training import CrossEntropy, Objective
from wiseft_nb.errors import WiseftError
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune, training_batches
from wiseft_nb.interpolate import StateDict, check_endpoints
from wiseft_nb.models.classifier import ImageClassifier

Average = Callable[[list[Tensor], list[Tensor], Tensor], None]


def ema_weights(steps: int, decay: float) -> Tensor:
    """Weight of theta_0, ..., theta_steps in the exponential moving average that begins at theta_0.

    Returns
    -------
    Tensor
        float64 ``(steps + 1,)``, with sum 1. The first is decay ** steps; without it, and the others divided by
        1 - decay ** steps, this is the debiased average (Wortsman et al. 2022, appendix C.3.2).

    Explained in notebook 07_compare_ensembles.
    """
    if not 0 <= decay < 1:
        raise WiseftError(f"decay is {decay}: expected a number in [0, 1)")
    weights = (1 - decay) * decay ** torch.arange(steps, -1, -1, dtype=torch.float64)
    weights[0] = decay**steps
    return weights


def beta_weights(steps: int, b: float = 0.5) -> Tensor:
    """Weight of theta_0, ..., theta_steps in TRACER's average (arXiv 2605.29380): the Beta(b, b) density.

    Below 1, b gives a U: the two ends of the run weigh most. Taken at u = (t + 0.5) / (steps + 1).

    Returns
    -------
    Tensor
        float64 ``(steps + 1,)``, with sum 1.

    Explained in notebook 07_compare_ensembles.
    """
    if not b > 0:
        raise WiseftError(f"b is {b}: expected a number above 0")
    points = (torch.arange(steps + 1, dtype=torch.float64) + 0.5) / (steps + 1)
    density = torch.from_numpy(beta.pdf(points.numpy(), b, b))
    return density / density.sum()


def running_average(weights: Tensor) -> Average:
    """A ``multi_avg_fn`` for torch's ``AveragedModel``: any weighted mean, step after step.

    After theta_t the average is (1 - w) average + w theta_t with w = weights[t] / (weights[0] + ... + weights[t]).

    Explained in notebook 07_compare_ensembles.
    """
    shares = (weights / weights.cumsum(0)).tolist()

    @torch.no_grad()
    def average(averaged: list[Tensor], current: list[Tensor], seen: Tensor) -> None:
        torch._foreach_lerp_(list(averaged), list(current), shares[int(seen)])

    return average


def debias(theta_0: StateDict, ema: StateDict, decay: float, steps: int) -> dict[str, Tensor]:
    """Take theta_0 out of an exponential moving average that began at it.

    What is left is the debiased average mu / (1 - decay ** steps) of Wortsman et al. 2022, appendix C.3.2:
    interpolating from theta_0 to it with alpha = 1 - decay ** steps gives ``ema`` back.

    Parameters
    ----------
    theta_0, ema : mapping of str to Tensor
        State dicts of one architecture; integer tensors are taken from ``ema``.
    decay : float
        In [0, 1).
    steps : int
        1 or more.

    Returns
    -------
    dict of str to Tensor

    Explained in notebook 07_compare_ensembles.
    """
    if not (0 <= decay < 1 and steps >= 1):
        raise WiseftError(f"decay is {decay} and steps {steps}: expected a number in [0, 1), and 1 or more")
    check_endpoints(theta_0, ema)
    left = decay**steps
    return {
        name: (mean - left * theta_0[name]) / (1 - left) if mean.is_floating_point() else mean.clone()
        for name, mean in ema.items()
    }


@dataclass
class Follow:
    """An objective for ``fine_tune`` that averages the weights it is shown, before every step.

    Attributes
    ----------
    averages : dict
        Name -> keywords of torch's ``AveragedModel``; {} is the plain mean, which is SWA.
    windows : dict, optional
        Name -> (first, last) step whose weights count; by default all, from theta_0 to the end.
    objective : function
        What is minimised.
    models : dict
        Name -> ``AveragedModel``; its ``module`` is the classifier.

    Explained in notebook 07_compare_ensembles.
    """

    averages: Mapping[str, Mapping]
    windows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    objective: Objective = field(default_factory=CrossEntropy)
    models: dict[str, AveragedModel] = field(default_factory=dict)
    step: int = 0

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        self.look(network)
        return self.objective(network, inputs, labels)

    def look(self, network: nn.Module) -> None:
        """Take in the weights as they are now; once more after the last step."""
        for name, how in self.averages.items():
            first, last = self.windows.get(name, (0, self.step))
            if first <= self.step <= last:
                if name not in self.models:
                    self.models[name] = AveragedModel(network, **how).eval()
                self.models[name].update_parameters(network)
        self.step += 1


def average_along(
    zero_shot: ImageClassifier,
    benchmark: Benchmark,
    config: FineTuneConfig,
    averages: Mapping[str, Mapping],
    windows: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[ImageClassifier, dict[str, ImageClassifier]]:
    """Fine-tune, and average the weights from theta_0 to the last step in several ways.

    Parameters
    ----------
    zero_shot : ImageClassifier
        Not changed.
    benchmark : Benchmark
    config : FineTuneConfig
    averages, windows : dict
        As ``Follow`` takes them.

    Returns
    -------
    ImageClassifier, dict of str to ImageClassifier
        What ``fine_tune`` gives without averages, to the bit; and each average.

    Explained in notebook 07_compare_ensembles.
    """
    follow = Follow(averages, windows or {})
    fine_tuned = fine_tune(zero_shot, benchmark, config, progress=False, objective=follow)
    follow.look(fine_tuned)
    return fine_tuned, {name: model.module for name, model in follow.models.items()}


def with_statistics_of(classifier: ImageClassifier, train: Dataset) -> ImageClassifier:
    """A copy whose BatchNorm statistics are those of the training images, cropped as in training: torch's ``update_bn``.

    Explained in notebook 07_compare_ensembles.
    """
    made = copy.deepcopy(classifier)
    update_bn([inputs for inputs, _ in training_batches(train, classifier, FineTuneConfig(epochs=1))], made)
    return made.eval()
