"""Published tables, the statistics drawn from them, and the explorer."""

from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from wiseft_nb import WiseftError, fit_baseline, plot_robustness
from wiseft_nb.analyse.chord import below_chord
from wiseft_nb.plots import add_model, labels_of, plot_models, save_figure
from wiseft_nb.plots.explorer import EVERYTHING, FULL, SUBSET, robustness_explorer
from wiseft_nb.robustness import (
    effective_robustness,
    fit_table,
    relative_robustness,
    rows_of,
    side_by_side,
    standard_by_testbed_rule,
    with_intervals,
)
from wiseft_nb.robustness.points import MEAN
from wiseft_nb.robustness.published import (
    SCHEMA,
    SHIFTS,
    model_groups,
    own_model,
    published,
    published_tables,
    with_mean,
)

RUN = ["source", "model", "pretrained", "method"]


@pytest.fixture(scope="module")
def standard():
    return with_mean(standard_by_testbed_rule(published("testbed")))


@pytest.fixture(scope="module")
def curves():
    return with_mean(published("paper_alpha_sweeps"))


@pytest.fixture(scope="module")
def groups():
    return model_groups()


def curve(curves, model="CLIP ViT-L/14@336px", method="end-to-end"):
    return curves[(curves.model == model) & (curves.method == method)]


# ---------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", published_tables())
def test_every_table_has_the_schema_and_every_row_a_source(name):
    table = published(name)
    assert list(table.columns) == SCHEMA
    assert table.accuracy.between(0, 1).all()
    assert (table.source.str.len() > 10).all() and table.model.notna().all() and table.method.notna().all()
    assert not table.duplicated([*RUN, "alpha", "dataset"]).any()
    assert (table.n.dropna() > 0).all()


def test_only_worst_regions_and_f1_scores_have_no_n():
    """And failures, other fields and detection, whose figures are no plain accuracies."""
    other = ("failures", "other_fields", "detection")
    without = pd.concat(published(name) for name in published_tables() if name not in other).query("n.isna()")
    assert set(without.dataset) == {
        "WILDS-FMoW OOD (worst-region top-1)",
        "WILDS-iWildCam ID (macro-F1)",
        "WILDS-iWildCam OOD (macro-F1)",
    }


@pytest.mark.parametrize("name", ["testbed", "fine_tuned_clip_b32_runs", "cifar10_models"])
def test_n_is_right_because_accuracy_times_n_is_a_whole_number(name):
    """Three or four decimals of percent tell the number of images; a wrong n cannot pass."""
    table = published(name).query("dataset != 'ImageNet-Sketch'")  # one testbed row was scored on fewer images
    counts = table.accuracy * table.n.astype(float)
    assert (np.abs(counts - counts.round()) <= 0.51e-5 * table.n.astype(float) + 1e-6).all()


def test_the_counts_of_models_are_those_of_the_sources():
    count = {name: len(published(name).drop_duplicates(RUN)) for name in published_tables()}
    assert count["open_clip_zero_shot"] == 121 and count["fine_tuned_clip_b32_runs"] == 74
    assert count["alpha_sweeps_third_party"] == 43  # 44 logs, two of them halves of one sweep
    assert published("testbed").model.nunique() == 335  # 338, less three without any accuracy
    assert count["newer_zero_shot"] == 68 and count["zero_shot_vs_fine_tuned_pairs"] == 15 + 37
    assert published("timm").query("method.str.startswith('fine-tuned CLIP')").model.nunique() == 35


def test_an_unknown_table_lists_the_known_ones():
    with pytest.raises(WiseftError, match="paper_alpha_sweeps.*testbed"):
        published("table_of_contents")


def test_details_join_row_by_row():
    table = published("alpha_sweeps_third_party", details=True)
    assert len(table) == len(published("alpha_sweeps_third_party"))
    assert table.learning_rate.notna().all()
    with pytest.raises(WiseftError, match="no details"):
        published("paper_tables", details=True)


