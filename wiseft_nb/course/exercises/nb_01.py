"""Exercises of notebook 01: from prompts to a head, two classifiers on the same images, and a test by permutation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def average_prompts(embeddings: torch.Tensor, scale: float) -> torch.Tensor:
    """Head ``(classes, dim)`` from prompts ``(classes, templates, dim)``: normalised, averaged, normalised, scaled."""
    unit = F.normalize(embeddings, dim=-1)
    return scale * F.normalize(unit.mean(dim=1), dim=-1)


def examine_average_prompts(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(3, 4, 8, generator=generator) * torch.tensor([1.0, 5.0, 0.2, 2.0])[:, None]
    theirs = embeddings.clone()
    given, expected = answer(theirs, 10.0), average_prompts(embeddings, 10.0)
    assert given.shape == expected.shape, f"the head should be (classes, dim) = (3, 8), not {tuple(given.shape)}"
    lengths = given.norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor(10.0)), f"every row should have length 10 (the scale), not {lengths}"
    assert torch.allclose(given, expected, atol=1e-5), (
        "normalise each prompt before the mean, or long ones outvote short"
    )
    assert torch.equal(theirs, embeddings), "the embeddings that were given were changed in place: make new ones"


def without_normalising_first(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(embeddings.mean(dim=1), dim=-1)


def without_normalising_again(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(embeddings, dim=-1).mean(dim=1)


def without_the_scale(embeddings: Tensor, scale: float) -> Tensor:
    return average_prompts(embeddings, 1.0)


def over_classes(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


def in_place(embeddings: Tensor, scale: float) -> Tensor:
    embeddings /= embeddings.norm(dim=-1, keepdim=True)
    return scale * F.normalize(embeddings.mean(dim=1), dim=-1)


def in_dispute(first: torch.Tensor, second: torch.Tensor) -> tuple[int, int]:
    """How many images the first alone, and the second alone, got right; bool ``(n,)`` each."""
    return int((first & ~second).sum()), int((second & ~first).sum())


def examine_in_dispute(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(50, generator=generator) < 0.9, torch.rand(50, generator=generator) < 0.6
    before = first.clone(), second.clone()
    given, expected = tuple(answer(first, second)), in_dispute(*before)
    assert torch.equal(first, before[0]) and torch.equal(second, before[1]), "the inputs were changed: make new tensors"
    assert len(given) == 2, f"two numbers are expected, the first's and the second's, not {len(given)}"
    assert given != expected[::-1], "the two are the wrong way round: the first number belongs to the first classifier"
    assert given != (int(before[0].sum()), int(before[1].sum())), (
        "these are all images each got right: leave out those that both got right"
    )
    assert given == expected, f"on this example {expected} is expected, not {given}: images that one alone got right"


def all_right(first: Tensor, second: Tensor) -> tuple[int, int]:
    return int(first.sum()), int(second.sum())


def wrong_way_round(first: Tensor, second: Tensor) -> tuple[int, int]:
    return in_dispute(second, first)


def all_that_differ(first: Tensor, second: Tensor) -> tuple[int, int]:
    return int((first != second).sum()), int((first == second).sum())


def permutation_p(first: torch.Tensor, second: torch.Tensor, orders: list[torch.Tensor]) -> float:
    """Return (1 + orders of second's classes that agree with first as well as the true one) / (1 + orders)."""
    i, j = torch.triu_indices(*first.shape, offset=1)
    observed = spearmanr(first[i, j], second[i, j]).statistic
    shuffled = [spearmanr(first[i, j], second[order][:, order][i, j]).statistic for order in orders]
    return (1 + sum(agreement >= observed for agreement in shuffled)) / (1 + len(orders))


def two_tables(noise: float) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Symmetric tables of seven classes that agree in part, and orders of the classes."""
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randn(7, 7, generator=generator), torch.randn(7, 7, generator=generator)
    first, other = first + first.T, other + other.T
    second = first + noise * other + 9 * torch.eye(7)
    return first + 9 * torch.eye(7), second, [torch.randperm(7, generator=generator) for _ in range(99)]


def examine_permutation_p(answer: Answer) -> None:
    for noise in (3.0, 6.0):
        first, second, orders = two_tables(noise)
        given = float(answer(first.clone(), second.clone(), [order.clone() for order in orders]))
        expected = permutation_p(first, second, orders)
        reached = round(expected * (1 + len(orders))) - 1
        assert 0 <= given <= 1, f"a p-value lies between 0 and 1, but this is {given:g}"
        assert abs(given - reached / len(orders)) > 1e-9, (
            "add 1 above and below: the true order counts as one of the orders"
        )
        lower = 1 - (reached - 1) / (1 + len(orders))
        assert abs(given - lower) > 0.02, (
            "count the orders that agree as well as the true one or better, not the worse ones"
        )
        assert abs(given - expected) < 1e-9, (
            f"this should be {expected:.2f}, not {given:.2f}: rows and columns take the same order, "
            "and only pairs of different classes count, each once"
        )


def agreements(first: Tensor, second: Tensor, orders: Sequence[Tensor]) -> tuple[float, list[float]]:
    """What the wrong answers below share with the reference."""
    i, j = torch.triu_indices(*first.shape, offset=1)
    shuffled = [spearmanr(first[i, j], second[order][:, order][i, j]).statistic for order in orders]
    return spearmanr(first[i, j], second[i, j]).statistic, shuffled


def without_the_one(first: Tensor, second: Tensor, orders: Sequence[Tensor]) -> float:
    observed, shuffled = agreements(first, second, orders)
    return sum(agreement >= observed for agreement in shuffled) / len(orders)


def the_other_tail(first: Tensor, second: Tensor, orders: Sequence[Tensor]) -> float:
    observed, shuffled = agreements(first, second, orders)
    return (1 + sum(agreement <= observed for agreement in shuffled)) / (1 + len(orders))


def rows_alone(first: Tensor, second: Tensor, orders: Sequence[Tensor]) -> float:
    i, j = torch.triu_indices(*first.shape, offset=1)
    observed = spearmanr(first[i, j], second[i, j]).statistic
    shuffled = [spearmanr(first[i, j], second[order][i, j]).statistic for order in orders]
    return (1 + sum(agreement >= observed for agreement in shuffled)) / (1 + len(orders))


def with_the_diagonal(first: Tensor, second: Tensor, orders: Sequence[Tensor]) -> float:
    observed = spearmanr(first.flatten(), second.flatten()).statistic
    shuffled = [spearmanr(first.flatten(), second[order][:, order].flatten()).statistic for order in orders]
    return (1 + sum(agreement >= observed for agreement in shuffled)) / (1 + len(orders))


EXERCISES = {
    "01.1": Exercise(
        title="average prompts",
        minutes=10,
        difficulty=2,
        task="Write steps 2 to 4 as one function. In: embeddings `(classes, templates, dim)` of any length, and the "
        "scale. Out: the head `(classes, dim)`. The embeddings are not changed.",
        hints=(
            "`F.normalize(x, dim=-1)` divides along the last axis. You need it twice.",
            "The templates are axis 1: `x.mean(dim=1)`.",
        ),
        reference=average_prompts,
        why="Without the first `F.normalize`, prompts with long vectors outvote the others. Without the second, classes "
        "whose templates disagree get a shorter row, and so smaller logits.",
        test=examine_average_prompts,
        wrong=(
            (without_normalising_first, "normalise each prompt before the mean"),
            (without_normalising_again, "length 10"),
            (without_the_scale, "length 10"),
            (over_classes, "(classes, dim)"),
            (in_place, "in place"),
        ),
    ),
    "01.2": Exercise(
        title="images in dispute",
        minutes=10,
        difficulty=2,
        task="Two classifiers have answered the same images. Those that both got right, or both wrong, say nothing about "
        "which is better. Count the others. In: for each classifier whether each image was right, bool `(n,)`. Out: two "
        "integers, images that the first alone got right, and images that the second alone got right.",
        hints=(
            "`a & b` is true where both are, `~a` where `a` is not.",
            "`first & ~second` is true where the first alone was right; `.sum()` counts.",
        ),
        reference=in_dispute,
        why="If the two were equally good, each image in dispute would fall to either side like a fair coin. Notebook 02 "
        "makes a test of that.",
        test=examine_in_dispute,
        wrong=(
            (all_right, "leave out those that both got right"),
            (wrong_way_round, "wrong way round"),
            (all_that_differ, "images that one alone got right"),
        ),
    ),
    "01.3": Exercise(
        title="could chance do that?",
        minutes=15,
        difficulty=4,
        task=(
            "Two symmetric tables, `(classes, classes)`, say of each pair of classes how alike it is. Their agreement is "
            "Spearman's rank correlation over the pairs of *different* classes, each pair once. The pairs share classes "
            "and are not independent, so ask instead: how often does the second table agree as well, **or better**, when "
            "its classes are put into another order, rows and columns alike? `orders` are such orders. Return "
            "(1 + how many reach the true agreement) / (1 + how many orders)."
        ),
        hints=(
            "`i, j = torch.triu_indices(n, n, offset=1)` are the pairs of different classes, each once.",
            "The new order of rows and columns: `second[order][:, order]`; the agreement: `spearmanr(a, b).statistic`.",
        ),
        reference=permutation_p,
        why=(
            "Renaming the classes of one table keeps all that is true of it alone and breaks only what ties it to the "
            "other: the Mantel test. The true order is one of the possible ones, hence the 1; with it p is never 0."
        ),
        test=examine_permutation_p,
        wrong=(
            (without_the_one, "add 1 above and below"),
            (the_other_tail, "not the worse ones"),
            (rows_alone, "rows and columns"),
            (with_the_diagonal, "different classes"),
        ),
    ),
}
