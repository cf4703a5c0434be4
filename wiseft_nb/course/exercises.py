"""Exercises that check themselves: a stub runs on with the reference, a wrong answer is told why.

Each exercise is a reference solution and a test that compares an answer with it. The stub and the
solution a student reads stand in the notebook the key begins with.

Explained in notebook 00_start_here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from torch import Tensor

from wiseft_nb.errors import unknown
from wiseft_nb.interpolate import interpolate


@dataclass(frozen=True)
class Exercise:
    """``test(answer)`` raises AssertionError, saying what is wrong, for all but a right answer."""

    reference: Callable
    test: Callable[[Callable], None]


def average_prompts(embeddings: Tensor, scale: float) -> Tensor:
    """Reference for 01.1: prompts ``(classes, templates, dim)`` to a head ``(classes, dim)``."""
    return scale * F.normalize(F.normalize(embeddings, dim=-1).mean(dim=1), dim=-1)


def examine_average_prompts(answer: Callable) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(3, 4, 8, generator=generator) * torch.tensor([1.0, 5.0, 0.2, 2.0])[:, None]
    given, expected = answer(embeddings.clone(), 10.0), average_prompts(embeddings, 10.0)
    assert given.shape == expected.shape, f"the head should be (classes, dim) = (3, 8), not {tuple(given.shape)}"
    lengths = given.norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor(10.0)), f"every row should have length 10 (the scale), not {lengths}"
    assert torch.allclose(given, expected, atol=1e-5), (
        "normalise each prompt before the mean, or long ones outvote short"
    )


def examine_interpolate(answer: Callable) -> None:
    generator = torch.Generator().manual_seed(0)
    theta_0, theta_1 = ({"w": torch.randn(3, 2, generator=generator), "n": torch.tensor(k)} for k in (1, 2))
    before = {name: tensor.clone() for name, tensor in theta_0.items()}
    for alpha in (0.0, 0.3, 1.0):
        given, expected = answer(theta_0, theta_1, alpha), interpolate(theta_0, theta_1, alpha)
        assert set(given) == set(expected), f"the result should have the keys {set(expected)}, not {set(given)}"
        assert torch.allclose(given["w"], expected["w"]), f"at alpha {alpha}, w should be {expected['w']}"
        assert not given["n"].is_floating_point(), "n is a count: carry integer tensors over as they are"
    assert all(torch.equal(theta_0[name], before[name]) for name in before), "theta_0 was changed: make new tensors"


def effective_robustness(x: float, y: float, slope: float, intercept: float) -> float:
    """Reference for 04.1: rho = y - beta(x), with beta a line on logit axes."""
    line = slope * torch.logit(torch.tensor(x, dtype=torch.double)) + intercept
    return y - torch.sigmoid(line).item()


def examine_effective_robustness(answer: Callable) -> None:
    for case in ((0.9, 0.8, 1.0, -1.0), (0.6, 0.2, 0.5, 0.3), (0.5, 0.5, 2.0, 0.0)):
        given, expected = float(answer(*case)), effective_robustness(*case)
        assert abs(given - expected) < 1e-6, f"effective_robustness{case} should be {expected:.4f}, not {given:.4f}"


def predict_groups(logits: Tensor, groups: list[tuple[int, ...]]) -> Tensor:
    """Reference for 11.1: logits ``(n, classes)`` and groups of classes to the winning group of each image."""
    return torch.stack([logits[:, list(group)].amax(dim=1) for group in groups], dim=1).argmax(dim=1)


def examine_predict_groups(answer: Callable) -> None:
    logits, groups = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)), [(1, 2, 4), (0,), (5, 1)]
    logits[0], logits[1] = torch.tensor([0.0, 0, 0, 9, 1, 0]), torch.tensor([4.0, 5, -9, 0, -9, -9])
    given, expected = answer(logits.clone(), groups), predict_groups(logits, groups)
    assert given.shape == expected.shape, f"one group an image is expected, shape (20,), not {tuple(given.shape)}"
    assert given[0] != 3, "the answer is the number of a group, and class 3 is in none"
    assert given[1] == 0, "a group is as strong as its strongest class: take the largest logit, not the mean"
    assert torch.equal(given, expected), (
        f"images {(given != expected).nonzero().flatten().tolist()} are in other groups"
    )


EXERCISES = {
    "01.1": Exercise(average_prompts, examine_average_prompts),
    "03.1": Exercise(interpolate, examine_interpolate),
    "04.1": Exercise(effective_robustness, examine_effective_robustness),
    "11.1": Exercise(predict_groups, examine_predict_groups),
}


def check(key: str, answer: Callable) -> Callable:
    """Test an answer to an exercise.

    Parameters
    ----------
    key : str
        The exercise, such as ``"03.1"``.
    answer : function
        The student's.

    Returns
    -------
    function
        The answer if it is right; the reference if the stub still raises NotImplementedError.

    Raises
    ------
    AssertionError
        If the answer is wrong; the message says what was expected.

    Explained in notebook 00_start_here.
    """
    if key not in EXERCISES:
        raise unknown("exercise", key, EXERCISES)
    exercise = EXERCISES[key]
    try:
        exercise.test(answer)
    except (AttributeError, TypeError) as error:
        raise AssertionError(
            f"exercise {key}: your function gave something of another kind ({error}): did you forget a return?"
        ) from error
    except NotImplementedError:
        display(Markdown(f"Exercise {key}: not attempted yet, going on with the reference solution."))
        return exercise.reference
    display(Markdown(f"Exercise {key}: right."))
    return answer