def test_both_ends_of_a_pair_are_those_of_the_larger_tables():
    """Read twice, from open_clip's and timm's own tables, the same accuracies stand in both."""
    pairs = published("zero_shot_vs_fine_tuned_pairs", details=True)
    before, after = (pairs[pairs.alpha == alpha] for alpha in (0, 1))
    assert set(after.groupby("route").method.nunique().items()) == {("direct", 19), ("through ImageNet-12k", 18)}
    keys = ["model", "pretrained", "dataset"]
    known = published("open_clip_zero_shot").set_index(keys).accuracy
    assert (before.set_index(keys).accuracy - known).dropna().abs().max() < 1e-4
    after = after.assign(model=after.method.str.removeprefix("fine-tuned, ")).set_index(["model", "dataset"]).accuracy
    known = published("timm").drop_duplicates(["model", "dataset"]).set_index(["model", "dataset"]).accuracy
    assert (after - known).dropna().abs().max() < 1e-3 and len(after) == 37 * 5


def test_a_table_of_a_later_paper_has_each_method_once():
    later = published("beyond_wise_ft", details=True)
    assert later.printed_in.nunique() >= 10 and later.name.isin(["WiSE-FT", "plain fine-tuning", "zero-shot"]).any()
    zero = later.query("name == 'zero-shot' and dataset == 'ImageNet' and model == 'CLIP ViT-B/16'")
    assert zero.accuracy.between(0.67, 0.69).all() and len(zero) >= 4


def test_the_tables_printed_agree_with_the_curves(curves):
    """Tables 1 and 8 within 0.1 points, but for cells that the paper took from another evaluation."""
    printed = published("paper_tables").query("alpha.notna()")
    found = printed.assign(kind=printed.method.str.extract("(linear classifier)")[0].fillna("end-to-end"))
    keys = ["model", "method", "alpha", "dataset"]
    joined = found.drop(columns="method").merge(
        curves[[*keys, "accuracy"]],
        left_on=["model", "kind", "alpha", "dataset"],
        right_on=keys,
        suffixes=("", "_curve"),
    )
    gap = (joined.accuracy - joined.accuracy_curve).abs()
    assert len(joined) > 100
    off = joined[gap > 0.0011]
    assert set(off.alpha) <= {0.0} and set(off.source.str[-7:]) == {"Table 1"}  # zero-shot, evaluated twice


# ----------------------------------------------------------------------------------- statistics


def test_the_testbed_rule_keeps_85_models(standard):
    assert standard.model.nunique() == 85
    assert rows_of(standard, "ImageNet").accuracy.between(0.55, 0.85).all()


@pytest.mark.parametrize(
    ("shift", "reference", "slope", "intercept", "n"),
    [
        ("ImageNet-V2", "ImageNet", 0.9232, -0.4977, 85),
        ("ImageNet-R", "ImageNet", 0.9116, -1.5999, 80),
        ("ImageNet-Sketch", "ImageNet", 1.0709, -2.3701, 85),
        ("ObjectNet", "ImageNet", 1.1993, -2.0243, 85),
        ("ImageNet-A", "ImageNet", 3.0516, -6.2917, 84),
        ("ImageNet-R", "ImageNet (classes of ImageNet-R)", 0.6368, -2.1077, 80),
        ("ObjectNet", "ImageNet (classes of ObjectNet)", 0.9809, -1.9283, 85),
    ],
)
def test_lines_of_the_testbed(standard, shift, reference, slope, intercept, n):
    """As an independent reading of the same figures gave them, and as statsmodels fits them."""
    baseline = fit_table(standard, shift, reference)
    assert (baseline.slope, baseline.intercept) == pytest.approx((slope, intercept), abs=5e-5)
    assert baseline.n == n
    models = side_by_side(standard, shift, reference, "model").query("0 < y < 1")
    oracle = sm.OLS(logit(models.y), sm.add_constant(logit(models.x))).fit()
    found = (baseline.intercept, baseline.slope, baseline.intercept_se, baseline.slope_se, baseline.r2)
    assert found == pytest.approx((*oracle.params, *oracle.bse, oracle.rsquared), abs=1e-8)


