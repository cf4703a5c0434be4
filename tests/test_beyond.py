"""make/beyond.py: what notebook 10 states is measured as it says, on a few images and steps."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from wiseft_nb import evaluate, wise_ft, zero_shot_classifier
from wiseft_nb.engine import training
from wiseft_nb.errors import WiseftError
from wiseft_nb.make import beyond, beyond_tasks, beyond_world
from wiseft_nb.make.beyond_methods import METHODS, letters_run, name_of, patched

IMAGES = 60
ALPHAS = dict.fromkeys(("plain", "plain-low", "own"), (0.0, 0.5, 1.0))
pytestmark = pytest.mark.filterwarnings("ignore:fine-tuning made")


class Forbidden:
    """Data that nobody may look at."""

    def __len__(self):
        raise AssertionError("looked at")

    def __getitem__(self, index):
        raise AssertionError("looked at")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return beyond.a_tiny_world(tmp_path_factory.mktemp("beyond"), images=IMAGES)


@pytest.fixture(scope="module")
def blind(world):
    """The same world, and the same runs, without any test set."""
    benchmark, letters = dataclasses.replace(world.benchmark), dataclasses.replace(world.letters)
    object.__setattr__(benchmark, "shifts", {name: Forbidden() for name in benchmark.shifts})
    for of in (benchmark, letters):
        object.__setattr__(of, "reference", Forbidden())
    return dataclasses.replace(world, benchmark=benchmark, letters=letters, used={})


@pytest.mark.parametrize("name", METHODS)
def test_every_method_ends_in_weights_of_one_architecture_and_looks_at_no_test_set(blind, name):
    if name == "lora":
        pytest.importorskip("peft")
    method = METHODS[name]
    blind.used.clear()
    end = method.make(blind, 0, method.knobs[0])
    start = blind.start_of(end)
    assert end.state_dict().keys() == start.state_dict().keys()
    assert all(t.isfinite().all() for t in end.state_dict().values() if t.is_floating_point())
    pairs = zip(end.image_encoder.parameters(), start.image_encoder.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert len(blind.used) >= method.networks and all(run["seconds"] > 0 for run in blind.used.values())


def test_a_frozen_head_stays(blind):
    for made, start in (
        (patched(blind, 0), blind.zero_shot),
        (letters_run(blind, 0), zero_shot_classifier(blind.clip, blind.letters)),
    ):
        assert torch.equal(made.classification_head.weight, start.classification_head.weight)


def test_knobs_are_chosen_on_validation_data(blind):
    empty = pd.DataFrame(columns=["method", "knob", "val_accuracy", "n", "chosen"])
    knob, table = beyond.choose(blind, "lines", empty)
    assert table.chosen.sum() == 1 and len(table) == len(METHODS["lines"].knobs)
    found = [
        evaluate(METHODS["lines"].make(blind, 0, a), blind.benchmark.val, progress=False).accuracy()
        for a in METHODS["lines"].knobs
    ]
    assert table.val_accuracy.tolist() == found
    assert knob == METHODS["lines"].knobs[beyond.within_error(found, IMAGES)]
    again, same = beyond.choose(dataclasses.replace(blind, folder=None), "lines", table)
    assert again == knob and same is table, "looked up, and nothing is trained"
    other = table.assign(knob=["0", "0.3", "0.6", "0.9"], chosen=[False, False, False, True])
    assert beyond.choose(blind, "lines", other)[0] == knob, "a table of another grid does not count"


def test_the_strongest_hold_within_one_standard_error_is_chosen():
    error = (0.98 * 0.02 / 500) ** 0.5  # 0.0063
    assert beyond.within_error([0.98 - 0.9 * error, 0.98, 0.97], 500) == 0
    assert beyond.within_error([0.98 - 1.1 * error, 0.98, 0.98], 500) == 1
    assert beyond.within_error([1.0, 1.0], 500) == 0
    for name, method in METHODS.items():
        firm = {"l2": -1, "distillation": -1, "lipsum-ft": -1, "trajectory": -1}.get(name, 1)
        assert list(method.knobs) == sorted(method.knobs, key=lambda k: (k is not None, k), reverse=firm < 0)


@pytest.fixture(scope="module")
def tables(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beyond_tasks, "FISHER_IMAGES", 2)
        patch.setattr(beyond_tasks, "COEFFICIENTS", (0.2, 0.6))
        for name in ("plain", "flyp", "l2", "tasks"):
            beyond.one(world, folder, name, 0, ALPHAS, again=False)
    return folder


def test_the_curves_table_holds_what_evaluation_says(world, tables):
    table = pd.read_csv(tables / "curves.csv")
    rows = table[table.part == "curve"].set_index(["method", "alpha", "figure", "place"]).value
    half = wise_ft(world.zero_shot, world.plain(0), 0.5)
    reference = evaluate(half, world.benchmark.reference, progress=False).accuracy()
    assert rows["plain", 0.5, "accuracy", "reference"] == pytest.approx(reference, abs=1e-6)
    print_ = np.mean(
        [evaluate(half, world.benchmark.shifts[n], progress=False).accuracy() for n in world.benchmark.groups["print"]]
    )
    assert rows["plain", 0.5, "accuracy", "print"] == pytest.approx(print_, abs=1e-6)
    letters = zero_shot_classifier(world.clip, world.letters)
    letters.image_encoder = half.image_encoder
    said = evaluate(letters, world.letters.reference, progress=False).accuracy()
    assert rows["plain", 0.5, "accuracy", "letters"] == pytest.approx(said, abs=1e-6)
    at_0 = table[(table.alpha == 0) & (table.figure == "accuracy")].groupby("place").value.nunique()
    assert (at_0 == 1).all(), "every curve begins at zero-shot"


def test_the_gain_over_the_curve_is_none_for_the_curve_itself(tables):
    """No point of plain's own curve lies above the best of that curve."""
    table = pd.read_csv(tables / "curves.csv")
    own = table[(table.method == "plain") & (table.part == "against plain")]
    assert len(own) == 9 and (own.value <= 1e-9).all()
    ends = own[(own.alpha == 1)].set_index("place").value
    assert set(ends.index) == {"print", "handwriting", "mean of shifts"}
    assert {"against plain", "against plain-low"} <= set(table[table.method == "l2"].part)


