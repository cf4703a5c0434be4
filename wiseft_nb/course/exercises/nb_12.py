"""Exercises of notebook 12: a penalty on the way from the start, and a mean that leaves out padding."""

import torch
from torch import Tensor, nn

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def squared_distance(network: nn.Module, start: dict[str, torch.Tensor]) -> torch.Tensor:
    """Sum of squared differences between the network's parameters and those of the same names in start, a scalar."""
    return sum(((parameter - start[name]) ** 2).sum() for name, parameter in network.named_parameters())


def examine_squared_distance(answer: Answer) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    start = {name: torch.full_like(p, 0.5) for name, p in network.named_parameters()}
    kept = {name: tensor.clone() for name, tensor in start.items()}
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}
    given, expected = answer(network, start), squared_distance(network, kept)
    assert all(torch.equal(start[name], kept[name]) for name in kept), "start was changed: make new tensors"
    assert all(torch.equal(p, weights[name]) for name, p in network.named_parameters()), "the network was changed"
    assert isinstance(given, Tensor) and given.ndim == 0, "one number is expected, a tensor without dimensions"
    assert given.requires_grad, "no gradient flows: do not use .data, detach, item or no_grad"
    assert not torch.allclose(given, expected.sqrt(), rtol=1e-4), "this is the distance: leave the root out"
    assert torch.allclose(given, expected, rtol=1e-4), (
        f"the sum of squares should be {expected:.3f}, not {given:.3f}: square each difference and add all up"
    )
    (slope,) = torch.autograd.grad(given, network[0].weight)
    assert torch.allclose(slope, 2 * (network[0].weight - 0.5), atol=1e-5), "the gradient should be 2 (w - start)"


def without_gradient(network: nn.Module, start: dict[str, Tensor]) -> Tensor:
    return sum(((p.detach() - start[name]) ** 2).sum() for name, p in network.named_parameters())


def with_means(network: nn.Module, start: dict[str, Tensor]) -> Tensor:
    return sum(((p - start[name]) ** 2).mean() for name, p in network.named_parameters())


def with_a_root(network: nn.Module, start: dict[str, Tensor]) -> Tensor:
    return squared_distance(network, start).sqrt()


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens of each text that are no padding, ``(n, dim)``, from ``(n, tokens, dim)`` and a 0/1 mask ``(n, tokens)``."""
    weight = mask[..., None].float()
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def examine_masked_mean(answer: Answer) -> None:
    hidden = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0]])
    kept = hidden.clone()
    given, expected = answer(hidden, mask.clone()), masked_mean(kept, mask)
    assert torch.equal(hidden, kept), "the hidden states were changed: make new tensors"
    assert given.shape == expected.shape, f"one vector a text is expected, (3, 5), not {tuple(given.shape)}"
    assert not torch.allclose(given, kept.mean(dim=1)), "padding counts as words here: use the mask"
    assert not torch.allclose(given[1], expected[1] / 2, atol=1e-6), (
        "divide by the number of tokens of each text, not by the longest"
    )
    assert torch.allclose(given, expected, atol=1e-5), f"text {int((given - expected).abs().sum(1).argmax())} is off"


def plain_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.mean(dim=1)


def divided_by_the_longest(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask[..., None]).mean(dim=1)


def masked_in_place(hidden: Tensor, mask: Tensor) -> Tensor:
    hidden *= mask[..., None]
    return hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True)


EXERCISES = {
    "12.1": Exercise(
        title="the way from the start",
        minutes=8,
        difficulty=3,
        task="A penalty on the squared distance from the start keeps fine-tuning near it. Write `squared_distance(network, "
        "start)`; `start` maps a parameter's name to its tensor before training. The optimizer must be able to lower it.",
        hints=(
            "`network.named_parameters()` gives names and parameters.",
            "Square the difference, `.sum()` it, and add up with Python's `sum`. Nothing may be detached.",
        ),
        reference=squared_distance,
        why="Its gradient is 2 (w - start), a spring to the start. With means in place of sums, a bias would pull as hard as a "
        "whole matrix.",
        test=examine_squared_distance,
        wrong=((without_gradient, "no gradient"), (with_means, "sum of squares"), (with_a_root, "leave the root out")),
    ),
    "12.2": Exercise(
        title="a mean without the padding",
        minutes=5,
        difficulty=2,
        task="Texts of a batch are padded to one length. Write `masked_mean(hidden, mask)`: one vector a text, the mean over "
        "the tokens whose mask is 1.",
        hints=(
            "`mask[..., None]` has a dimension more, and can be multiplied with `hidden`.",
            "The sum over dimension 1, divided by how many ones the mask has in each row.",
        ),
        reference=masked_mean,
        why="With a plain mean the same text would have another vector in a batch with longer neighbours.",
        test=examine_masked_mean,
        wrong=(
            (plain_mean, "padding counts"),
            (divided_by_the_longest, "not by the longest"),
            (masked_in_place, "were changed"),
        ),
    ),
}
