"""fine_tune: seeded, on a copy, reference data only, and it stops with good weights where it diverges."""

import copy
import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from wiseft_nb import FineTuneConfig, FineTuneDiverged, WiseftError, evaluate, fine_tune
from wiseft_nb.engine.training import set_train_mode
from wiseft_nb.fine_tune import schedule


def state_of(classifier):
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


def differing(classifier, other):
    """Names of the tensors that differ."""
    theirs = other if isinstance(other, dict) else other.state_dict()
    return {name for name, tensor in classifier.state_dict().items() if not torch.equal(tensor, theirs[name])}


def is_finite(classifier):
    return all(torch.isfinite(tensor).all() for tensor in classifier.state_dict().values())


def statistics(classifier):
    """Names of BatchNorm's buffers."""
    return {name for name, _ in classifier.named_buffers()}


@pytest.fixture(scope="module")
def few(tiny):
    """Thirty training images: three steps of ten."""
    part = tiny.train.subset(slice(30))
    return dataclasses.replace(tiny, train=part, val=tiny.val.subset(slice(20)))


@pytest.fixture(scope="module")
def short():
    return FineTuneConfig(epochs=1, batch_size=10)


def tune(zero_shot, few, config, **changes):
    return fine_tune(zero_shot, few, dataclasses.replace(config, **changes), progress=False)


@pytest.mark.parametrize("method", ["end-to-end", "linear"])
def test_the_seed_decides_every_weight(zero_shot, few, short, method):
    torch.manual_seed(1)
    first = tune(zero_shot, few, short, method=method)
    torch.manual_seed(2)  # whatever the session drew before
    assert not differing(first, tune(zero_shot, few, short, method=method))
    assert differing(first, tune(zero_shot, few, short, method=method, seed=1))


@pytest.mark.parametrize("method", ["end-to-end", "linear"])
def test_random_numbers_of_the_session_stay_as_they_were(zero_shot, few, short, method):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    tune(zero_shot, few, short, method=method)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


@pytest.mark.parametrize("method", ["end-to-end", "linear"])
def test_the_zero_shot_classifier_stays_as_it_was(zero_shot, few, short, method):
    before = state_of(zero_shot)
    fine_tuned = tune(zero_shot, few, short, method=method, train_batchnorm=True)
    with torch.no_grad():
        for tensor in fine_tuned.state_dict().values():
            tensor.zero_()
    assert not differing(zero_shot, before)
    assert not zero_shot.training and zero_shot.history == []
    assert all(parameter.grad is None for parameter in zero_shot.parameters())


def test_end_to_end_moves_every_weight_but_no_batchnorm_statistics(zero_shot, fine_tuned):
    """So that what changes between the endpoints are weights alone."""
    moved = differing(fine_tuned, zero_shot)
    assert statistics(zero_shot) and not moved & statistics(zero_shot)
    assert moved == {name for name, _ in zero_shot.named_parameters()}
    assert not fine_tuned.training


def test_batchnorm_statistics_move_where_that_is_asked_for(zero_shot, few, short):
    fine_tuned = tune(zero_shot, few, short, train_batchnorm=True)
    assert statistics(zero_shot) <= differing(fine_tuned, zero_shot)
    steps = fine_tuned.state_dict()["image_encoder.bn1.num_batches_tracked"]
    assert steps - zero_shot.state_dict()["image_encoder.bn1.num_batches_tracked"] == 3  # validation adds none


def test_train_mode_reaches_all_layers_but_batchnorm():
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm1d(2), nn.ReLU())).eval()
    set_train_mode(module, train_batchnorm=False)
    assert [layer.training for layer in module.modules()] == [True, True, False, True, False, True]
    set_train_mode(module, train_batchnorm=True)
    assert all(layer.training for layer in module.modules())


def test_linear_trains_the_head_alone(zero_shot, linear):
    assert differing(linear, zero_shot) == {"classification_head.weight", "classification_head.bias"}


@pytest.mark.parametrize(("method", "lr"), [("end-to-end", 3e-3), ("linear", 0.1)])
def test_training_lowers_the_loss_and_fits_the_training_images(zero_shot, tiny, method, lr):
    config = FineTuneConfig(method=method, epochs=6, batch_size=25, lr=lr)
    fine_tuned = fine_tune(zero_shot, tiny, config, progress=False)
    losses = [row["loss"] for row in fine_tuned.history]
    assert losses[-1] < losses[0]
    assert evaluate(fine_tuned, tiny.train).accuracy() > evaluate(zero_shot, tiny.train).accuracy()


@pytest.mark.parametrize("method", ["end-to-end", "linear"])
def test_the_history_has_a_row_an_epoch(zero_shot, few, short, method):
    fine_tuned = tune(zero_shot, few, short, method=method, epochs=2)
    assert [(row["epoch"], row["step"]) for row in fine_tuned.history] == [(1, 3), (2, 6)]
    last = fine_tuned.history[-1]
    assert last["val_accuracy"] == pytest.approx(evaluate(fine_tuned, few.val).accuracy())
    assert last["loss"] > 0 and 0 < last["lr"] < short.lr


