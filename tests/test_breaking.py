"""Notebook 08: whether two classifiers can be averaged, and what its tables state."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle

from wiseft_nb import WiseftError, evaluate, wise_ft
from wiseft_nb.analyse.compatible import Compatible, can_be_averaged
from wiseft_nb.analyse.permute import permute_channels
from wiseft_nb.analyse.runs import compare_runs
from wiseft_nb.analyse.tables import load_results
from wiseft_nb.make import breaking, broken
from wiseft_nb.plots.maps import plot_map
from wiseft_nb.plots.seeds import plot_runs
from wiseft_nb.robustness.points import MEAN

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
    assert expected is False or "dip of 1 point" in found.verdict
    assert "of 1 points" not in found.verdict


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


# ------------------------------------------------------------------------------- many sweeps, a row each


def sweeps():
    alphas = (0.0, 0.25, 0.5, 1.0)
    paths = {  # lr -> validation, mean of shifts
        0.1: ((0.8, 0.5, 0.85, 0.9), (0.7, 0.6, 0.8, 0.5)),
        0.01: ((0.8, 0.9, 0.9, 0.9), (0.7, 0.8, 0.8, 0.6)),
    }
    rows = [
        {"lr": lr, "alpha": alpha, "dataset": name, "accuracy": value, "chord_error": 0.01, "n": 100}
        for lr, both in paths.items()
        for name, values in zip(("val", MEAN), both, strict=True)
        for alpha, value in zip(alphas, values, strict=True)
    ]
    return pd.DataFrame([*rows, {"lr": 1.0, "diverged_at": 7}])


def test_a_run_is_summed_up_in_a_row():
    found = compare_runs(sweeps(), ["lr"])
    assert list(found.index) == [0.01, 0.1], "what diverged has no path"
    assert found.gap[0.1] == pytest.approx(0.5 - (0.75 * 0.8 + 0.25 * 0.9)) and found.dip[0.1] == -found.gap[0.1]
    assert found.dip[0.01] == 0 and (found.standard_error == 0.01).all()
    assert found.best_alpha.to_dict() == {0.01: 0.25, 0.1: 0.5}, "of equal ones the smallest"
    assert found.loc[0.1, ["zero_shot", "fixed", "fine_tuned", "best"]].tolist() == [0.7, 0.8, 0.5, 0.8]
    assert compare_runs(sweeps(), ["lr"], fixed=0.25).fixed[0.1] == 0.6


@pytest.mark.parametrize("lost", ["dataset == 'val' and lr == 0.1", "alpha == 0.5 and lr == 0.1", "dataset == 'val'"])
def test_a_sweep_that_is_not_whole_is_refused(lost):
    table = sweeps()
    with pytest.raises(WiseftError):
        compare_runs(table.drop(table.query(lost).index), ["lr"])


def test_an_unknown_table_of_breaking_lists_the_known_ones():
    with pytest.raises(WiseftError, match="map"):
        load_results("breaking", "maps")
    with pytest.raises(WiseftError, match="choosing"):
        load_results("breking", "map")


def test_a_map_shows_each_gap_and_frames_the_alphas_that_are_best_by_seeds():
    gaps = pd.DataFrame([[0.0, -42.0, 1.5], [np.nan] * 3], index=["a", "b"], columns=[0.0, 0.5, 1.0])
    fig, ax = plot_map(gaps, {"a": [0.5, 0.5, 1.0]})
    texts = [text.get_text() for text in ax.texts]
    assert {"-42", "+1.5", "training diverged"} <= set(texts)
    frames = {p.get_x() + p.get_width() / 2: p.get_linewidth() for p in ax.patches if isinstance(p, Rectangle)}
    assert set(frames) == {1.5, 2.5} and frames[1.5] > frames[2.5], "two seeds of three, and one"
    plt.close(fig)


# ------------------------------------------------------------------------------- what the command makes


def test_the_same_images_of_sets_as_long_are_kept(benchmark):
    few = {name: broken.part(images, 20) for name, images in benchmark.test_sets.items()}
    for name in ("photo", "pose", "stroke"):
        assert np.array_equal(few[name].source, few["mnist"].source), "one digit under several shifts"
    assert len(set(few["fonts"].labels)) > 5, "printed digits stand in order: every second one would be even"


def test_a_head_is_taken_over_and_a_random_one_begins_as_pytorch_begins_one(zero_shot, fine_tuned):
    mixed = broken.with_head(zero_shot, fine_tuned)
    assert torch.equal(mixed.classification_head.weight, fine_tuned.classification_head.weight)
    assert torch.equal(mixed.image_encoder.conv1.weight, zero_shot.image_encoder.conv1.weight)
    first, again, other = (broken.with_random_head(zero_shot, seed).classification_head.weight for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.abs().max() <= first.shape[1] ** -0.5 and first.std() > 0.5 * first.shape[1] ** -0.5


def test_one_class_under_two_names(tiny):
    for together in (True, False):
        found = broken.named_twice(tiny, seed=0, together=together)
        assert found.class_names[-1] == "seven" and len(found.class_names) == 11
        moved = found.train.labels != tiny.train.labels
        assert set(tiny.train.labels[moved]) == {7} and moved.sum() == (tiny.train.labels == 7).sum() // 2
        groups = getattr(found.reference, "class_groups", None)
        assert (groups is not None) == together and (not together or groups[7] == (7, 10) and groups[6] == (6,))
    assert not hasattr(tiny.reference, "class_groups"), "the benchmark that was given is as it was"


def test_few_shots_are_so_many_of_each_class_and_a_fixed_number_of_steps(benchmark, monkeypatch):
    seen = []
    monkeypatch.setattr(broken, "fine_tune", lambda start, benchmark, config, **how: seen.append((benchmark, config)))
    world = SimpleNamespace(benchmark=benchmark, zero_shot=None)
    for n in (1, 4, 50):
        broken.shots(world, draw=2, n=n, lr=1e-3)
        benchmark, config = seen[-1]
        assert np.bincount(benchmark.train.labels).tolist() == [n] * 10 and len(benchmark.val) == broken.FEW_VALIDATION
        steps = config.epochs * -(-len(benchmark.train) // config.batch_size)
        assert abs(steps - broken.STEPS) <= 5 and config.seed == 2


# ------------------------------------------------------------------------------- the committed tables


def keys_of(name):
    return [*breaking.TABLES[name][1], "seed"]


@pytest.mark.parametrize("name", breaking.TABLES)
def test_each_committed_table_is_whole(name):
    table = load_results("breaking", name)
    _, columns, seeds = breaking.TABLES[name]
    assert list(table.columns[: len(columns) + 1]) == keys_of(name) and set(table.seed) == set(seeds)
    paths = table[table.alpha.notna()]
    assert table.groupby(list(columns)).seed.nunique().eq(len(seeds)).all(), "each run has every seed, diverged or not"
    assert not paths.duplicated([*keys_of(name), "alpha", "dataset"]).any()
    alphas = paths.groupby([*keys_of(name), "dataset"]).alpha.apply(tuple)
    assert alphas.isin([broken.ALPHAS, broken.FINE]).all()
    assert (
        paths.accuracy.between(0, 1).all()
        and (paths.low <= paths.accuracy).all()
        and (paths.distance.dropna() > 0).all()
    )
    diverged = table[table.alpha.isna()]
    assert diverged.empty or (name == "map" and (diverged.lr == 0.03).all() and (diverged.diverged_at > 0).all())


@pytest.mark.parametrize("name", [name for name in breaking.TABLES if name != "few_shots_recipe"])
def test_a_mean_of_shifts_lies_between_its_groups_and_a_dip_is_what_the_rows_say(name):
    paths = load_results("breaking", name).query("alpha.notna()")
    wide = paths.pivot(index=[*keys_of(name), "alpha"], columns="dataset", values="accuracy")
    assert np.allclose(wide[MEAN], (4 * wide["print"] + 7 * wide["handwriting"]) / 11, atol=2e-6)
    runs = compare_runs(paths, keys_of(name))
    by_hand = wide["val"].unstack()
    inner = [alpha for alpha in by_hand.columns if 0 < alpha < 1]
    gaps = pd.concat({a: by_hand[a] - (1 - a) * by_hand[0.0] - a * by_hand[1.0] for a in inner}, axis=1)
    assert np.allclose(runs.gap, gaps.min(axis=1)), "in the same order, and the lowest"
    assert np.allclose(runs.best, wide[MEAN].unstack().max(axis=1))


def test_tables_agree_where_they_hold_the_same_model():
    rates, norms, heads = (
        load_results("breaking", name).query("alpha.notna()") for name in ("map", "batchnorm", "heads")
    )
    start = rates[rates.alpha == 0].groupby("dataset").accuracy
    assert start.nunique().eq(1).all(), "every path of the map begins at the same zero-shot"
    zero_shot = start.first()
    at_0 = norms[(norms.alpha == 0) & ~norms.estimated_again].set_index("dataset").accuracy
    assert (at_0 == zero_shot.reindex(at_0.index)).all()
    ends = heads[heads.alpha == 1].groupby(["head", "seed", "dataset"]).accuracy
    assert ends.nunique().eq(1).all(), "the fine-tuned end is the same, whatever stands at alpha 0"
    kept = heads[(heads["head"] == "zero-shot") & (heads.alpha == 1)].set_index(["seed", "dataset"]).accuracy
    short = rates[(rates.lr == 3e-3) & (rates.epochs == breaking.SHORT) & (rates.alpha == 1)]
    assert (kept == short.set_index(["seed", "dataset"]).accuracy.reindex(kept.index)).all()


def test_few_shots_use_the_rate_that_validation_chose():
    recipe, few = load_results("breaking", "few_shots_recipe"), load_results("breaking", "few_shots")
    assert set(recipe.dataset) == {"val"}, "no shift was looked at"
    best = {
        lr: np.mean([run.accuracy.max() for _, run in of.groupby(["shots", "seed"])]) for lr, of in recipe.groupby("lr")
    }
    assert set(few.lr) == {max(sorted(best), key=best.get)} and set(recipe.seed).isdisjoint(few.seed)


def test_runs_are_drawn_each_and_their_mean():
    table = pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 6.0]}, index=[0.0, 1.0])
    fig, ax = plot_runs(table, "two", color="black", marker="o")
    mean, *each = [line.get_ydata().tolist() for line in ax.lines]
    assert mean == [2, 4] and each == [[1, 2], [3, 6]] and ax.lines[0].get_linewidth() > ax.lines[1].get_linewidth()
    assert [line.get_label() for line in ax.lines].count("two") == 1
    plt.close(fig)
