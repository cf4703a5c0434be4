"""Several sets of weights -> one: soups, Model Stock, task vectors, TIES, DARE, Fisher.

State dicts in, a state dict out; integer tensors are carried over from the first. ``interpolate`` walks from
zero-shot to any of them.

Explained in notebook 10_go_beyond.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import evaluate
from wiseft_nb.interpolate import StateDict, check_endpoints
from wiseft_nb.models.classifier import ImageClassifier

Score = Callable[[StateDict], float]


def check_pool(thetas: Sequence[StateDict], least: int = 1) -> None:
    """Refuse too few, and those that are not of one architecture."""
    if len(thetas) < least:
        raise WiseftError(f"{len(thetas)} sets of weights: give {least} or more, of one architecture")
    for theta in thetas[1:]:
        check_endpoints(thetas[0], theta)


def each(thetas: Sequence[StateDict], combine: Callable[..., Tensor]) -> dict[str, Tensor]:
    """Tensor by tensor: ``combine`` gets those of one name stacked, ``(sets, ...)``; integers come from the first."""
    found = {}
    for name, tensor in thetas[0].items():
        if tensor.is_floating_point():
            stacked = torch.stack([theta[name].detach().to(tensor.device) for theta in thetas])
            found[name] = combine(stacked).to(tensor.dtype)
        else:
            found[name] = tensor.detach().clone()
    return found


def uniform_soup(thetas: Sequence[StateDict]) -> dict[str, Tensor]:
    """The mean of all: theta = (theta_1 + ... + theta_k) / k.

    Wortsman et al. 2022 (arXiv 2203.05482), table 2. With runs of mildly differing recipes from one linear
    classifier, it is DiWA (Rame et al. 2022, arXiv 2205.09739).

    Examples
    --------
    >>> uniform_soup([{"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 4.0])}])
    {'w': tensor([0.5000, 3.0000])}

    Explained in notebook 10_go_beyond.
    """
    check_pool(thetas)
    return each(thetas, lambda stacked: stacked.mean(0))


def greedy_soup(
    thetas: Sequence[StateDict], classifier: ImageClassifier, benchmark: Benchmark
) -> tuple[dict[str, Tensor], list[int]]:
    """Add one set of weights after the other, the best first, and keep it if validation accuracy rises.

    Wortsman et al. 2022 (arXiv 2203.05482), algorithm 1. Both order and decisions are those of
    ``benchmark.val``: no test set is looked at.

    Parameters
    ----------
    thetas : sequence of state dicts
    classifier : ImageClassifier
        Of that architecture; a copy is evaluated with each mean.
    benchmark : Benchmark

    Returns
    -------
    dict of str to Tensor, list of int
        The soup, and which went into it, in their order.

    Explained in notebook 10_go_beyond.
    """
    check_pool(thetas)
    tasted = copy.deepcopy(classifier)

    def validation(theta: StateDict) -> float:
        tasted.load_state_dict(theta)
        return evaluate(tasted, benchmark.val, progress=False).accuracy()

    return greedy(thetas, validation)


def greedy(thetas: Sequence[StateDict], score: Score) -> tuple[dict[str, Tensor], list[int]]:
    """``greedy_soup`` by any score of validation data; kept is what makes it rise **strictly**, as in the authors' code."""
    scores = [score(theta) for theta in thetas]
    first, *others = sorted(range(len(thetas)), key=lambda i: -scores[i])  # of equal ones the first
    kept, best, soup = [first], scores[first], uniform_soup([thetas[first]])
    for i in others:
        candidate = uniform_soup([thetas[j] for j in (*kept, i)])
        if (found := score(candidate)) > best:
            kept, best, soup = [*kept, i], found, candidate
    return soup, kept


def model_stock(theta_0: StateDict, thetas: Sequence[StateDict]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Towards the mean of k runs as far as their angle says: t mean(theta_i) + (1 - t) theta_0, tensor by tensor.

    Jang et al. 2024 (arXiv 2403.19522), equation 2: t = k cos / (1 + (k - 1) cos), cos the mean over pairs of
    the cosine between theta_i - theta_0 and theta_j - theta_0. A negative cosine gives 0. No data are needed,
    but two runs or more, whose training counts.

    Parameters
    ----------
    theta_0 : state dict
    thetas : sequence of state dicts
        Two or more, of one recipe and several seeds.

    Returns
    -------
    dict of str to Tensor, dict of str to float
        The weights, and t of each tensor that moved.

    Explained in notebook 10_go_beyond.
    """
    check_pool([theta_0, *thetas], least=3)
    ratios: dict[str, float] = {}
    for name, start in theta_0.items():
        if start.is_floating_point():
            steps = torch.stack([(theta[name] - start).detach().double().flatten() for theta in thetas])
            if steps.any():
                ratios[name] = stock_ratio(steps)
    merged = uniform_soup(thetas)
    for name, start in theta_0.items():
        if start.is_floating_point():
            merged[name] = torch.lerp(start.detach(), merged[name], ratios.get(name, 0.0))
    return merged, ratios


def stock_ratio(steps: Tensor) -> float:
    """Model Stock's t of k steps ``(k, weights)``."""
    k, unit = len(steps), nn.functional.normalize(steps, dim=1)
    cosines = unit @ unit.T
    cosine = max(0.0, ((cosines.sum() - cosines.trace()) / (k * (k - 1))).item())
    return k * cosine / (1 + (k - 1) * cosine)


def task_vector(theta_0: StateDict, theta_1: StateDict) -> dict[str, Tensor]:
    """What fine-tuning added: tau = theta_1 - theta_0; 0 where tensors are whole numbers.

    Ilharco et al. 2023 (arXiv 2212.04089), section 2.

    Explained in notebook 10_go_beyond.
    """
    check_endpoints(theta_0, theta_1)
    moved = {name: t.is_floating_point() for name, t in theta_0.items()}
    return {name: (theta_1[name] - t).detach() if moved[name] else torch.zeros_like(t) for name, t in theta_0.items()}


def add_task_vectors(
    theta_0: StateDict, taus: Sequence[StateDict], coefficients: float | Sequence[float] = 1.0
) -> dict[str, Tensor]:
    """Task arithmetic: theta_0 + sum of a_i tau_i.

    Ilharco et al. 2023 (arXiv 2212.04089). With one tau, a frozen head, and its coefficient chosen on the
    validation data of the old and the new task alike, it is PAINT (Ilharco et al. 2022, arXiv 2208.05592).

    Parameters
    ----------
    theta_0 : state dict
    taus : sequence of state dicts
        As ``task_vector`` gives them.
    coefficients : float or sequence of float
        One for all, or one each.

    Explained in notebook 10_go_beyond.
    """
    check_pool([theta_0, *taus], least=2)
    shares = [coefficients] * len(taus) if isinstance(coefficients, int | float) else list(coefficients)
    if len(shares) != len(taus):
        raise WiseftError(f"{len(shares)} coefficients for {len(taus)} task vectors: give one each, or one for all")
    weights = [1.0, *map(float, shares)]
    return each([theta_0, *taus], lambda stacked: torch.einsum("k,k...->...", stacked.new_tensor(weights), stacked))


def ties(taus: Sequence[StateDict], keep: float = 0.2) -> dict[str, Tensor]:
    """TIES: trim each task vector to its largest weights, elect a sign for each weight, mean of those that agree.

    Yadav et al. 2023 (arXiv 2306.01708), algorithm 1. The result is a task vector; scale it with lambda in
    ``add_task_vectors``. One task vector alone is only pruned by magnitude.

    Parameters
    ----------
    taus : sequence of state dicts
    keep : float
        Fraction of each task vector's weights that is kept, over all its tensors together; 0.2 in the paper.

    Explained in notebook 10_go_beyond.
    """
    check_pool(taus)
    check_fraction("keep", keep)

    def merge(stacked: Tensor) -> Tensor:
        agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        return (stacked * agree).sum(0) / agree.sum(0).clamp(min=1)

    return each([trim(tau, keep) for tau in taus], merge)


def trim(tau: StateDict, keep: float) -> dict[str, Tensor]:
    """Only the largest weights by magnitude, the others 0."""
    sizes = torch.cat([t.abs().flatten() for t in tau.values() if t.is_floating_point()])
    k = int(keep * len(sizes))
    least = sizes.kthvalue(len(sizes) - k + 1).values if k else torch.inf
    return {name: torch.where(t.abs() >= least, t, 0) if t.is_floating_point() else t for name, t in tau.items()}


def dare(tau: StateDict, drop: float = 0.9, seed: int = 0) -> dict[str, Tensor]:
    """DARE: drop weights of a task vector by chance, and rescale those that are left by 1 / (1 - drop).

    Yu et al. 2024 (arXiv 2311.03099), equation 3. The expectation stays what it was; a coin decides, so look at
    several seeds.

    Explained in notebook 10_go_beyond.
    """
    check_fraction("1 - drop", 1 - drop)
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, t in tau.items():
        coins = torch.rand(t.shape, generator=generator).to(t.device) < 1 - drop
        found[name] = torch.where(coins, t / (1 - drop), 0) if t.is_floating_point() else t.clone()
    return found


def check_fraction(name: str, value: float) -> None:
    """Refuse what is no fraction above 0."""
    if not 0 < value <= 1:
        raise WiseftError(f"{name} is {value!r}: expected a fraction above 0, at most 1")
