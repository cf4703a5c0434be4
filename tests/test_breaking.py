"""Notebook 08: whether two classifiers can be averaged, and what its tables state."""

import numpy as np
import pytest
import torch

from wiseft_nb import WiseftError, evaluate, wise_ft
from wiseft_nb.analyse.compatible import Compatible, can_be_averaged
from wiseft_nb.analyse.permute import permute_channels

ALPHAS = (0.25, 0.5, 0.75)


def by_hand(first, second, images):
    """Lowest gap, its alpha and its standard error, from evaluations one by one."""
    right = [evaluate(wise_ft(first, second, alpha), images, progress=False).correct.double() for alpha in (0, 1)]
    found = []
    for alpha in ALPHAS:
        mixed = evaluate(wise_ft(first, second, alpha), images, progress=False).correct.double()
        each = mixed - (1 - alpha) * right[0] - alpha * right[1]
        found.append((each.mean().item(), alpha, (each.var(correction=0) / len(each)).sqrt().item()))
    return min(found)


def test_it_is_what_evaluations_one_by_one_give(zero_shot, fine_tuned, tiny):
    for second in (fine_tuned, permute_channels(fine_tuned, 3)):
        found = can_be_averaged(zero_shot, second, tiny.val, ALPHAS)
        gap, alpha, error = by_hand(zero_shot, second, tiny.val)
        assert (found.gap, found.alpha, found.standard_error) == pytest.approx((gap, alpha, error))
        flat = [torch.cat([p.detach().flatten().double() for p in m.parameters()]) for m in (zero_shot, second)]
        assert found.distance == pytest.approx(((flat[1] - flat[0]).norm() / flat[0].norm()).item(), rel=1e-6)
        ends = tuple(evaluate(m, tiny.val, progress=False).accuracy() for m in (zero_shot, second))
        assert found.ends == pytest.approx(ends) and found.n == len(tiny.val)


def test_a_twin_with_permuted_channels_lies_apart_though_it_is_the_same_function(zero_shot, fine_tuned, benchmark):
    images = benchmark.val.subset(slice(300))
    close = can_be_averaged(zero_shot, fine_tuned, images)
    twin = can_be_averaged(zero_shot, permute_channels(fine_tuned), images)
    assert close.answer is not False and twin.answer is False
    assert twin.dip > 0.2 and "lie apart" in twin.verdict and twin.distance > 2 * close.distance
    assert close.ends == pytest.approx(twin.ends)


def test_a_model_can_be_averaged_with_itself_if_there_are_images_enough(zero_shot, benchmark):
    """The three models agree on all images: what was never seen in 100 of them may be three in a hundred still."""
    few, many = (can_be_averaged(zero_shot, zero_shot, benchmark.val.subset(slice(n)), [0.5]) for n in (100, 500))
    assert few.standard_error == many.standard_error == few.distance == 0
    assert few.answer is None and "Too few images" in few.verdict
    assert many.answer is True and "can be averaged" in many.verdict


@pytest.mark.parametrize(
    ("gap", "error", "n", "expected"),
    [
        (0.02, 0.004, 500, True),
        (-0.002, 0.003, 1000, True),  # a sure dip of 0.2 points is no dip of 1
        (-0.008, 0.0005, 5000, True),
        (-0.008, 0.004, 1000, None),
        (0.0, 0.006, 1000, None),
        (-0.03, 0.02, 1000, None),  # more than a point, but not surely
        (-0.03, 0.01, 1000, False),
        (-0.05, 0.0, 50, None),
        (-0.7, 0.02, 50, False),
    ],
)
def test_the_answer_weighs_the_dip_against_the_gate_and_two_standard_errors(gap, error, n, expected):
    found = Compatible(gap, 0.5, error, 0.1, (0.9, 0.95), n)
    assert found.answer is expected and found.dip == max(0, -gap)
    words = {True: "can be averaged", False: "lie apart", None: "Too few images"}
    assert words[expected] in found.verdict and sum(said in found.verdict for said in words.values()) == 1
    assert f"{100 * gap:+.1f} ± {100 * found.margin:.1f}" in found.verdict


def test_what_cannot_be_asked_is_refused(zero_shot, fine_tuned, tiny):
    with pytest.raises(WiseftError, match="one architecture"):
        smaller = wise_ft(zero_shot, fine_tuned, 0.5)
        smaller.extra = torch.nn.Linear(2, 2)
        can_be_averaged(zero_shot, smaller, tiny.val)
    with pytest.raises(WiseftError, match="no path to judge"):
        can_be_averaged(zero_shot, fine_tuned, tiny.val, [0, 1])
    with pytest.raises(WiseftError, match="gate"):
        can_be_averaged(zero_shot, fine_tuned, tiny.val, gate=1)
    judged = tiny.val.subset(np.arange(20))
    judged.metric = lambda predicted, labels: {"accuracy": 0.5, "n": len(labels), "low": 0.4, "high": 0.6}
    with pytest.raises(WiseftError, match="metric of their own"):
        can_be_averaged(zero_shot, fine_tuned, judged)