def test_the_model_whose_logit_is_infinite_is_named(standard):
    assert fit_table(standard, "ImageNet-A").left_out_names == ("resnet50",)


def test_two_pieces_meet_at_the_knot_and_equal_statsmodels(standard):
    baseline = fit_table(standard, "ImageNet-A", knot=0.7613)
    models = side_by_side(standard, "ImageNet-A", "ImageNet", "model").query("0 < y < 1")
    u = logit(models.x)
    design = np.stack([np.ones(len(u)), u, np.maximum(u - logit(0.7613), 0)], axis=1)
    assert (baseline.intercept, baseline.slope, baseline.bend) == pytest.approx(
        sm.OLS(logit(models.y), design).fit().params.to_numpy(), abs=1e-8
    )
    assert baseline.r2 > fit_table(standard, "ImageNet-A").r2 + 0.1
    below, above = baseline.predict([0.7613 - 1e-9, 0.7613 + 1e-9])
    assert below == pytest.approx(above, abs=1e-6)
    with pytest.raises(WiseftError, match="each side"):
        fit_table(standard, "ImageNet-A", knot=0.999)


def test_the_bootstrap_agrees_with_the_standard_errors():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 0.9, 200)
    baseline = fit_baseline(x, expit(logit(x) - 1 + rng.normal(0, 0.1, 200)))
    spread = baseline.draws.std(axis=0)
    assert spread == pytest.approx((baseline.intercept_se, baseline.slope_se), rel=0.2)
    low, high = baseline.band(0.7)
    assert low < baseline.predict(0.7) < high


def test_a_line_says_where_it_extrapolates(standard):
    baseline = fit_table(standard, "ImageNet-V2")
    assert baseline.x_max == pytest.approx(0.84726)
    assert baseline.extrapolates([0.5, 0.8, 0.86]).tolist() == [True, False, True]


def test_full_and_class_subset_axes_do_not_mix(standard, curves):
    subset = fit_table(standard, "ImageNet-R", "ImageNet (classes of ImageNet-R)")
    points = side_by_side(curve(curves), "ImageNet-R", "ImageNet", "alpha")
    with pytest.raises(WiseftError, match="do not mix"):
        effective_robustness(subset, points)
    with pytest.raises(WiseftError, match="do not mix"):
        plot_robustness(standard, curve(curves), "ImageNet-R", "ImageNet", subset)
    with pytest.raises(WiseftError, match="classes of ImageNet-A"):
        fit_table(standard, "ImageNet-R", "ImageNet (classes of ImageNet-A)")


def test_effective_robustness_of_the_paper(standard, curves):
    """Points above the line, in percent, worked out from the same figures elsewhere."""
    expected = {
        0.0: (6.0, 51.7, 35.9, 33.1, 71.1),
        0.5: (1.9, 36.5, 23.4, 15.3, 43.2),
        1.0: (0.1, 28.0, 18.0, 9.0, 32.2),
    }
    for i, shift in enumerate(SHIFTS):
        points = side_by_side(curve(curves), shift, "ImageNet", "alpha")
        found = effective_robustness(fit_table(standard, shift), points)
        for alpha, values in expected.items():
            assert 100 * found.rho[alpha] == pytest.approx(values[i], abs=0.06)
        assert (found.rho_low < found.rho).all() and (found.rho < found.rho_high).all()
        assert found.extrapolated[0.5] and not found.extrapolated[0.0]


