"""Exercises of notebook 02: freeze BatchNorm, take a step, compare in pairs."""

import math

import torch
from torch import nn

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def freeze_statistics(model: torch.nn.Module) -> torch.nn.Module:
    """Put ``model`` into training mode but its BatchNorm layers into evaluation mode, all weights trainable; return it."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.eval()
    return model


def examine_freeze_statistics(answer: Answer) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model = nn.Sequential(inner, nn.Flatten(), nn.LazyLinear(6), nn.BatchNorm1d(6)).eval()
    inputs = torch.randn(5, 3, 6, 6)
    model(inputs)
    assert answer(model) is model, "the model itself should be returned"
    assert model.training and inner[2].training, "the rest of the model should be in training mode, dropout too"
    norms = [inner[1], model[3]]
    assert not norms[1].training, "BatchNorm1d should be in evaluation mode, too: there are several kinds of BatchNorm"
    assert not norms[0].training, "a BatchNorm layer inside another module was missed: model.modules() finds all"
    assert all(p.requires_grad for p in model.parameters()), (
        "BatchNorm's scale and shift are weights and should stay trainable: only the statistics are to be frozen"
    )
    before = [norm.running_mean.clone() for norm in norms]
    model(inputs)
    assert all(torch.equal(b, norm.running_mean) for b, norm in zip(before, norms, strict=True)), "statistics moved"


def everything_in_evaluation_mode(model: nn.Module) -> nn.Module:
    return model.eval()


def children_only(model: nn.Module) -> nn.Module:
    model.train()
    for layer in model.children():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    return model


def two_dimensional_only(model: nn.Module) -> nn.Module:
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return model


def weights_too(model: nn.Module) -> nn.Module:
    freeze_statistics(model)
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.requires_grad_(False)
    return model


def wrong_order(model: nn.Module) -> nn.Module:
    return freeze_statistics(model).train()


def coin_p(only_first: int, only_second: int) -> float:
    """Two-sided p: how often a fair coin splits the images in dispute at least as unevenly; 1.0 where there are none."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    return min(1.0, 2 * tail)


def examine_coin_p(answer: Answer) -> None:
    from scipy.stats import binomtest

    for only_first, only_second in ((3, 8), (62, 7), (7, 62), (1, 0), (5, 5), (121, 119)):
        given = float(answer(only_first, only_second))
        expected = float(binomtest(only_first, only_first + only_second).pvalue)
        case = f"for {only_first} : {only_second}"
        assert given <= 1 + 1e-12, (
            f"{case} p is {given:.3f}, and no probability is above 1: both tails meet in the middle"
        )
        assert not math.isclose(given, expected / 2, rel_tol=1e-6), (
            f"{case} {given:.4g} is one tail: a coin may favour either classifier, so count both"
        )
        assert math.isclose(given, expected, rel_tol=1e-6), (
            f"{case} p should be {expected:.4g}, not {given:.4g}: splits as uneven as this one count, too"
        )
    assert float(answer(0, 0)) == 1.0, "without an image in dispute nothing speaks for a difference: p is 1.0"


def one_tail(only_first: int, only_second: int) -> float:
    return coin_p(only_first, only_second) / 2


def not_cut_at_one(only_first: int, only_second: int) -> float:
    n, fewer = only_first + only_second, min(only_first, only_second)
    return 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n


def without_the_split_itself(only_first: int, only_second: int) -> float:
    n, fewer = only_first + only_second, min(only_first, only_second)
    return 2 * sum(math.comb(n, k) for k in range(fewer)) / 2**n


EXERCISES = {
    "02.1": Exercise(
        title="freeze the statistics",
        minutes=10,
        difficulty=3,
        task="Write `freeze_statistics(model)`. Afterwards the model is in training mode, all its weights are trained, and no "
        "forward pass moves the running mean or variance of any BatchNorm layer, however deep it sits and whatever its kind.",
        hints=(
            "`model.train()` and `layer.eval()` set the same flag. Which of them comes last wins.",
            "`model.modules()` walks through all layers; all kinds share the parent `torch.nn.modules.batchnorm._BatchNorm`.",
        ),
        reference=freeze_statistics,
        why="`requires_grad` decides about weights, the mode decides about statistics: two switches. And any later "
        "`model.train()` undoes it, so it is called before every epoch.",
        test=examine_freeze_statistics,
        wrong=(
            (everything_in_evaluation_mode, "in training mode"),
            (children_only, "inside another module was missed"),
            (two_dimensional_only, "several kinds of BatchNorm"),
            (weights_too, "should stay trainable"),
            (wrong_order, "evaluation mode"),
        ),
    ),
    "02.2": Exercise(
        title="as uneven as a coin",
        minutes=15,
        difficulty=3,
        task="Write the exact McNemar test with nothing but `math.comb`. In: images that the first alone, and the second alone, "
        "got right. Out: how often a fair coin, tossed once for each image in dispute, gives a split at least as uneven, to "
        "either side.",
        hints=(
            "Of `n` tosses, exactly `k` heads have probability `math.comb(n, k) / 2**n`.",
            "Sum from 0 to the smaller of the two counts, double it for the other side, and cut at 1.",
        ),
        reference=coin_p,
        why="3 : 8 gives 0.23: a coin is as uneven as that in every fourth or fifth series of eleven tosses.",
        test=examine_coin_p,
        wrong=(
            (one_tail, "count both"),
            (not_cut_at_one, "above 1"),
            (without_the_split_itself, "count, too"),
        ),
    ),
}
