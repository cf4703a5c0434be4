"""The committed tables of the study of alpha hold together, and with what choose_alpha does today."""

import itertools

import numpy as np
import pandas as pd
import pytest
from test_choose_alpha import path_of

from wiseft_nb.analyse.regret import regret
from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.benchmarks.digits.digits import GROUPS
from wiseft_nb.choose_alpha import best, choose_alpha
from wiseft_nb.make.alpha_rules import ALIKE, FIXED_RULES, SHORT, TARGET_RULES, Known, nearest, part, pooled
from wiseft_nb.make.choosing import FOLDER, label_shifts
from wiseft_nb.make.endpoints import RATES, RECIPES
from wiseft_nb.make.hard_views import JUNK, KINDS
from wiseft_nb.make.results import ALPHAS, SEEDS

SHIFTS = tuple(itertools.chain(*GROUPS.values()))
RUN = ["recipe", "seed"]


@pytest.fixture(scope="module")
def tables():
    return {path.stem: pd.read_csv(path) for path in FOLDER.glob("*.csv")}


@pytest.fixture(scope="module")
def known():
    """An endpoint's paths, made up: fifty images of each kind."""
    rng = np.random.default_rng(0)
    names = ["val", "target", *(f"val, {kind}" for kind in KINDS)]
    paths = {name: path_of(ALPHAS, 60, seed=int(rng.integers(1000))) for name in names}
    return Known(paths, paths, 0.42)


def test_every_rule_was_judged_on_every_shift_with_three_seeds(tables):
    choices = tables["choices"]
    for recipe in RECIPES:
        some = choices[(choices.recipe == recipe) & choices.dataset.isin(SHIFTS)]
        assert set(some.seed) == set(SEEDS), recipe
        counts = some.groupby("rule").size()
        assert {*FIXED_RULES, *TARGET_RULES} <= {*counts.index} and (counts == len(SEEDS) * len(SHIFTS)).all(), recipe


def test_counts_of_images_and_accuracies_tell_one_story(tables):
    judged = regret(tables["choices"], tables["curves"], RUN)
    assert np.allclose(judged.gain, (judged.only_rule - judged.only_half) / judged.n, atol=3e-5)
    assert (judged.regret >= -1e-9).all()
    half = judged[judged.rule == "alpha 0.5"]
    assert (half.gain == 0).all() and (half.only_rule == 0).all()


def test_rules_on_validation_data_can_be_chosen_again_from_the_curves(tables):
    curves, choices = tables["curves"], tables["choices"]
    for run, table in curves[curves.dataset == "val"].groupby(RUN):
        chosen = choices[(choices.recipe == run[0]) & (choices.seed == run[1])].groupby("rule").alpha.unique()
        for rule in ("reference", "most of the gain"):
            assert chosen[rule].tolist() == [choose_alpha(table, rule).alpha], (run, rule)


def test_the_curves_of_bias_are_those_of_the_choices(tables):
    bias = tables["bias"].merge(tables["curves"], on=[*RUN, "dataset", "alpha"], suffixes=("", "_curve"))
    assert len(bias) == len(tables["bias"]) and np.allclose(bias.accuracy, bias.accuracy_curve, atol=1e-5)
    sure = bias[bias.on == "rotate"].pivot(index=[*RUN, "dataset"], columns="alpha", values="confidence")
    chosen = tables["choices"].query("rule == 'confidence, rotated'").set_index([*RUN, "dataset"]).alpha
    # rounded to five digits, two alphas may be equal; the chosen one is among the best
    reached = [sure.loc[key, chosen[key]] for key in sure.index]
    assert np.allclose(reached, sure.max(axis=1), atol=1e-5)


def test_every_condition_and_number_of_labels_was_judged(tables):
    conditions = tables["conditions"]
    assert set(conditions.recipe) == set(RATES) and set(conditions.rule) == set(SHORT)
    wanted = {"200 images", "50 images", "20 images", "two classes", "five classes", "Zipf"}
    wanted |= {"a quarter junk", "a half junk", "mixed stream", "no shift"}
    assert set(conditions.condition) == wanted
    assert set(tables["labels"].labels) == {10, 20, 50, 128}
    assert conditions[["gain", "regret"]].notna().all(axis=None) and (conditions.regret >= -1e-9).all()


# The rules of the study


def test_what_no_shift_may_foresee_leaves_out_known_kinds_of_every_shift():
    assert set(ALIKE) == set(SHIFTS) and {kind for kinds in ALIKE.values() for kind in kinds} <= set(KINDS)


def test_every_rule_gives_an_alpha_that_was_swept(known):
    for name, rule in (FIXED_RULES | TARGET_RULES).items():
        assert nearest(rule(known, known.paths["target"])) in ALPHAS, name


def test_the_rule_of_the_study_is_that_of_choose_alpha(known):
    target = known.paths["target"]
    asked = choose_alpha(target, "confidence", calibration=known.hard["rotate"])
    found = TARGET_RULES["confidence, rotated"](known, target)
    assert np.allclose(asked.estimate, found) and asked.alpha == best(found)
    wide = choose_alpha(target, "confidence", calibration=known.hard["rotate"], margin=0.01)
    assert wide.alpha == TARGET_RULES["confidence, rotated, margin"](known, target)


def test_images_are_pooled_and_picked_by_number(known):
    path = known.paths["target"]
    both = pooled([path, part(path, np.array([3, 1]))])
    assert both[0.5].n == 62 and both[0.5].labels[-2:].tolist() == path[0.5].labels[[3, 1]].tolist()
    assert both[0.3].logits[-1].equal(path[0.3].logits[1])


def test_label_shifts_have_the_classes_they_say():
    labels, rng = np.repeat(np.arange(10), 100), np.random.default_rng(0)
    found = {name: labels[indices] for name, indices in label_shifts(labels, rng).items()}
    assert len(set(found["two classes"])) == 2 and len(set(found["five classes"])) == 5
    counts = np.sort(np.bincount(found["Zipf"], minlength=10))[::-1]
    assert counts[0] > 2.5 * counts[4] and counts.sum() == 300


def test_changes_keep_the_size_and_junk_keeps_the_pixels():
    image = load_benchmark("digits").val[0][0]
    for kind, change in KINDS.items():
        assert change(image).size == image.size and change(image).tobytes() != image.tobytes(), kind
    assert sorted(JUNK(image).tobytes()) == sorted(image.tobytes()) and JUNK(image).tobytes() != image.tobytes()
