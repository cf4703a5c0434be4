"""sweep: the same as evaluating every alpha on its own, but each image is read once."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats

from wiseft_nb import WiseftError, accuracy_interval, evaluate, mean_of_shifts, sweep, wise_ft
from wiseft_nb.sweep import head_path, same_encoder, weight_path

ALPHAS = (0.0, 0.3, 0.5, 1.0)


@pytest.fixture(scope="module")
def table(zero_shot, fine_tuned, tiny):
    return sweep(zero_shot, fine_tuned, tiny, ALPHAS, progress=False)


def test_the_table_is_tidy(table, tiny):
    assert list(table.columns) == ["alpha", "dataset", "accuracy", "n", "low", "high"]
    assert len(table) == len(ALPHAS) * len(tiny.test_sets)
    assert set(table.dataset) == set(tiny.test_sets) and set(table.alpha) == set(ALPHAS)
    assert table[["accuracy", "low", "high"]].stack().between(0, 1).all() and (table.n == 100).all()


def test_it_equals_evaluating_each_alpha_separately(table, zero_shot, fine_tuned, tiny):
    for alpha in ALPHAS:
        classifier = wise_ft(zero_shot, fine_tuned, alpha)
        for name in ("mnist", "pose", "rendition"):
            (row,) = table.query("alpha == @alpha and dataset == @name").itertuples()
            predictions = evaluate(classifier, tiny.test_sets[name])
            assert row.accuracy == predictions.accuracy()
            assert (row.low, row.high) == predictions.interval()


def images_of(classifier, dataset):
    return classifier.collate([image for image, _ in dataset])


def test_the_ends_of_both_paths_are_the_endpoints_logits(zero_shot, fine_tuned, linear, tiny):
    """Bit for bit, in whatever order the alphas come."""
    images = images_of(zero_shot, tiny.reference)
    for path, end in ((weight_path, fine_tuned), (head_path, linear)):
        last, _, first = path(zero_shot, end)(images, (1.0, 0.5, 0.0))
        assert torch.equal(first, evaluate(zero_shot, tiny.reference).logits)
        assert torch.equal(last, evaluate(end, tiny.reference).logits)


def test_the_linear_path_equals_the_weight_path(zero_shot, linear, tiny):
    """With a shared encoder logits are linear in alpha, and the encoder needs to run once only."""
    images = images_of(zero_shot, tiny.shifts["pose"])
    alphas = (-0.5, 0.0, 0.3, 1.0, 1.5)
    by_head, by_weights = (list(path(zero_shot, linear)(images, alphas)) for path in (head_path, weight_path))
    for logits, expected in zip(by_head, by_weights, strict=True):
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3)


def test_the_linear_path_is_taken_where_only_the_heads_differ(zero_shot, fine_tuned, linear, tiny):
    assert same_encoder(zero_shot, linear) and not same_encoder(zero_shot, fine_tuned)
    classifier, calls = copy.deepcopy(zero_shot), []
    classifier.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    sweep(classifier, linear, tiny, ALPHAS, {"val": tiny.val}, progress=False)
    assert len(calls) == 1


def test_encoders_that_differ_in_batchnorm_statistics_alone_are_not_shared(zero_shot):
    other = copy.deepcopy(zero_shot)
    other.image_encoder.bn1.running_mean.add_(1)
    assert not same_encoder(zero_shot, other)


def test_every_image_is_read_once_however_many_alphas(zero_shot, fine_tuned, tiny):
    class Counting(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    images = Counting(tiny.reference[i] for i in range(20))
    sweep(zero_shot, fine_tuned, tiny, np.linspace(0, 1, 7), {"some": images}, progress=False, workers=0)
    assert images.reads == 21, "and the first once more, to see that both endpoints make the same input of it"


def test_neither_model_is_changed(zero_shot, fine_tuned, linear, tiny):
    for end in (fine_tuned, linear):
        before = [copy.deepcopy(model.state_dict()) for model in (zero_shot, end)]
        sweep(zero_shot, end, tiny, ALPHAS, {"val": tiny.val}, progress=False)
        for model, state in zip((zero_shot, end), before, strict=True):
            assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_classes_a_shift_lacks_are_left_out(zero_shot, fine_tuned, tiny):
    images = [tiny.reference[i] for i in range(100) if tiny.reference[i][1] in (3, 5)]
    few = type("Few", (list,), {"class_subset": (3, 5)})(images)
    all_classes, subset = (
        sweep(zero_shot, fine_tuned, tiny, (0.5,), {"few": data}, progress=False).accuracy.item()
        for data in (images, few)
    )
    assert subset == evaluate(wise_ft(zero_shot, fine_tuned, 0.5), few).accuracy() >= all_classes


def test_alpha_beyond_the_ends_is_evaluated_with_a_warning(zero_shot, linear, tiny):
    with pytest.warns(UserWarning, match="extrapolates"):
        table = sweep(zero_shot, linear, tiny, [1.2], {"val": tiny.val}, progress=False)
    assert table.alpha.tolist() == [1.2]


def test_bad_input_is_refused_before_anything_runs(zero_shot, fine_tuned, tiny):
    with pytest.raises(WiseftError, match="alpha"):
        sweep(zero_shot, fine_tuned, tiny, [0, math.nan], progress=False)
    other = copy.deepcopy(fine_tuned)
    other.classification_head = torch.nn.Linear(128, 3)
    with pytest.raises(WiseftError, match="classification_head"):
        sweep(zero_shot, other, tiny, [0.5], progress=False)
    with pytest.raises(WiseftError, match="10 classes"):
        sweep(zero_shot, fine_tuned, tiny, [0.5], {"bad": [(Image.new("RGB", (8, 8)), 10)]}, progress=False)


def shift_table():
    rows = []
    for alpha, accuracies in ((0.0, (0.2, 0.6)), (1.0, (0.5, 1.0))):
        for (dataset, n), accuracy in zip({"a": 100, "b": 400}.items(), accuracies, strict=True):
            low, high = accuracy_interval(round(accuracy * n), n)
            rows.append(dict(alpha=alpha, dataset=dataset, accuracy=accuracy, n=n, low=low, high=high))
    rows += [dict(rows[0], dataset="reference", accuracy=0.99), dict(rows[2], dataset="reference", accuracy=0.99)]
    return pd.DataFrame(rows)


def test_the_mean_of_shifts_weighs_every_shift_alike():
    """Whatever its number of images; the reference is no shift."""
    mean = mean_of_shifts(shift_table(), ["a", "b"])
    assert mean.alpha.tolist() == [0, 1] and mean.accuracy.tolist() == [0.4, 0.75]
    assert mean.n.tolist() == [500, 500] and set(mean.dataset) == {"mean of shifts"}
    assert list(mean.columns) == list(shift_table().columns)


def test_the_interval_of_the_mean_is_that_of_independent_proportions():
    row = mean_of_shifts(shift_table(), ["a", "b"]).iloc[0]
    deviation = math.sqrt(0.2 * 0.8 / 100 + 0.6 * 0.4 / 400) / 2
    assert (row.low, row.high) == pytest.approx(stats.norm.interval(0.95, 0.4, deviation))


def test_the_mean_of_shifts_keeps_what_tells_rows_apart():
    table = pd.concat([shift_table().assign(model=name) for name in ("x", "y")])
    mean = mean_of_shifts(table, ["a", "b"])
    assert sorted(zip(mean.model, mean.alpha, strict=True)) == [("x", 0), ("x", 1), ("y", 0), ("y", 1)]
