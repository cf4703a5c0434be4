"""Exercises of notebook 01: from prompts to a head, and two classifiers on the same images."""

import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def average_prompts(embeddings: torch.Tensor, scale: float) -> torch.Tensor:
    """Head ``(classes, dim)`` from prompts ``(classes, templates, dim)``: normalised, averaged, normalised, scaled."""
    unit = F.normalize(embeddings, dim=-1)
    return scale * F.normalize(unit.mean(dim=1), dim=-1)


def examine_average_prompts(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(3, 4, 8, generator=generator) * torch.tensor([1.0, 5.0, 0.2, 2.0])[:, None]
    given, expected = answer(embeddings.clone(), 10.0), average_prompts(embeddings, 10.0)
    assert given.shape == expected.shape, f"the head should be (classes, dim) = (3, 8), not {tuple(given.shape)}"
    lengths = given.norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor(10.0)), f"every row should have length 10 (the scale), not {lengths}"
    assert torch.allclose(given, expected, atol=1e-5), (
        "normalise each prompt before the mean, or long ones outvote short"
    )


def without_normalising_first(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(embeddings.mean(dim=1), dim=-1)


def without_normalising_again(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(embeddings, dim=-1).mean(dim=1)


def without_the_scale(embeddings: Tensor, scale: float) -> Tensor:
    return average_prompts(embeddings, 1.0)


def over_classes(embeddings: Tensor, scale: float) -> Tensor:
    return scale * F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


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


EXERCISES = {
    "01.1": Exercise(
        title="average prompts",
        minutes=10,
        difficulty=2,
        task="Write steps 2 to 4 as one function. In: embeddings `(classes, templates, dim)` of any length, and the "
        "scale. Out: the head `(classes, dim)`.",
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
}