def test_the_interval_of_rho_carries_both_uncertainties(standard, curves):
    points = side_by_side(curve(curves), "ObjectNet", "ImageNet", "alpha").iloc[:1]
    baseline = fit_table(standard, "ObjectNet")
    exact = points.assign(x_low=points.x, x_high=points.x, y_low=points.y, y_high=points.y)
    both, line_only = (effective_robustness(baseline, p).iloc[0] for p in (points, exact))
    point_only = points.y_high.iloc[0] - points.y_low.iloc[0]
    width = both.rho_high - both.rho_low
    assert width > line_only.rho_high - line_only.rho_low > 0
    assert width > point_only


def test_relative_robustness_has_a_newcombe_interval():
    found = relative_robustness([0.8, 0.5], [1000, 1000], 0.7, 1000)
    assert found.tau.tolist() == pytest.approx([0.1, -0.2])
    assert (found.tau_low < found.tau).all() and (found.tau < found.tau_high).all()
    assert found.tau_high[0] - found.tau_low[0] == pytest.approx(
        2 * 1.96 * np.sqrt(0.16 / 1000 + 0.21 / 1000), rel=0.02
    )


def test_no_curve_of_the_paper_falls_below_its_chord(curves):
    checked = below_chord(published("paper_alpha_sweeps"), RUN)
    assert len(checked) == 7 * 21 * 8 and not checked.violated.any()


def test_violations_of_the_chord_by_others_come_from_high_learning_rates():
    table = published("alpha_sweeps_third_party", details=True)
    checked = below_chord(table, RUN)
    assert checked.source.nunique() == 43 and len(checked) == len(table)
    violations = checked.groupby("source").violated.sum()
    assert violations["github.com/RohanSubramani/beyond-wise-ft, results/results21-0"] == 45
    assert (violations > 0).sum() == 4
    assert checked[checked.violated].learning_rate.min() == pytest.approx(3e-4)


# ------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ({"ImageNet": 76.2}, "76.2 read as a fraction.*0.762: divide by 100"),
        ({"ImageNet-W": 0.5}, "unknown dataset.*ImageNet-V2"),
        ({"ImageNet": float("nan")}, "NaN"),
        ({"ImageNet": (50_001, 50_000)}, "50001 of 50000"),
        ({"ImageNet": -0.1}, "between 0 and 1"),
        ({"ImageNet": (0.8, 50_000)}, r"\(0.8, 50000\) is no pair of whole numbers"),
        ({"ImageNet": (1.0, 50_000)}, "no pair of whole numbers"),
        ({"ImageNet": (1, 2, 3)}, "no pair of whole numbers"),
        ({"ImageNet": (0, 0)}, "0 of 0 images"),
        ({"ImageNet": "high"}, "not all numbers"),
    ],
)
def test_a_model_of_your_own_is_checked(accuracies, message):
    with pytest.raises(WiseftError, match=message):
        own_model("mine", accuracies)


def test_an_unknown_shift_lists_the_known_ones(standard):
    with pytest.raises(WiseftError, match="ImageNet-W.*ImageNet-V2"):
        fit_table(standard, "ImageNet-W")


def test_too_few_models_make_no_line(standard):
    with pytest.raises(WiseftError, match="three models"):
        fit_table(standard[standard.model.isin(["resnet50", "alexnet"])], "ImageNet-V2")


def test_one_accuracy_a_model(curves):
    with pytest.raises(WiseftError, match="more than one accuracy"):
        side_by_side(curves, "ImageNet-R", "ImageNet", "alpha")


def test_intervals_need_n():
    """Rows without n have none; the others' hold the published figure."""
    table = with_intervals(published("paper_further_shifts"))
    known = table.n.notna()
    assert (~known).sum() == 12 and table.low.isna().equals(~known) and table.high.isna().equals(~known)
    assert ((table.low < table.high) & table.accuracy.between(table.low, table.high))[known].all()


def test_the_mean_of_five_shifts_is_of_models_with_five():
    """And the others are told."""
    table = with_mean(published("testbed"))
    five = published("testbed").query("dataset in @SHIFTS").groupby("model").dataset.nunique()
    assert set(table[table.dataset == MEAN].model) == set(five.index[five == 5])
    assert set(table.attrs["left_out"]) == set(five.index[five < 5])


