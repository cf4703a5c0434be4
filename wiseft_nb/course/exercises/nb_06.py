"""Exercises of notebook 06_see_why_it_works: twins of a network, and which paths sag.

Explained in notebook 06_see_why_it_works.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Exercise


def permute_hidden(w_in: torch.Tensor, b_in: torch.Tensor, w_out: torch.Tensor, order: torch.Tensor) -> tuple:
    """New (w_in, b_in, w_out): hidden units in the order given, the same function."""
    return w_in[order], b_in[order], w_out[:, order]


def two_layers(hidden: int = 6) -> tuple[Tensor, ...]:
    """Weights of a network with one hidden layer, an order for its units, and inputs."""
    rng = torch.Generator().manual_seed(3)
    shapes = ((hidden, 4), (hidden,), (hidden, hidden))  # as many outputs as units: a wrong side does not show by shape
    weights = tuple(torch.randn(*shape, generator=rng) for shape in shapes)
    return *weights, torch.tensor([2, 0, 1, 5, 3, 4]), torch.randn(50, 4, generator=rng)


def forward(weights: tuple, x: Tensor) -> Tensor:
    w_in, b_in, w_out = weights
    return torch.relu(x @ w_in.T + b_in) @ w_out.T


def examine_permute_hidden(answer: Callable) -> None:
    *weights, order, x = two_layers()
    copies = [tensor.clone() for tensor in weights]
    given = answer(*copies, order)
    assert isinstance(given, tuple) and len(given) == 3, "three tensors are expected: w_in, b_in, w_out"
    assert all(torch.equal(a, b) for a, b in zip(copies, weights, strict=True)), (
        "the tensors that were given have changed"
    )
    for name, found, tensor in zip(("w_in", "b_in", "w_out"), given, weights, strict=True):
        assert found.shape == tensor.shape, f"{name} has shape {tuple(found.shape)}, expected {tuple(tensor.shape)}"
    assert not torch.equal(given[0], weights[0]), "w_in has its units in the old order still"
    inverse = weights[0][torch.argsort(order)]
    assert not torch.equal(given[0], inverse), (
        "unit i of the new network is unit order[i] of the old one, not the reverse"
    )
    same = torch.allclose(forward(given, x), forward(tuple(weights), x), atol=1e-5)
    if not same and torch.equal(given[2], weights[2][order]):
        raise AssertionError("w_out reads the hidden units by its columns; you reordered its rows, the outputs")
    if not same and torch.equal(given[1], weights[1]):
        raise AssertionError("a hidden unit's bias moves with it: b_in is in the old order still")
    if not same and torch.equal(given[2], weights[2]):
        raise AssertionError("w_out still reads the units in the old order: its columns have to move as well")
    assert same, "the new network gives other outputs than the old one"


def permuted_without_bias(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    return w_in[order], b_in, w_out[:, order]


def permuted_rows(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    return w_in[order], b_in[order], w_out[order]


def permuted_writer_alone(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    return w_in[order], b_in[order], w_out


def permuted_the_reverse(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    return permute_hidden(w_in, b_in, w_out, torch.argsort(order))


def permuted_nothing(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    return w_in, b_in, w_out


def permuted_in_place(w_in: Tensor, b_in: Tensor, w_out: Tensor, order: Tensor) -> tuple:
    new = permute_hidden(w_in, b_in, w_out, order)
    for old, tensor in zip((w_in, b_in, w_out), new, strict=True):
        old.copy_(tensor)
    return w_in, b_in, w_out


def verdict(gap: float, standard_error: float, lowest: float, better_end: float) -> str:
    """May two networks be averaged? "sags", "helps" or "neither", from the lowest point of their path."""
    if gap < -2 * standard_error:
        return "sags"
    if lowest > better_end:
        return "helps"
    return "neither"


def examine_verdict(answer: Callable) -> None:
    cases: tuple[tuple[tuple[float, float, float, float], str, str], ...] = (
        ((-0.30, 0.02, 0.45, 0.90), "sags", "30 points below the chord, 15 standard errors: that path sags"),
        ((-0.01, 0.02, 0.80, 0.90), "neither", "half a standard error below the chord is luck, no sag"),
        ((0.05, 0.01, 0.92, 0.90), "helps", "every point between the ends is better than both ends: it helps"),
        ((0.05, 0.01, 0.88, 0.90), "neither", "above the chord is not above the better end: a coin lies on the chord"),
        (
            (-0.01, 0.001, 0.95, 0.90),
            "sags",
            "one point, but ten standard errors: images decide what is sure, not points",
        ),
    )
    for case, expected, why in cases:
        found = answer(*case)
        assert found == expected, f"gap {case[0]:+.2f}, error {case[1]}, lowest {case[2]}, better end {case[3]}: {why}"


def verdict_of_points(gap: float, standard_error: float, lowest: float, better_end: float) -> str:
    return "sags" if gap < -0.02 else "helps" if lowest > better_end else "neither"


def verdict_of_sign(gap: float, standard_error: float, lowest: float, better_end: float) -> str:
    return "sags" if gap < 0 else "helps" if lowest > better_end else "neither"


def verdict_above_chord(gap: float, standard_error: float, lowest: float, better_end: float) -> str:
    return "sags" if gap < -2 * standard_error else "helps" if gap > 2 * standard_error else "neither"


EXERCISES: dict[str, Exercise] = {
    "06.1": Exercise(
        title="the same function, other weights",
        minutes=10,
        difficulty=2,
        task=(
            "A network with one hidden layer computes `relu(x @ w_in.T + b_in) @ w_out.T`. Write "
            "`permute_hidden(w_in, b_in, w_out, order)`: hidden unit `i` of the new network is unit `order[i]` of the old "
            "one, and the new network computes the same function. Return the three new tensors; change none that was given."
        ),
        hints=(
            "A hidden unit is a row of `w_in`, an entry of `b_in`, and a column of `w_out`.",
            "`tensor[order]` reorders rows, `tensor[:, order]` columns.",
        ),
        reference=permute_hidden,
        why=(
            "A layer of n units has n! such twins. Training from another beginning lands at another one, and nothing in the "
            "loss prefers any of them."
        ),
        test=examine_permute_hidden,
        wrong=(
            (permuted_without_bias, "bias moves with it"),
            (permuted_rows, "by its columns"),
            (permuted_writer_alone, "old order"),
            (permuted_the_reverse, "not the reverse"),
            (permuted_nothing, "old order still"),
            (permuted_in_place, "have changed"),
        ),
    ),
    "06.2": Exercise(
        title="may these two be averaged?",
        minutes=10,
        difficulty=3,
        task=(
            "Write `verdict(gap, standard_error, lowest, better_end)`. A path was evaluated between its ends. `gap` is how far "
            "its lowest point, against the chord, lies above the chord (negative: below), `standard_error` how sure that is; "
            "`lowest` is the accuracy of the worst point between the ends, `better_end` that of the better end; all are "
            'fractions. Return `"sags"` where the path lies below the chord by more than two standard errors; `"helps"` where '
            'every point between the ends is better than both of them; and `"neither"` otherwise.'
        ),
        hints=(
            "One number of the four is in the question only to be multiplied by two.",
            "Ask for the sag first: `gap < -2 * standard_error`.",
        ),
        reference=verdict,
        why=(
            "Above the chord is less than it sounds: tossing a coin between two classifiers lies on the chord. Above the "
            "better end is what one wants, and what WiSE-FT gives on handwriting."
        ),
        test=examine_verdict,
        wrong=(
            (verdict_of_points, "images decide"),
            (verdict_of_sign, "luck, no sag"),
            (verdict_above_chord, "above the better end"),
        ),
    ),
}
