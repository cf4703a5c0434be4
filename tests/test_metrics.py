"""What datasets are judged by, checked against the definitions and other people's code."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from wiseft_nb import ImageSet, Predictions, WiseftError, accuracy_interval, evaluate, sweep
from wiseft_nb.metrics import MacroF1, PmK, WorstGroupAccuracy, accuracy, macro_f1

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
SAID = torch.tensor([0, 0, 1, 1, 1, 1, 0, 2])


def test_accuracy_counts_and_has_the_clopper_pearson_interval():
    low, high = accuracy_interval(6, 8)
    assert accuracy(SAID, LABELS) == {"accuracy": 0.75, "n": 8, "low": low, "high": high}


def test_the_worst_group_is_the_one_with_the_lowest_accuracy_and_gives_its_own_n():
    row = WorstGroupAccuracy(["asia"] * 4 + ["europe"] * 2 + ["africa"] * 2)(SAID, LABELS)
    assert row == accuracy(SAID[6:], LABELS[6:]) and row["n"] == 2 and row["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (WorstGroupAccuracy(["a"] * 7), "7 groups for 8 images"),
        (WorstGroupAccuracy(["a"] * 8, ignored=("a",)), r"all images are of ignored groups, \['a'\]"),
        (PmK([[0], [8]]), "8 frames"),
        (PmK([[0]], accepted=[(0,)]), "8 frames"),
        (PmK([]), "0 of 0 images"),
    ],
)
def test_a_metric_of_other_images_or_of_none_is_refused(metric, message):
    with pytest.raises(WiseftError, match=message):
        metric(SAID, LABELS)


def test_macro_f1_is_scikit_learns_over_the_classes_that_occur():
    """A class that is predicted but never occurs lowers others' precision, and has no F1 of its own."""
    said = torch.tensor([0, 0, 3, 1, 1, 1, 0, 2])
    row = MacroF1()(said, LABELS)
    assert row["accuracy"] == pytest.approx(f1_score(LABELS, said, average="macro", labels=[0, 1, 2]))
    assert row["accuracy"] == pytest.approx(np.mean([2 * 2 / (3 + 3), 1, 2 * 1 / (1 + 2)]))


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_scikit_learns_on_random_labels(seed):
    """More classes than occur, more predicted than labelled, and classes that are never hit."""
    dice = np.random.default_rng(seed)
    labels, said = dice.integers(0, (5, 200)[seed % 2], 300), dice.integers(0, (200, 5)[seed % 2], 300)
    wanted = f1_score(labels, said, average="macro", labels=np.unique(labels), zero_division=0)
    assert macro_f1(labels, said) == pytest.approx(wanted, abs=1e-15)


def test_macro_f1s_interval_is_around_it_narrows_with_n_and_is_the_same_every_time():
    generator = torch.Generator().manual_seed(0)
    widths = []
    for n in (100, 2000):
        labels = torch.randint(4, (n,), generator=generator)
        said = torch.where(torch.rand(n, generator=generator) < 0.3, torch.zeros_like(labels), labels)
        row = MacroF1()(said, labels)
        assert row["low"] < row["accuracy"] < row["high"] and row == MacroF1()(said, labels)
        widths.append(row["high"] - row["low"])
    assert widths[1] < widths[0] / 3


def test_pm_k_asks_for_all_frames_of_a_neighbourhood():
    pm_0, pm_1 = PmK([[1], [4], [7]]), PmK([[0, 1, 2], [3, 4, 5], [6, 7]])
    assert pm_0(SAID, LABELS)["accuracy"] == 1.0
    assert pm_1(SAID, LABELS)["accuracy"] == pytest.approx(1 / 3) and pm_1(SAID, LABELS)["n"] == 3


def test_a_label_that_stands_for_several_classes_takes_the_largest_of_their_logits():
    logits = torch.tensor([[5.0, 0.0, 4.0, 4.9], [0.0, 9.0, 1.0, 2.0], [9.0, 3.0, 3.1, 0.0]])
    predictions = Predictions(logits, torch.tensor([1, 0, 1]), class_groups=((1, 2), (3,)))
    assert predictions.predicted.tolist() == [1, 0, 0], "class 0 is in no group and can't win"
    assert predictions.accuracy() == pytest.approx(2 / 3)


class Judged(ImageSet):
    """Digits told apart as even and odd, judged by the worse of two groups."""

    class_groups = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9))

    def __init__(self, digits):
        super().__init__(digits.images, digits.labels % 2)
        self.metric = WorstGroupAccuracy((digits.labels >= 5).tolist())


def test_evaluate_and_sweep_judge_a_dataset_by_its_own_metric_and_groups(
    zero_shot, fine_tuned, tiny, monkeypatch, tmp_path
):
    monkeypatch.setenv("WISEFT_NB_CACHE", str(tmp_path))
    shift = Judged(tiny.shifts["pose"])
    logits, digits = evaluate(zero_shot, tiny.shifts["pose"]).logits, tiny.shifts["pose"].labels
    even, odd = logits[:, ::2].amax(1).numpy(), logits[:, 1::2].amax(1).numpy()
    correct = (odd > even) == (digits % 2 == 1)
    worst = min(correct[digits >= 5].mean(), correct[digits < 5].mean())
    assert 0 < worst < 1 and worst != correct.mean()
    assert evaluate(zero_shot, shift).row()["accuracy"] == pytest.approx(worst)
    tables = [sweep(zero_shot, fine_tuned, tiny, (0.0, 0.5), {"pose": shift}, progress=False, cache=True) for _ in "12"]
    assert tables[0].accuracy[0] == pytest.approx(worst) and tables[0].n[0] in ((digits >= 5).sum(), (digits < 5).sum())
    assert tables[0].equals(tables[1]), "looked up, it is judged alike"


def test_a_sweep_over_no_alpha_is_refused(zero_shot, fine_tuned, tiny):
    with pytest.raises(WiseftError, match="no alpha"):
        sweep(zero_shot, fine_tuned, tiny, ())


def test_a_subset_keeps_the_classes_it_is_told_apart_from(tiny):
    some = ImageSet(tiny.reference.images, tiny.reference.labels, class_subset=(1, 2))
    assert some.subset(slice(3)).class_subset == (1, 2)
    assert dataclasses.replace(tiny, reference=some).test_sets["mnist"].class_subset == (1, 2)