def test_costs_and_knobs_are_recorded(world, tables):
    costs = pd.read_csv(tables / "methods.csv").set_index("method")
    assert costs.loc["plain", "steps"] == 2 and costs.loc["plain", "labels"] == IMAGES
    assert costs.loc["l2", "labels_for_knob"] == IMAGES and costs.loc["l2", "knobs"] == len(METHODS["l2"].knobs)
    knobs = pd.read_csv(tables / "knobs.csv")
    assert set(knobs.method) == {"flyp", "l2"} and (knobs.groupby("method").chosen.sum() == 1).all()
    assert costs.loc["l2", "knob"] == knobs[(knobs.method == "l2") & knobs.chosen].knob.item()


def test_what_was_measured_is_not_measured_again(world, tables, monkeypatch):
    before = {path.name: path.read_bytes() for path in tables.iterdir()}
    monkeypatch.setattr(training.Training, "take", None)  # no step may be taken
    for name in ("plain", "flyp", "l2", "tasks"):
        beyond.one(world, tables, name, 0, ALPHAS, again=False)
    assert before == {path.name: path.read_bytes() for path in tables.iterdir()}
    beyond.one(world, tables, "l2", 0, ALPHAS, again=True)
    again = pd.read_csv(tables / "curves.csv").sort_values(["method", "alpha", "part", "figure", "place"])
    first = pd.read_csv(pd.io.common.BytesIO(before["curves.csv"])).sort_values(
        ["method", "alpha", "part", "figure", "place"]
    )
    pd.testing.assert_frame_equal(again.reset_index(drop=True), first.reset_index(drop=True))


def test_each_merged_step_has_its_coefficient_from_both_tasks_validation_data(tables):
    table = pd.read_csv(tables / "tasks.csv")
    assert set(table.method) == {
        "zero-shot", "PAINT, digits", "PAINT, letters", "task arithmetic", "TIES", "DARE", "Fisher",
    }  # fmt: skip
    for _, rows in table.groupby("method"):
        tried = rows[(rows.figure == "accuracy") & rows.place.isin(["val", "letters val"])]
        validation = tried.groupby("alpha").value.mean()
        chosen = rows[rows.figure == "chosen coefficient"].value.item()
        assert chosen == validation.idxmax() and (tried.groupby("alpha").size() == 2).all()
        tested = rows[rows.place.isin(["reference", "letters", "mean of shifts"])]
        assert set(tested.alpha) == {chosen} and len(tested) == 3


def test_letters_are_asked_with_the_text_tower_of_that_alpha(world):
    end = METHODS["flyp"].make(world, 0, 1e-3)
    start, moved = (world.at(end, alpha)[1].classification_head.weight for alpha in (0.0, 1.0))
    assert torch.allclose(start, world.letters_head, atol=1e-4) and not torch.allclose(moved, start, atol=1e-3)


def test_a_run_of_another_recipe_is_refused(world):
    world.plain(0)
    other = dataclasses.replace(world, recipe=dataclasses.replace(world.recipe, weight_decay=0.3), used={})
    with pytest.raises(WiseftError, match="was made with"):
        other.plain(0)


def test_writing_a_method_leaves_the_others_alone(tmp_path):
    path = tmp_path / "t.csv"
    for method, seed, value in (("a", 0, 1), ("a", 1, 2), ("b", 0, 3), ("a", 0, 4)):
        beyond.write(path, pd.DataFrame({"method": [method], "seed": [seed], "value": [value]}), method, seed)
    assert sorted(pd.read_csv(path).itertuples(index=False, name=None)) == [("a", 0, 4), ("a", 1, 2), ("b", 0, 3)]


def test_knobs_have_names_that_tell_them_apart():
    for method in METHODS.values():
        assert len({name_of(knob) for knob in method.knobs}) == len(method.knobs)
    assert name_of((16, 3e-3)) == "16 0.003" and name_of(None) == "" and beyond_world.OTHER > max(beyond.SEEDS)
