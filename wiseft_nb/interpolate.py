"""Two sets of weights -> one: theta = (1 - alpha) theta_0 + alpha theta_1.

Explained in notebook 03_interpolate.
"""

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from numbers import Real

from torch import Tensor

from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier, check_finite

StateDict = Mapping[str, Tensor]


def interpolate(theta_0: StateDict, theta_1: StateDict, alpha: float) -> dict[str, Tensor]:
    """Interpolate the weights of the zero-shot and the fine-tuned model (WiSE-FT).

    Wortsman et al. 2022 (arXiv 2109.01903), section 3, equation 1. Floating-point tensors are
    interpolated; integer buffers, such as BatchNorm's count of batches, are carried over from theta_0
    (from theta_1 where alpha is 1). The inputs are never changed and share no memory with the result.

    Parameters
    ----------
    theta_0, theta_1 : mapping of str to Tensor
        State dicts with the same keys, shapes and dtypes: zero-shot, fine-tuned.
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
    check_endpoints(theta_0, theta_1)
    return dict(interpolated(theta_0, theta_1, alpha))


def interpolated(theta_0: StateDict, theta_1: StateDict, alpha: float) -> Iterator[tuple[str, Tensor]]:
    """One new tensor at a time, unchecked: for callers who cannot hold a further set of weights."""
    for name, zero_shot in theta_0.items():
        fine_tuned = theta_1[name].to(zero_shot.device)
        # the endpoints are copied: 0 * x is not 0 for every x
        if alpha == 0 or not (zero_shot.is_floating_point() or alpha == 1):
            yield name, zero_shot.detach().clone()
        elif alpha == 1:
            yield name, fine_tuned.detach().clone()
        else:
            yield name, (1 - alpha) * zero_shot.detach() + alpha * fine_tuned.detach()


def wise_ft(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, alpha: float) -> ImageClassifier:
    """A new classifier with the interpolated weights of two; neither is changed.

    Explained in notebook 03_interpolate.
    """
    check_pair(zero_shot, fine_tuned)
    theta = interpolate(zero_shot.state_dict(), fine_tuned.state_dict(), alpha)
    classifier = copy.deepcopy(zero_shot)
    classifier.load_state_dict(theta)
    return classifier


def check_pair(zero_shot: ImageClassifier, fine_tuned: ImageClassifier) -> None:
    """Refuse two classifiers whose weights have the same shapes but not the same meaning."""
    if zero_shot.class_names != fine_tuned.class_names:
        raise WiseftError(
            f"the endpoints' class names differ ({zero_shot.class_names[:5]}… and {fine_tuned.class_names[:5]}…): "
            "use two classifiers of the same classes in the same order"
        )
    check_endpoints(zero_shot.state_dict(), fine_tuned.state_dict())
    for which, model in (("zero-shot", zero_shot), ("fine-tuned", fine_tuned)):
        check_finite(model.state_dict(), f"the {which} endpoint")
    layers = [str(model.image_encoder).splitlines() for model in (zero_shot, fine_tuned)]
    odd = [(a.strip(), b.strip()) for a, b in zip(*layers, strict=False) if a != b]
    if odd or len(layers[0]) != len(layers[1]):
        what = "{} and {}".format(*odd[0]) if odd else "one has more layers"
        raise WiseftError(
            f"the endpoints are of different architectures though their weights have the same shapes ({what}): "
            "load both with the same activation, such as the -quickgelu variant for OpenAI's CLIP"
        )


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
