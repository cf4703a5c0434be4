"""Exercises check themselves: the reference passes, a stub goes on, plausible wrong answers are told why."""

import pytest
import torch
import torch.nn.functional as F

from wiseft_nb import WiseftError, check, interpolate
from wiseft_nb.course.exercises import EXERCISES, effective_robustness


def mean_without_normalising(embeddings, scale):
    return scale * F.normalize(embeddings.mean(dim=1), dim=-1)


def forgot_the_scale(embeddings, scale):
    return F.normalize(F.normalize(embeddings, dim=-1).mean(dim=1), dim=-1)


def not_normalised_again(embeddings, scale):
    return scale * F.normalize(embeddings, dim=-1).mean(dim=1)


def mean_over_classes(embeddings, scale):
    return scale * F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


def swapped(theta_0, theta_1, alpha):
    return interpolate(theta_1, theta_0, alpha)


def mixes_counts(theta_0, theta_1, alpha):
    return {name: (1 - alpha) * theta_0[name] + alpha * theta_1[name] for name in theta_0}


def in_place(theta_0, theta_1, alpha):
    for name, tensor in theta_0.items():
        if tensor.is_floating_point():
            tensor.mul_(1 - alpha).add_(alpha * theta_1[name])
    return theta_0


def drops_counts(theta_0, theta_1, alpha):
    return {name: t for name, t in interpolate(theta_0, theta_1, alpha).items() if t.is_floating_point()}


def always_halfway(theta_0, theta_1, alpha):
    return interpolate(theta_0, theta_1, 0.5)


def line_on_raw_accuracies(x, y, slope, intercept):
    return y - (slope * x + intercept)


def sign_turned(x, y, slope, intercept):
    return -effective_robustness(x, y, slope, intercept)


def in_logits(x, y, slope, intercept):
    x, y = torch.tensor([x, y], dtype=torch.double).logit()
    return float(y - (slope * x + intercept))


def in_percent(x, y, slope, intercept):
    return 100 * effective_robustness(x, y, slope, intercept)


WRONG = {
    "01.1": [mean_without_normalising, forgot_the_scale, not_normalised_again, mean_over_classes],
    "03.1": [swapped, mixes_counts, in_place, drops_counts, always_halfway],
    "04.1": [line_on_raw_accuracies, sign_turned, in_logits, in_percent],
}


@pytest.mark.parametrize("key", sorted(EXERCISES))
def test_the_reference_is_right(key):
    def answer(*arguments):
        return EXERCISES[key].reference(*arguments)

    assert check(key, answer) is answer


@pytest.mark.parametrize("key", sorted(EXERCISES))
def test_a_stub_goes_on_with_the_reference(key):
    def stub(*arguments):
        raise NotImplementedError

    assert check(key, stub) is EXERCISES[key].reference


@pytest.mark.parametrize(("key", "answer"), [(key, answer) for key, answers in WRONG.items() for answer in answers])
def test_a_plausible_wrong_answer_is_told_why(key, answer):
    with pytest.raises(AssertionError) as error:
        check(key, answer)
    assert len(str(error.value).split()) > 4


@pytest.mark.parametrize("key", sorted(EXERCISES))
def test_an_answer_that_returns_nothing_is_told_what_was_expected(key):
    """The commonest of all mistakes: a forgotten return."""
    with pytest.raises(AssertionError, match="return|None"):
        check(key, lambda *arguments: None)


def test_each_exercise_has_wrong_answers_here():
    assert all(len(WRONG.get(key, ())) >= 2 for key in EXERCISES if key[:2] in ("01", "02", "03", "04"))


def test_an_unknown_exercise_lists_the_known_ones():
    with pytest.raises(WiseftError, match="01.1"):
        check("99.9", interpolate)
