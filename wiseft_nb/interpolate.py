"""Two sets of weights -> one: theta = (1 - alpha) theta_0 + alpha theta_1.

Explained in notebook 03_interpolate.
"""

import copy
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn

from wiseft_nb.engine.cache import without_addresses
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier, check_finite

StateDict = Mapping[str, Tensor]
DROPS = re.compile(r"(Dropout\w*|DropPath)\(")  # act in training alone, so endpoints may differ in them


def interpolate(theta_0: StateDict | nn.Module, theta_1: StateDict | nn.Module, alpha: float) -> dict[str, Tensor]:
    """Interpolate the weights of the zero-shot and the fine-tuned model (WiSE-FT).

    Wortsman et al. 2022 (arXiv 2109.01903), section 3, equation 1. Floating-point and complex tensors are
    interpolated; integer buffers, such as BatchNorm's count of batches, are carried over from theta_0
    (from theta_1 where alpha is 1). A tensor that is the same at both ends is copied, so that frozen
    layers stay what they are. The inputs are never changed and share no memory with the result.

    Parameters
    ----------
    theta_0, theta_1 : mapping of str to Tensor, or nn.Module
        State dicts with the same keys, shapes and dtypes, or networks that have them: zero-shot,
        fine-tuned. A state dict is live: what is loaded into its network changes it. So load the result
        into a third one, let ``wise_ft`` make it, or use ``interpolate_into``, which sees to it.
    alpha : float
        Mixing coefficient: 0 is theta_0 exactly, 1 is theta_1 exactly. Outside [0, 1] it extrapolates,
        with a warning.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    WiseftError
        If alpha is no finite number, or keys, shapes or dtypes differ (the error names the first few).

    Examples
    --------
    >>> theta_0, theta_1 = {"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 4.0])}
    >>> interpolate(theta_0, theta_1, alpha=0.5)
    {'w': tensor([0.5000, 3.0000])}

    Explained in notebook 03_interpolate.
    """
    check_alpha(alpha)
    theta_0, theta_1 = (theta.state_dict() if isinstance(theta, nn.Module) else theta for theta in (theta_0, theta_1))
    check_endpoints(theta_0, theta_1)
    return dict(interpolated(theta_0, theta_1, alpha))


def interpolated(theta_0: StateDict, theta_1: StateDict, alpha: float) -> Iterator[tuple[str, Tensor]]:
    """The interpolated tensors by name, unchecked."""
    for name, zero_shot in theta_0.items():
        zero_shot, fine_tuned = zero_shot.detach(), theta_1[name].detach().to(zero_shot.device)
        mixes = zero_shot.is_floating_point() or zero_shot.is_complex()
        # the endpoints are copied: 0 * x is not 0 for every x, and (1 - alpha) * x + alpha * x not always x
        if alpha == 0 or (alpha != 1 and (not mixes or torch.equal(zero_shot, fine_tuned))):
            yield name, zero_shot.clone()
        elif alpha == 1:
            yield name, fine_tuned.clone()
        else:
            yield name, (1 - alpha) * zero_shot + alpha * fine_tuned


def random_interpolation(
    theta_0: StateDict, theta_1: StateDict, alpha: float, seed: int = 0, whole_tensors: bool = False
) -> dict[str, Tensor]:
    """Every weight from one of the two ends, by a coin: with probability alpha from theta_1.

    Its expectation is the interpolation at alpha, which it misses by noise: each weight by a part of its own
    step. Not the paper's random interpolation (appendix C.3.3), which tosses one coin for each image and asks
    one of two classifiers.

    Parameters
    ----------
    theta_0, theta_1 : mapping of str to Tensor
        As for ``interpolate``; integer tensors are carried over from theta_0.
    alpha : float
        In [0, 1].
    seed : int
    whole_tensors : bool
        Whether to toss one coin for each tensor instead of one for each weight.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    WiseftError
        If alpha is outside [0, 1], or the two are not of one architecture.

    Explained in notebook 07_compare_ensembles.
    """
    if not isinstance(alpha, Real) or not 0 <= alpha <= 1:
        raise WiseftError(f"alpha is {alpha!r}: expected a probability, 0 for zero-shot to 1 for fine-tuned")
    check_endpoints(theta_0, theta_1)
    generator = torch.Generator().manual_seed(seed)
    mixed = {}
    for name, tensor in theta_0.items():
        if tensor.is_floating_point() or tensor.is_complex():
            coins = torch.rand(() if whole_tensors else tensor.shape, generator=generator).to(tensor.device) < alpha
            mixed[name] = torch.where(coins, theta_1[name].detach().to(tensor.device), tensor.detach())
        else:
            mixed[name] = tensor.detach().clone()
    return mixed


def mix_into(theta: StateDict, theta_0: StateDict, theta_1: StateDict, alpha: float) -> None:
    """The same numbers written into tensors that are there already, which takes a fraction of the time."""
    for name, mixed in theta.items():
        zero_shot, fine_tuned = theta_0[name], theta_1[name]
        if alpha in (0, 1) or not (mixed.is_floating_point() or mixed.is_complex()):
            mixed.copy_(fine_tuned if alpha == 1 else zero_shot)
        else:
            torch.mul(zero_shot, 1 - alpha, out=mixed).add_(alpha * fine_tuned)


def wise_ft(zero_shot: nn.Module, fine_tuned: nn.Module, alpha: float) -> nn.Module:
    """A new classifier, or any network, with the interpolated weights of two; neither is changed.

    Explained in notebook 03_interpolate.
    """
    check_pair(zero_shot, fine_tuned)
    theta = interpolate(zero_shot, fine_tuned, alpha)
    mixed = copy.deepcopy(zero_shot)
    mixed.load_state_dict(theta)
    if isinstance(mixed, ImageClassifier):
        mixed.history = []  # nobody fine-tuned this one
    return mixed


