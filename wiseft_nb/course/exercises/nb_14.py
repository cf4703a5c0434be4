"""Exercises of notebook 14_try_detection: average precision by hand, one row from many prompts, a state dict is live.

Explained in notebook 14_try_detection.
"""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.course.exercises.exercise import Exercise
from wiseft_nb.interpolate import interpolate


def area_under_precision(hits: list[bool], boxes: int) -> float:
    """Average precision of one class: hits tells of each detection, the surest first, whether it found a box."""
    found = np.cumsum(hits)
    precision, recall = found / np.arange(1, len(hits) + 1), found / boxes
    wanted = np.linspace(0, 1, 101)
    return float(np.mean([max(precision[recall >= r - 1e-9], default=0.0) for r in wanted]))


def examine_area_under_precision(answer: Callable) -> None:
    def near(found: float, wanted: float) -> bool:
        return math.isclose(found, wanted, abs_tol=2e-3)

    assert near(answer([True, True], 2), 1.0), "two detections that find both boxes have an average precision of 1"
    one = answer([True], 2)
    assert not near(one, 1.0), "one box of two was never found: recalls beyond a half have precision 0"
    assert near(one, 51 / 101), f"one box of two found: 51 of the 101 recalls have precision 1, not {one:.3f}"
    late = answer([False, True, True], 2)
    assert not near(late, (50 / 2 + 50 * 2 / 3) / 101), (
        "at each recall the best precision there OR BEYOND counts: the third detection lifts the second"
    )
    assert near(late, 2 / 3), f"a false one, then both boxes: 2/3 at every recall, not {late:.3f}"
    assert near(answer([True, False, True], 2), (51 + 50 * 2 / 3) / 101), (
        "precision is hits so far by detections so far, at every place of the list"
    )
    assert near(answer([False, False], 1), 0.0), "nothing found is 0"


def area_by_steps(hits: list[bool], boxes: int) -> float:
    found = np.cumsum(hits)
    precision, recall = found / np.arange(1, len(hits) + 1), found / boxes
    first = [int(np.argmax(recall >= r - 1e-9)) if (recall >= r - 1e-9).any() else None for r in np.linspace(0, 1, 101)]
    return float(np.mean([0.0 if k is None else precision[k] for k in first]))


def area_among_found(hits: list[bool], boxes: int) -> float:
    found = np.cumsum(hits)
    precision, recall = found / np.arange(1, len(hits) + 1), found / max(found[-1], 1)
    return float(np.mean([max(precision[recall >= r - 1e-9], default=0.0) for r in np.linspace(0, 1, 101)]))


def mean_precision(hits: list[bool], boxes: int) -> float:
    return float(np.mean(np.cumsum(hits) / np.arange(1, len(hits) + 1)))


def one_row(rows: Tensor) -> Tensor:
    """One row (1, dim) for many prompts: it points to their mean and is as long as each of rows (k, dim)."""
    mean = rows.mean(dim=0, keepdim=True)
    return mean / mean.norm() * rows.norm(dim=1).mean()


def examine_one_row(answer: Callable) -> None:
    torch.manual_seed(0)
    rows = 40 * F.normalize(torch.randn(5, 8), dim=1)
    found = answer(rows.clone())
    assert isinstance(found, Tensor) and tuple(found.shape) == (1, 8), "a tensor (1, dim) is expected: a row of a head"
    length = found.norm().item()
    assert not math.isclose(length, rows.mean(0).norm().item(), abs_tol=1e-3), (
        "the mean of rows is shorter than they are, so its logits are too small, and it would hardly ever win"
    )
    assert not math.isclose(length, 1.0, abs_tol=1e-3), (
        "a row of length 1 has lost the temperature that the other rows have: make it as long as they are"
    )
    assert math.isclose(length, 40, abs_tol=1e-2), f"the row should be as long as the others, 40, not {length:.1f}"
    wanted = F.normalize(rows.mean(0), dim=0)
    assert torch.allclose(F.normalize(found[0], dim=0), wanted, atol=1e-4), "it should point to the mean of the rows"


def row_too_short(rows: Tensor) -> Tensor:
    return rows.mean(dim=0, keepdim=True)


def row_of_length_one(rows: Tensor) -> Tensor:
    return F.normalize(rows.mean(dim=0, keepdim=True), dim=1)


def row_flat(rows: Tensor) -> Tensor:
    return rows.norm(dim=1).mean() * F.normalize(rows.mean(dim=0), dim=0)


def outputs_along(zero_shot: nn.Module, fine_tuned: nn.Module, alphas: list, x: Tensor) -> list:
    """What the mixture at each alpha says about x; both networks are left as they are."""
    mixed, found = copy.deepcopy(zero_shot), []
    for alpha in alphas:
        mixed.load_state_dict(interpolate(zero_shot, fine_tuned, alpha))
        found.append(mixed(x).detach())
    return found


def two_layers() -> list[nn.Module]:
    torch.manual_seed(1)
    return [nn.Linear(3, 2), nn.Linear(3, 2)]


