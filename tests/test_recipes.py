"""The paper's recipes by name, fitted to short runs, and what they are estimated to need."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch

from wiseft_nb import FineTuneConfig, WiseftError, fine_tune, recipe_table
from wiseft_nb.fine_tune import schedule
from wiseft_nb.recipes import PAPER


@pytest.mark.parametrize("model", [*PAPER, *PAPER.values()])
def test_the_papers_recipe_is_appendix_ds(model):
    recipe = FineTuneConfig.paper(model)
    assert (recipe.method, recipe.epochs, recipe.batch_size, recipe.warmup_steps) == ("end-to-end", 10, 512, 500)
    assert (recipe.lr, recipe.weight_decay, recipe.clip_norm, recipe.label_smoothing) == (3e-5, 0.1, 1.0, 0.0)


def test_a_model_without_a_recipe_is_refused_and_the_others_named():
    with pytest.raises(WiseftError, match="recipe of the paper's 'RN50': expected one of ViT-B/16, ViT-B/32"):
        FineTuneConfig.paper("RN50")


@pytest.mark.parametrize("steps", [2500, 2503, 25_030])
def test_on_a_long_run_the_warm_up_has_exactly_its_steps(steps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        share = FineTuneConfig.paper().warmup_share(steps)
    factors = [schedule(step, steps, share) for step in range(501)]
    assert factors[:500] == [(step + 1) / 500 for step in range(500)] and factors[500] == 1.0


@pytest.mark.parametrize("steps", [1, 9, 210, 500, 2499])
def test_a_warm_up_that_would_take_most_of_a_short_run_is_shortened_and_said_so(steps):
    """21 batches for 10 epochs: somebody's run never left the warm-up of 500 steps."""
    with pytest.warns(UserWarning, match=f"500 steps does not suit a run of {steps}, so it is {steps // 10} steps"):
        share = FineTuneConfig.paper().warmup_share(steps)
    factors = [schedule(step, steps, share) for step in range(steps)]
    assert max(factors) == 1.0 and factors.index(1.0) <= max(steps // 10, 0)
    assert steps < 30 or factors[-1] < 0.1


def test_no_warm_up_and_a_negative_one():
    assert schedule(0, 100, FineTuneConfig(warmup_steps=0).warmup_share(100)) == 1
    with pytest.raises(WiseftError, match="warmup_steps is -1"):
        FineTuneConfig(warmup_steps=-1)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"lr": "1e-5"}, "lr is '1e-5': expected a finite number, 0 or more; YAML reads 1e-5 as a text"),
        ({"epochs": "3"}, "epochs is '3': expected a whole number, 1 or more"),
        ({"epochs": 1.5}, "epochs is 1.5: expected a whole number"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": None}, "seed is None"),
        ({"lr": math.nan}, "lr is nan: expected a finite number"),
        ({"weight_decay": math.inf}, "weight_decay is inf: expected a finite number"),
        ({"warmup": 1.0}, r"warmup is 1\.0: expected a number in \[0, 1\)"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
        ({"clip_norm": 0}, "clip_norm is 0: expected a number above 0, or None not to clip"),
        ({"warmup_steps": 2.0}, r"warmup_steps is 2\.0"),
    ],
)
def test_a_setting_of_another_kind_is_refused_when_it_is_made(setting, says):
    """Not after the features are computed, nor by training that moves nothing."""
    with pytest.raises(WiseftError, match=f"FineTuneConfig.{says}"):
        FineTuneConfig(**setting)


def test_numbers_of_numpy_are_numbers():
    config = FineTuneConfig(epochs=np.int64(3), lr=np.float64(3e-3), seed=np.int32(1))
    assert config == FineTuneConfig(epochs=3, lr=3e-3, seed=1)
    assert [type(value) for value in (config.epochs, config.lr, config.seed)] == [int, float, int]
    assert repr(config) == repr(FineTuneConfig(epochs=3, lr=3e-3, seed=1)), "so that a cached run is found"


def test_gradients_need_not_be_clipped(zero_shot, tiny, quick_config):
    """None and infinity say the same, and train as a norm that is never reached does."""
    states = [
        fine_tune(zero_shot, tiny, dataclasses.replace(quick_config, clip_norm=norm), progress=False).state_dict()
        for norm in (None, math.inf, 1e9)
    ]
    assert FineTuneConfig(clip_norm=None) == FineTuneConfig(clip_norm=math.inf)
    for other in states[1:]:
        assert all(torch.equal(tensor, other[name]) for name, tensor in states[0].items())


def test_fine_tune_follows_it(zero_shot, tiny):
    """Four steps: the learning rate of the last is the schedule's."""
    config = dataclasses.replace(FineTuneConfig.paper("ViT-B/32"), epochs=2, batch_size=50)
    with pytest.warns(UserWarning, match="does not suit a run of 4, so it is 0 steps"):
        tuned = fine_tune(zero_shot, tiny, config, progress=False)
    assert tuned.history[-1]["lr"] == pytest.approx(3e-5 * schedule(3, 4, 0))


VIT = {  # width, layers, patch, image, dimension of the features
    "ViT-B/32": (768, 12, 32, 224, 512),
    "ViT-B/16": (768, 12, 16, 224, 512),
    "ViT-L/14": (1024, 24, 14, 224, 768),
    "ViT-L/14@336px": (1024, 24, 14, 336, 768),
}


@pytest.mark.parametrize("model", PAPER)
def test_the_committed_costs_are_what_the_stated_formulas_give(model):
    w, layers, p, s, e = VIT[model]
    n = (s // p) ** 2
    t = n + 1
    row = recipe_table().set_index("model").loc[model]
    parameters = 3 * p * p * w + w + t * w + 4 * w + layers * (12 * w * w + 13 * w) + w * e
    flops = 2 * n * 3 * p * p * w + layers * (24 * t * w * w + 4 * t * t * w) + 2 * w * e
    assert (row.million_parameters * 1e6, row.gflops * 1e9) == pytest.approx((parameters, flops), rel=1e-12)


def test_the_table_of_needs_is_what_it_was_when_it_was_counted():
    table = recipe_table().set_index("model")
    assert table.gpu_gb.tolist() == [12.781294592, 48.97664, 175.327326208, 458.674843648]
    assert table.gpu_gb_micro_batch_64.tolist() == [3.135023104, 7.6304512, 27.235324416, 62.659498496]
    assert table.disk_gb.tolist() == pytest.approx([146.054190592, 146.03431168, 148.647594496, 148.651526656])


def test_the_table_of_needs_grows_with_the_model_and_counts_what_is_known():
    table = recipe_table().set_index("model")
    assert list(table.index) == list(PAPER) and (table.steps == 25_030).all()
    for column in ("gflops", "gpu_gb", "hours"):
        assert table[column].is_monotonic_increasing
    assert table.million_parameters["ViT-B/16"] == pytest.approx(86.2, abs=0.1)
    # an image tower of ViT-B/16 is known for 17.6 billion multiplications and additions at 224 pixels
    assert table.gflops["ViT-B/16"] == pytest.approx(2 * 17.6, rel=0.01)
    assert (table.gpu_gb_micro_batch_64 < table.gpu_gb).all() and (table.disk_gb > 145).all()
    hours = 3 * table.gflops * 1e9 * 1_281_167 * 10 / 1e14 / 3600
    assert table.hours.tolist() == pytest.approx(hours.tolist())
    half = recipe_table(images=640_584, flops_per_second=2e14).set_index("model")
    assert half.hours.tolist() == pytest.approx((table.hours / 4).tolist(), rel=1e-4)
