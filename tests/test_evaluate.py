"""evaluate and its intervals: what an accuracy is, and how sure we are of it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torchvision.datasets import FakeData

from wiseft_nb import Predictions, WiseftError, accuracy_interval, evaluate

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("steady")

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(counts, levels)
def test_the_interval_contains_the_accuracy_and_stays_between_0_and_1(count, confidence):
    k, n = count
    low, high = accuracy_interval(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1 and low < high


@given(counts, levels)
def test_the_interval_is_clopper_and_pearsons(count, confidence):
    """Against the quantiles of the beta distribution, with the two ends that have none."""
    k, n = count
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, k, n - k + 1) if k else 0
    high = stats.beta.ppf(1 - tail, k + 1, n - k) if k < n else 1
    assert accuracy_interval(k, n, confidence) == pytest.approx((low, high), abs=1e-9)


@given(counts, levels)
def test_more_correct_answers_move_the_interval_up(count, confidence):
    k, n = count
    if k < n:
        (low, high), (more_low, more_high) = (accuracy_interval(c, n, confidence) for c in (k, k + 1))
        assert low < more_low and high <= more_high and (high < more_high or more_high == 1)


@given(counts)
def test_more_confidence_and_fewer_images_widen_the_interval(count):
    k, n = count
    (low, high), (wide_low, wide_high) = (accuracy_interval(k, n, c) for c in (0.9, 0.99))
    assert wide_low <= low and high <= wide_high
    large_low, large_high = accuracy_interval(10 * k, 10 * n, 0.9)
    assert large_high - large_low < high - low


@pytest.mark.parametrize("n", [5, 30, 200])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_the_interval_covers_the_truth_as_often_as_it_says(n, p):
    """Exactly, by the binomial distribution: at least 95 %, whatever the true accuracy."""
    intervals = [accuracy_interval(k, n) for k in range(n + 1)]
    covered = sum(stats.binom.pmf(k, n, p) for k, (low, high) in enumerate(intervals) if low <= p <= high)
    assert covered >= 0.95


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_none_and_all_correct_have_a_closed_end(n):
    assert accuracy_interval(0, n)[0] == 0 and accuracy_interval(n, n)[1] == 1
    assert accuracy_interval(0, n)[1] == pytest.approx(1 - 0.025 ** (1 / n))
    assert accuracy_interval(n, n)[0] == pytest.approx(0.025 ** (1 / n))


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(WiseftError, match="correct"):
        accuracy_interval(k, n)


def test_accuracy_is_the_fraction_of_labels_met():
    predictions = Predictions(
        torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1, 1, 1])
    )
    assert predictions.n == 4
    assert predictions.predicted.tolist() == [0, 1, 0, 1]
    assert predictions.correct.tolist() == [True, True, False, True]
    assert predictions.accuracy() == 0.75
    assert predictions.interval(0.9) == accuracy_interval(3, 4, 0.9)


def test_classes_a_shift_lacks_are_left_out_of_the_argmax():
    """As ImageNet-R and -A are scored; labels keep their indices in the full class list."""
    logits, labels = torch.tensor([[9.0, 1.0, 2.0], [0.0, 8.0, 3.0]]), torch.tensor([2, 1])
    assert Predictions(logits, labels).accuracy() == 0.5
    assert Predictions(logits, labels, class_subset=(1, 2)).predicted.tolist() == [2, 1]


def test_evaluate_reads_the_class_subset_of_a_dataset(zero_shot, tiny):
    few = tiny.reference.subset(np.isin(tiny.reference.labels, (3, 5)))
    few.class_subset = (3, 5)
    assert set(evaluate(zero_shot, few).predicted.tolist()) <= {3, 5}
    assert len(set(evaluate(zero_shot, tiny.reference).predicted.tolist())) > 2


def test_logits_and_labels_stand_in_the_order_of_the_dataset(zero_shot, tiny):
    predictions = evaluate(zero_shot, tiny.reference, batch_size=33)
    assert predictions.labels.tolist() == [label for _, label in tiny.reference]
    image = tiny.reference[71][0]
    with torch.no_grad():
        alone = zero_shot(zero_shot.collate([image]))[0]
    torch.testing.assert_close(predictions.logits[71], alone, rtol=1e-4, atol=1e-3)


def test_evaluating_needs_no_gradient_uses_evaluation_mode_and_changes_no_weights(zero_shot, tiny):
    """A classifier left in training mode would move its BatchNorm statistics with every test image."""
    classifier = copy.deepcopy(zero_shot).train()
    predictions = evaluate(classifier, tiny.shifts["pose"])
    assert not predictions.logits.requires_grad
    assert torch.equal(predictions.logits, evaluate(zero_shot, tiny.shifts["pose"]).logits)
    state = classifier.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in zero_shot.state_dict().items())


def test_a_torchvision_dataset_works_unwrapped(zero_shot):
    assert evaluate(zero_shot, FakeData(size=5, image_size=(3, 40, 50), num_classes=10)).logits.shape == (5, 10)


@pytest.mark.parametrize("labels", [[0, 10], [-1, 3]])
def test_labels_outside_the_classes_are_refused(zero_shot, labels):
    images = [(Image.new("RGB", (32, 32)), label) for label in labels]
    with pytest.raises(WiseftError, match="10 classes") as error:
        evaluate(zero_shot, images)
    assert f"from {min(labels)} to {max(labels)}" in str(error.value)


def test_an_empty_dataset_is_refused(zero_shot):
    with pytest.raises(WiseftError, match="empty"):
        evaluate(zero_shot, [])