# -------------------------------------------------------------------------------------- figures


def test_a_model_of_your_own_on_any_plot(standard, curves, groups):
    for fig, ax in (
        plot_robustness(standard, curve(curves), MEAN, "ImageNet"),
        plot_models(groups, "ImageNet-A", "ImageNet", at_least=0.5),
    ):
        add_model(ax, "mine", x=0.8, y=0.6, n=(50_000, 1_000))
        assert "mine" in [text.get_text() for text in ax.texts]
        plt.close(fig)
    with pytest.raises(WiseftError, match="divide by 100"):
        add_model(ax, "mine", x=80, y=0.6)


def test_extrapolation_is_drawn_dotted(standard, curves):
    fig, ax = plot_robustness(standard, curve(curves), "ImageNet-V2", "ImageNet")
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert dotted and min(dotted[-1].get_xdata()) == pytest.approx(0.84726)
    plt.close(fig)


def test_export_writes_vectors_and_the_same_bytes_twice(tmp_path, standard, curves):
    fig, _ = plot_robustness(standard, curve(curves), "ImageNet-V2", "ImageNet")
    first = [path.read_bytes() for path in save_figure(fig, tmp_path / "new" / "figure")]
    second = [path.read_bytes() for path in save_figure(fig, tmp_path / "again")]
    assert first == second and first[0].startswith(b"%PDF") and b"<text" in first[1]
    plt.close(fig)


def test_the_explorer_looks_up_and_names_every_point(groups):
    few = {name: groups[name] for name in ("standard models", "zero-shot CLIP models")}
    own = own_model("mine", {"ImageNet": 0.8, "ImageNet-R": 0.7})
    explorer = robustness_explorer(few, ("ImageNet-R", MEAN), ("logit", "linear"), own)
    assert len(explorer.frames) == 6  # the mean has no class subset
    shown = explorer.view.value
    assert "resnet50, standard training" in shown and "mine, your own" in shown
    explorer.scale.value = "linear"
    assert explorer.view.value != shown
    explorer.group.value = "zero-shot CLIP models"
    assert explorer.view.value.count('display="none"') == 1  # that of the model of one's own
    explorer.group.value = EVERYTHING
    assert 'display="none"' not in explorer.view.value
    explorer.shift.value, explorer.axis.value = MEAN, SUBSET
    assert FULL in explorer.view.value and "<svg" not in explorer.view.value


def test_titles_and_layers_survive_any_name_and_any_group(groups):
    """Every point has its own model's title, one each, and the picture is well-formed whatever a model is called."""
    odd = 'A & B <"mine"> (5)'
    table = groups["zero-shot CLIP models"].assign(method=odd)
    explorer = robustness_explorer(
        {"standard models": groups["standard models"], odd: table}, ("ImageNet-V2",), ("logit",)
    )
    svg = ElementTree.fromstring(explorer.frames["ImageNet-V2", "logit", FULL])
    layers = {layer.get("data-group"): layer for layer in svg.iterfind(".//*[@data-group]")}
    assert list(layers) == ["standard models", odd] and svg.get("aria-label").startswith("Accuracy on ImageNet-V2")
    drawn = side_by_side(labels_of(table), "ImageNet-V2", "ImageNet", "label")
    titles = [point[0].text for point in layers[odd].iter() if point.tag.endswith("use")]
    assert titles == [f"{label}: {100 * x:.1f} → {100 * y:.1f} %" for label, x, y in drawn[["x", "y"]].itertuples()]
    explorer.group.value = odd
    assert 'display="none"' not in explorer.view.value
    explorer.group.value = "standard models"
    hidden = [
        layer.get("data-group") for layer in ElementTree.fromstring(explorer.view.value).iterfind(".//*[@display]")
    ]
    assert hidden == [odd]