def test_only_train_and_val_are_read(zero_shot, few, short):
    """The test sets are looked at by evaluate, never by fine_tune."""

    class Forbidden:
        def __len__(self):
            raise AssertionError("fine_tune looked at a test set")

        __getitem__ = __len__

    blind = dataclasses.replace(few, reference=Forbidden(), shifts={"secret": Forbidden()}, groups={})
    fine_tune(zero_shot, blind, short, progress=False)


def test_label_smoothing_weight_decay_and_clipping_are_used(zero_shot, few, short):
    plain = tune(zero_shot, few, short)
    for change in ({"label_smoothing": 0.2}, {"weight_decay": 5.0}, {"clip_norm": 1e-7}):
        assert differing(tune(zero_shot, few, short, **change), plain), change


def test_the_learning_rate_warms_up_and_follows_a_cosine_to_zero():
    factors = [schedule(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert factors[10] == 1 and factors[55] == pytest.approx(0.5)
    assert factors[10:] == sorted(factors[10:], reverse=True) and 0 < factors[-1] < 0.001
    assert schedule(0, 20, 0.0) == 1 and schedule(0, 1, 0.9) == 1


def test_the_learning_rate_of_the_last_step_is_the_schedules(zero_shot, few, short):
    fine_tuned = tune(zero_shot, few, short, lr=0.01, warmup=0)
    assert fine_tuned.history[-1]["lr"] == pytest.approx(0.01 * schedule(2, 3, 0))


def poisoned(zero_shot, after):
    """A copy whose augmentation gives NaN from the image number ``after`` on."""
    classifier, augment, seen = copy.copy(zero_shot), zero_shot.augment, []

    def spoil(image):
        seen.append(image)
        return augment(image) * (math.nan if len(seen) > after else 1)

    classifier.augment = spoil
    return classifier


@pytest.mark.parametrize("train_batchnorm", [False, True])
def test_nan_in_the_images_stops_it_with_the_weights_of_the_last_good_step(zero_shot, few, short, train_batchnorm):
    """The third batch is bad: step 2, counted from 0. BatchNorm must not keep what it saw of it."""
    with pytest.raises(FineTuneDiverged, match="step 2") as error:
        tune(poisoned(zero_shot, after=20), few, short, train_batchnorm=train_batchnorm)
    assert error.value.step == 2
    kept = error.value.classifier
    assert is_finite(kept) and not kept.training
    assert "classification_head.weight" in differing(kept, zero_shot)  # the two good steps are in it
    assert evaluate(kept, few.val).n == 20


def test_a_learning_rate_beyond_reason_stops_it_with_finite_weights(zero_shot, few, short):
    with pytest.raises(FineTuneDiverged, match="lower the learning rate") as error:
        tune(zero_shot, few, short, lr=1e30, epochs=2)
    assert error.value.step > 0 and is_finite(error.value.classifier)


@pytest.mark.parametrize("batch_size", [10, 30])
def test_weights_that_overflow_are_never_returned(zero_shot, few, short, batch_size):
    """The gradient of the step is finite, the weights after it are not; with batch size 30 no step follows."""
    with pytest.raises(FineTuneDiverged) as error:
        tune(zero_shot, few, short, lr=1e19, weight_decay=3e19, batch_size=batch_size, warmup=0)
    assert is_finite(error.value.classifier)


def test_weights_that_are_not_finite_to_begin_with_are_refused(zero_shot, few, short):
    broken = copy.deepcopy(zero_shot)
    with torch.no_grad():
        broken.classification_head.weight[0, 0] = math.nan
    with pytest.raises(WiseftError, match="classification_head.weight"):
        tune(broken, few, short)


@pytest.mark.parametrize("method", ["end-to-end", "linear"])
@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("label", [-1, 10])
def test_labels_outside_the_classes_are_refused(zero_shot, few, short, method, part, label):
    images = [(Image.new("RGB", (32, 32)), label)] * 10
    with pytest.raises(WiseftError, match="10 classes"):
        fine_tune(
            zero_shot,
            dataclasses.replace(few, **{part: images}),
            dataclasses.replace(short, method=method),
            progress=False,
        )


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": -1.0},
        {"lr": math.nan},
        {"lr": math.inf},
        {"weight_decay": -0.1},
        {"warmup": 1.0},
        {"label_smoothing": -0.1},
        {"label_smoothing": 1.0},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_name(bad):
    with pytest.raises(WiseftError, match=next(iter(bad))):
        FineTuneConfig(**bad)


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(WiseftError, match="end-to-end, linear"):
        FineTuneConfig(method="lora")
