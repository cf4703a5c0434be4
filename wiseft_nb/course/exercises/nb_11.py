"""Exercises of notebook 11: labels that stand for several classes."""

import torch
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def predict_groups(logits: torch.Tensor, groups: list[tuple[int, ...]]) -> torch.Tensor:
    """Number of the winning group for each image, int64 ``(n,)``, from logits ``(n, classes)``."""
    best = [logits[:, list(group)].amax(dim=1) for group in groups]
    return torch.stack(best, dim=1).argmax(dim=1)


def examine_predict_groups(answer: Answer) -> None:
    logits, groups = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)), [(1, 2, 4), (0,), (5, 1)]
    logits[0], logits[1] = torch.tensor([0.0, 0, 0, 9, 1, 0]), torch.tensor([4.0, 5, -9, 0, -9, -9])
    kept = logits.clone()
    given, expected = answer(logits, groups), predict_groups(kept, groups)
    assert torch.equal(logits, kept), "the logits were changed: make new tensors"
    assert given.shape == expected.shape, f"one group an image is expected, shape (20,), not {tuple(given.shape)}"
    assert given[0] != 3, "the answer is the number of a group, not of a class: class 3 is in none"
    assert given[1] == 0, "a group is as strong as its strongest class: take the largest logit, not the mean or the sum"
    assert torch.equal(given, expected), (
        f"images {(given != expected).nonzero().flatten().tolist()} are in other groups: a group is as strong as its "
        "strongest class"
    )


def mean_of_logits(logits: Tensor, groups: list[tuple[int, ...]]) -> Tensor:
    return torch.stack([logits[:, list(group)].mean(dim=1) for group in groups], dim=1).argmax(dim=1)


def sum_of_logits(logits: Tensor, groups: list[tuple[int, ...]]) -> Tensor:
    return torch.stack([logits[:, list(group)].sum(dim=1) for group in groups], dim=1).argmax(dim=1)


def classes_for_groups(logits: Tensor, groups: list[tuple[int, ...]]) -> Tensor:
    return logits.argmax(dim=1)


def within_subset(logits: torch.Tensor, subset: tuple[int, ...]) -> torch.Tensor:
    """Predicted class of each image, int64 ``(n,)``, numbered as the logits' columns, among the classes of ``subset``."""
    return torch.tensor(subset)[logits[:, list(subset)].argmax(dim=1)]


def examine_within_subset(answer: Answer) -> None:
    logits, subset = torch.randn(30, 6, generator=torch.Generator().manual_seed(1)), (5, 1, 2)
    logits[0] = torch.tensor([9.0, 1, 2, 3, 4, 0])  # the best of all is outside
    logits[1] = torch.tensor([-1.0, -3, -2, -1, -1, -4])  # all negative: a column of zeros would win
    kept = logits.clone()
    given, expected = answer(logits, subset), within_subset(kept, subset)
    assert torch.equal(logits, kept), "the logits were changed: make new tensors"
    assert given.shape == expected.shape, f"one class an image is expected, shape (30,), not {tuple(given.shape)}"
    places = kept[:, list(subset)].argmax(dim=1)
    assert not torch.equal(given, places), "these are places within the subset: turn them back into numbers of classes"
    outside = [int(c) for c in given.unique() if int(c) not in subset]
    assert not outside, f"classes {outside} are not in the subset {subset}: only its columns take part"
    assert torch.equal(given, expected), "some images have another class: take the largest logit within the subset"


def places_for_classes(logits: Tensor, subset: tuple[int, ...]) -> Tensor:
    return logits[:, list(subset)].argmax(dim=1)


def among_all(logits: Tensor, subset: tuple[int, ...]) -> Tensor:
    return logits.argmax(dim=1)


def others_set_to_zero(logits: Tensor, subset: tuple[int, ...]) -> Tensor:
    masked = torch.zeros_like(logits)
    masked[:, list(subset)] = logits[:, list(subset)]
    return masked.argmax(dim=1)


EXERCISES = {
    "11.1": Exercise(
        title="predict groups",
        minutes=5,
        difficulty=2,
        task="A label of ObjectNet may stand for several of ImageNet's classes. Write `predict_groups(logits, groups)`: for "
        "each image the number of the group whose best class has the largest logit.",
        hints=(
            "`logits[:, list(group)]` has a group's columns.",
            "A mean over a group would punish large groups; `amax(dim=1)` does not.",
        ),
        reference=predict_groups,
        why="A group wins if any of its classes does, whatever the others of the group say.",
        test=examine_predict_groups,
        wrong=(
            (mean_of_logits, "strongest class"),
            (sum_of_logits, "strongest class"),
            (classes_for_groups, "not of a class"),
        ),
    ),
    "11.2": Exercise(
        title="predict within a subset",
        minutes=5,
        difficulty=2,
        task="ImageNet-R has 200 of the 1,000 classes, and a model should not be blamed for naming one that cannot occur. Write "
        "`within_subset(logits, subset)`: for each image the class of `subset` with the largest logit, numbered as the "
        "logits' columns are. `subset` need not be in order.",
        hints=(
            "Look at the columns of the subset alone, and take the argmax there. What does its number count?",
            "`torch.tensor(subset)[places]` turns places within the subset into numbers of classes.",
        ),
        reference=within_subset,
        why="Setting the other columns to zero would not do: a logit may be negative. And an accuracy among 200 classes is no "
        "accuracy among 1,000: the two must not share an axis.",
        test=examine_within_subset,
        wrong=(
            (places_for_classes, "places within the subset"),
            (among_all, "not in the subset"),
            (others_set_to_zero, "not in the subset"),
        ),
    ),
}