def interpolate_into(network: nn.Module, zero_shot: nn.Module, fine_tuned: nn.Module, alpha: float) -> nn.Module:
    """Load the interpolated weights of two networks into a third one, which saves a copy for each alpha.

    A state dict is live: ``net.load_state_dict(interpolate(net, tuned, 0.2))`` changes the zero-shot weights, and every
    mixture after it is wrong without a word. Here the third network must be a third one.

    Parameters
    ----------
    network : nn.Module
        Where the mixture goes, such as ``copy.deepcopy(zero_shot)``; changed in place.
    zero_shot, fine_tuned : nn.Module
        Not changed.
    alpha : float

    Returns
    -------
    nn.Module
        ``network``.

    Raises
    ------
    WiseftError
        If ``network`` shares weights with one of the two, or the three are not of one architecture.

    Examples
    --------
    >>> zero_shot, fine_tuned, mixed = (torch.nn.Linear(1, 1) for _ in range(3))
    >>> interpolate_into(mixed, zero_shot, fine_tuned, 1.0).weight.equal(fine_tuned.weight)
    True

    Explained in notebook 14_try_detection.
    """
    own = {tensor.data_ptr() for tensor in network.state_dict().values() if tensor.numel()}
    for which, end in (("zero-shot", zero_shot), ("fine-tuned", fine_tuned)):
        shared = [name for name, tensor in end.state_dict().items() if tensor.numel() and tensor.data_ptr() in own]
        if shared:
            raise WiseftError(
                f"the network to load into shares weights with the {which} one, first {shared[0]}, so loading would "
                "change that end: give a third network, such as copy.deepcopy(zero_shot)"
            )
    check_pair(zero_shot, fine_tuned)
    check_endpoints(zero_shot.state_dict(), network.state_dict())
    network.load_state_dict(interpolate(zero_shot, fine_tuned, alpha))
    return network


def check_pair(zero_shot: nn.Module, fine_tuned: nn.Module) -> None:
    """Refuse two networks whose weights have the same shapes but not the same meaning."""
    names = [getattr(model, "class_names", None) for model in (zero_shot, fine_tuned)]
    if names[0] != names[1]:
        raise WiseftError(
            f"the endpoints' class names differ ({names[0][:5]}… and {names[1][:5]}…): "
            "use two classifiers of the same classes in the same order"
        )
    check_endpoints(zero_shot.state_dict(), fine_tuned.state_dict())
    for which, model in (("zero-shot", zero_shot), ("fine-tuned", fine_tuned)):
        check_finite(model.state_dict(), f"the {which} endpoint")
    layers = [[line for line in str(model).splitlines() if not DROPS.search(line)] for model in (zero_shot, fine_tuned)]
    odd = [(a.strip(), b.strip()) for a, b in zip(*layers, strict=False) if a != b]
    if odd or len(layers[0]) != len(layers[1]):
        what = "{} and {}".format(*odd[0]) if odd else "one has more layers"
        raise WiseftError(
            f"the endpoints are of different architectures though their weights have the same shapes ({what}): "
            "load both with the same activation, such as the -quickgelu variant for OpenAI's CLIP"
        )
    transforms = [getattr(model, "preprocess", None) for model in (zero_shot, fine_tuned)]
    said = [" ".join(without_addresses(repr(transform)).split()) for transform in transforms]
    if said[0] != said[1]:
        raise WiseftError(
            f"the endpoints preprocess their inputs differently ({said[0]} and {said[1]}), so a mixture of their weights "
            "fits neither: give both the same preprocess"
        )


def as_alphas(alphas: Iterable[float]) -> list[float]:
    """Mixing coefficients, each once: of a list, an array, a tensor or any other iterable."""
    if isinstance(alphas, Tensor | np.ndarray):
        alphas = alphas.tolist()
    if not isinstance(alphas, Iterable) or isinstance(alphas, str):
        raise WiseftError(f"alphas are {alphas!r}: expected a list of numbers, such as [0, 0.5, 1]")
    found = list(dict.fromkeys(float(alpha) for alpha in alphas if check_alpha(alpha) is None))
    if not found:
        raise WiseftError("there is no alpha: pass some, such as [0, 0.5, 1]")
    return found


def check_alpha(alpha: float) -> None:
    """Refuse what is no finite number; warn outside [0, 1]."""
    if not isinstance(alpha, Real) or isinstance(alpha, bool) or not math.isfinite(alpha):
        raise WiseftError(f"alpha is {alpha!r}: expected a number, 0 for zero-shot to 1 for fine-tuned")
    if not 0 <= alpha <= 1:
        warnings.warn(f"alpha {alpha} lies outside [0, 1]: this extrapolates the weights", stacklevel=3)


def check_endpoints(theta_0: StateDict, theta_1: StateDict) -> None:
    """Refuse state dicts that are not of one architecture."""
    lonely = sorted(theta_0.keys() ^ theta_1.keys())
    if lonely:
        owners = [f"{name} (only in theta_{0 if name in theta_0 else 1})" for name in lonely[:3]]
        raise WiseftError(
            f"the endpoints differ in {len(lonely)} keys, first {', '.join(owners)}: use one architecture"
        )
    for what, read in (("shape", lambda t: tuple(t.shape)), ("dtype", lambda t: t.dtype)):
        pairs = [(name, read(theta_0[name]), read(theta_1[name])) for name in theta_0]
        odd = [f"{name} ({a} and {b})" for name, a, b in pairs if a != b]
        if odd:
            raise WiseftError(
                f"the endpoints differ in the {what} of {len(odd)} tensors, first {', '.join(odd[:3])}: "
                "use two sets of weights of one architecture, class list and precision"
            )
