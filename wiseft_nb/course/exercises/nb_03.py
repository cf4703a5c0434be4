"""Exercises of notebook 03_interpolate.

Explained in notebook 03_interpolate.
"""

from collections.abc import Callable

import torch

from wiseft_nb.course.exercises.exercise import Exercise


def interpolate(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    """New state dict: (1 - alpha) theta_0 + alpha theta_1 where tensors are floating-point, else those of one end."""
    theta = {}
    for name, tensor in theta_0.items():
        if tensor.is_floating_point():
            theta[name] = (1 - alpha) * tensor + alpha * theta_1[name]
        else:
            theta[name] = tensor.clone()
    return theta


def two_ends() -> tuple[dict, dict]:
    """Fresh state dicts with weights, a count and a flag."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        {
            "w": torch.randn(3, 2, generator=generator),
            "half": torch.randn(4, generator=generator).half(),
            "count": torch.tensor(count),
            "flags": torch.tensor(flags),
        }
        for count, flags in ((1500, [True, False]), (1725, [False, False]))
    )


def examine_interpolate(answer: Callable) -> None:
    for alpha in (0.0, 0.3, 0.5, 1.0):
        theta_0, theta_1 = two_ends()
        given = answer(theta_0, theta_1, alpha)
        assert isinstance(given, dict), f"a dict of tensors is expected, not {type(given).__name__}: did you return it?"
        ends = two_ends()
        for theta, end, name in zip((theta_0, theta_1), ends, ("theta_0", "theta_1"), strict=True):
            same = theta.keys() == end.keys() and all(torch.equal(theta[key], end[key]) for key in end)
            assert same, f"after the call {name} is not what it was: make new tensors, in a new dict"
        assert given.keys() == ends[0].keys(), f"the result should have the keys {list(ends[0])}, not {list(given)}"
        for name, (first, second) in ((key, (ends[0][key], ends[1][key])) for key in ends[0]):
            mixed = given[name]
            assert isinstance(mixed, torch.Tensor), f"{name} should be a tensor, not {type(mixed).__name__}"
            assert mixed.dtype == first.dtype, f"{name} should keep its type {first.dtype}, not become {mixed.dtype}"
            if first.is_floating_point():
                expected = (1 - alpha) * first + alpha * second
                close = mixed.shape == first.shape and torch.allclose(mixed.float(), expected.float(), atol=1e-3)
                assert close, f"at alpha {alpha}, {name} should be {expected.tolist()}, not {mixed.tolist()}"
            else:
                assert torch.equal(mixed, first) or torch.equal(mixed, second), (
                    f"{name} is {mixed.tolist()}: not a value of either end ({first.tolist()} and {second.tolist()})"
                )
            assert all(mixed.data_ptr() != theta[name].data_ptr() for theta in (theta_0, theta_1)), (
                f"{name} shares memory with an end, which a later load would change: clone it"
            )


def one_line(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    return {name: (1 - alpha) * theta_0[name] + alpha * theta_1[name] for name in theta_0}


def mixed_into_theta_1(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    for name, tensor in theta_1.items():
        if tensor.is_floating_point():
            tensor.mul_(alpha).add_((1 - alpha) * theta_0[name])
    return {name: tensor.clone() for name, tensor in theta_1.items()}


def mixed_into_theta_0(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    for name, tensor in theta_0.items():
        if tensor.is_floating_point():
            tensor.mul_(1 - alpha).add_(alpha * theta_1[name])
    return {name: tensor.clone() for name, tensor in theta_0.items()}


def theta_1_bound_anew(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    theta_1.update(interpolate(theta_0, theta_1, alpha))
    return dict(theta_1)


def with_integers(change: Callable) -> Callable:
    def answer(theta_0: dict, theta_1: dict, alpha: float) -> dict:
        theta = interpolate(theta_0, theta_1, alpha)
        return theta | {"count": change(theta_0["count"], theta_1["count"], alpha)}

    return answer


counts_zero = with_integers(lambda first, second, alpha: torch.zeros_like(first))
counts_plus_7 = with_integers(lambda first, second, alpha: first + 7)
counts_int32 = with_integers(lambda first, second, alpha: first.int())
counts_rounded = with_integers(lambda first, second, alpha: ((1 - alpha) * first + alpha * second).round().long())
for name in ("counts_zero", "counts_plus_7", "counts_int32", "counts_rounded"):
    globals()[name].__name__ = name


def flags_as_numbers(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    theta = interpolate(theta_0, theta_1, alpha)
    return theta | {"flags": theta["flags"].long()}


def ends_swapped(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    return interpolate(theta_1, theta_0, alpha)


def without_counts(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    return {name: t for name, t in interpolate(theta_0, theta_1, alpha).items() if t.is_floating_point()}


def always_half(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    return interpolate(theta_0, theta_1, 0.5)


def integers_not_copied(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    return {
        name: (1 - alpha) * t + alpha * theta_1[name] if t.is_floating_point() else t for name, t in theta_0.items()
    }


EXERCISES = {
    "03.1": Exercise(
        title="interpolate, without the mistakes",
        minutes=10,
        difficulty=2,
        task=(
            "Write `interpolate(theta_0, theta_1, alpha)` so that\n\n"
            "- floating-point tensors are interpolated and keep their type,\n"
            "- all others (counts, flags) keep their type and the value of one of the ends,\n"
            "- neither input is changed, and the result shares no memory with them."
        ),
        hints=(
            "`one_line` is nearly there. What does it do to an integer tensor?",
            "`tensor.is_floating_point()` tells the two kinds apart; `tensor.clone()` makes a copy.",
        ),
        reference=interpolate,
        why=(
            "Each value is a new tensor, so nothing that comes later can reach the endpoints. The package's version "
            "also copies the endpoints at 0 and 1, and refuses models that do not fit together."
        ),
        test=examine_interpolate,
        wrong=(
            (one_line, "should keep its type"),
            (mixed_into_theta_1, "theta_1 is not what it was"),
            (mixed_into_theta_0, "theta_0 is not what it was"),
            (theta_1_bound_anew, "theta_1 is not what it was"),
            (counts_zero, "not a value of either end"),
            (counts_plus_7, "not a value of either end"),
            (counts_int32, "should keep its type"),
            (counts_rounded, "not a value of either end"),
            (flags_as_numbers, "should keep its type"),
            (ends_swapped, "at alpha 0.0, w should be"),
            (without_counts, "should have the keys"),
            (always_half, "at alpha 0.0, w should be"),
            (integers_not_copied, "shares memory"),
        ),
    ),
}