def examine_outputs_along(answer: Callable) -> None:
    (zero_shot, fine_tuned), x, alphas = two_layers(), torch.ones(1, 3), [0.25, 0.5, 1.0]
    before = copy.deepcopy([zero_shot.state_dict(), fine_tuned.state_dict()])
    ends = [net(x).detach() for net in (zero_shot, fine_tuned)]
    found = answer(zero_shot, fine_tuned, list(alphas), x)
    assert len(found) == len(alphas), "one output for each alpha is expected, in their order"
    wanted = [(1 - a) * ends[0] + a * ends[1] for a in alphas]  # a linear layer is linear in its weights
    swapped = [a * ends[0] + (1 - a) * ends[1] for a in alphas]
    assert not torch.allclose(found[0], swapped[0], atol=1e-5), "alpha 0 is zero-shot: the ends are swapped"
    assert torch.allclose(found[0], wanted[0], atol=1e-5), "the first mixture is wrong already"
    assert torch.allclose(found[1], wanted[1], atol=1e-5), (
        "the first mixture is right and the second is not: a state dict is live, so loading the first one changed an end. "
        "Load into a third network"
    )
    assert torch.allclose(found[2], wanted[2], atol=1e-5), "at alpha 1 the output is the fine-tuned network's"
    for net, theta in zip((zero_shot, fine_tuned), before, strict=True):
        unchanged = all(torch.equal(t, theta[name]) for name, t in net.state_dict().items())
        assert unchanged, "the outputs are right, but one of the two networks is no longer what it was"


def outputs_live(zero_shot: nn.Module, fine_tuned: nn.Module, alphas: list, x: Tensor) -> list:
    theta_0, theta_1, found = zero_shot.state_dict(), fine_tuned.state_dict(), []
    for alpha in alphas:
        zero_shot.load_state_dict(interpolate(theta_0, theta_1, alpha))
        found.append(zero_shot(x).detach())
    return found


def outputs_swapped(zero_shot: nn.Module, fine_tuned: nn.Module, alphas: list, x: Tensor) -> list:
    return outputs_along(fine_tuned, zero_shot, alphas, x)


def outputs_not_given_back(zero_shot: nn.Module, fine_tuned: nn.Module, alphas: list, x: Tensor) -> list:
    theta_0, found = copy.deepcopy(zero_shot.state_dict()), []
    for alpha in alphas:
        zero_shot.load_state_dict(interpolate(theta_0, fine_tuned.state_dict(), alpha))
        found.append(zero_shot(x).detach())
    return found


EXERCISES: dict[str, Exercise] = {
    "14.1": Exercise(
        title="average precision by hand",
        minutes=10,
        difficulty=3,
        task=(
            "Write `area_under_precision(hits, boxes)`. `hits` tells of each detection of one class, the surest first, whether "
            "it found a box that no surer one had found; `boxes` says how many there were to find. After each detection there "
            "is a precision (hits so far by detections so far) and a recall (hits so far by boxes). Return the mean, over the "
            "recalls 0, 0.01 … 1, of the best precision at that recall or beyond; 0 where no recall is so high."
        ),
        hints=(
            "`np.cumsum(hits)` are the hits so far.",
            "For one recall `r`: the maximum of `precision[recall >= r]`, and 0 if that is empty. Floats want `r - 1e-9`.",
        ),
        reference=area_under_precision,
        why=(
            "This is COCO's definition. AP50 is its mean over classes where a hit overlaps its box by 0.5; mAP repeats it for "
            "0.5, 0.55 … 0.95. One confident mistake at the top costs precision at every recall after it."
        ),
        test=examine_area_under_precision,
        wrong=(
            (area_by_steps, "OR BEYOND"),
            (area_among_found, "never found"),
            (mean_precision, "recalls beyond a half"),
        ),
    ),
    "14.2": Exercise(
        title="one row from many prompts",
        minutes=6,
        difficulty=2,
        task=(
            "`rows` `(k, dim)` is what `zero_shot_head` gives for k names: all rows are equally long, exp(logit_scale). Write "
            "`one_row(rows)`: a single row `(1, dim)` for all of them together. It points where their mean points and is as "
            "long as each of them."
        ),
        hints=(
            "The mean of several rows is shorter than they are.",
            "Divide the mean by its own length, then give it theirs.",
        ),
        reference=one_row,
        why=(
            "The length of a row is the temperature of its logit. A short background row loses against every digit, "
            "whatever the picture."
        ),
        test=examine_one_row,
        wrong=(
            (row_too_short, "hardly ever win"),
            (row_of_length_one, "lost the temperature"),
            (row_flat, "(1, dim)"),
        ),
    ),
    "14.3": Exercise(
        title="a state dict is live",
        minutes=8,
        difficulty=2,
        task=(
            "Write `outputs_along(zero_shot, fine_tuned, alphas, x)`: a list with the output, for the input `x`, of the mixture "
            "at each alpha. Use `interpolate`. Both networks must be left as they are."
        ),
        hints=(
            "What does `zero_shot.state_dict()` hold after something was loaded into `zero_shot`?",
            "`copy.deepcopy(zero_shot)` is a third network.",
        ),
        reference=outputs_along,
        why=(
            "Whoever loads a mixture into one of the ends is right at the first alpha and wrong at every later one, quietly, "
            "with plausible figures. `wise_ft` makes a third network itself; `interpolate_into` refuses to load into an end."
        ),
        test=examine_outputs_along,
        wrong=(
            (outputs_live, "a state dict is live"),
            (outputs_swapped, "swapped"),
            (outputs_not_given_back, "no longer what it was"),
        ),
    ),
}
