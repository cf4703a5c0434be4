"""fit_baseline and effective robustness; the committed standard models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from wiseft_nb import (
    Baseline,
    WiseftError,
    accuracy_interval,
    effective_robustness,
    fit_baseline,
    fit_table,
    load_standard_models,
    mean_of_shifts,
    relative_robustness,
)
from wiseft_nb.analyse.chord import below_chord
from wiseft_nb.make.standard_models import all_models
from wiseft_nb.robustness import side_by_side, with_intervals

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("steady")

SCALES = {"logit": (logit, expit), "probit": (norm.ppf, norm.cdf), "linear": (lambda p: p, lambda u: u)}
X = np.array([0.3, 0.5, 0.6, 0.75, 0.9, 0.97])


@given(st.floats(0.3, 2), st.floats(-2, 0.5), st.sampled_from(["logit", "probit"]))
def test_a_line_on_the_transformed_axes_is_found_again(slope, intercept, scale):
    forward, backward = SCALES[scale]
    y = backward(slope * forward(X) + intercept)
    baseline = fit_baseline(X, y, scale)
    assert (baseline.slope, baseline.intercept, baseline.r2) == pytest.approx((slope, intercept, 1), abs=1e-6)
    assert baseline.n == 6 and baseline.left_out == ()
    np.testing.assert_allclose(baseline.predict(X), y, atol=1e-9)
    np.testing.assert_allclose(baseline.effective_robustness(X, y), 0, atol=1e-9)


def test_the_fit_is_least_squares_with_its_r2():
    y = np.array([0.2, 0.45, 0.4, 0.6, 0.7, 0.92])
    baseline = fit_baseline(X, y)
    slope, intercept = np.polyfit(logit(X), logit(y), 1)
    residual = logit(y) - slope * logit(X) - intercept
    r2 = 1 - residual.var() / logit(y).var()
    assert (baseline.slope, baseline.intercept, baseline.r2) == pytest.approx((slope, intercept, r2))


def test_the_logit_is_the_default_and_the_linear_scale_a_straight_line():
    assert fit_baseline(X, X).scale == "logit"
    assert fit_baseline(X, 0.5 * X + 0.1, "linear").predict(0.4) == pytest.approx(0.3)


def test_effective_robustness_is_what_lies_above_the_line():
    """In accuracy, not in logits: positive above, negative below."""
    baseline = fit_baseline(X, expit(logit(X) - 1))
    beta = expit(logit(0.8) - 1)
    assert baseline.predict(0.8) == pytest.approx(beta)
    np.testing.assert_allclose(
        baseline.effective_robustness([0.8, 0.8], [beta + 0.1, beta - 0.2]), [0.1, -0.2], atol=1e-9
    )


def test_models_at_0_and_1_are_left_out_and_said_so():
    baseline = fit_baseline([*X, 1.0, 0.5], [*expit(logit(X) - 1), 0.9, 0.0])
    assert baseline.left_out == (6, 7) and baseline.n == 6
    assert baseline.intercept == pytest.approx(-1)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([50, 70, 90], [0.4, 0.5, 0.6], "divide by 100"),
        ([0.5, 0.7, 0.9], [0.4, -0.5, 0.6], "between 0 and 1"),
        ([0.5, np.nan, 0.9], [0.4, 0.5, 0.6], "NaN"),
        ([0.5, 0.7, np.inf], [0.4, 0.5, 0.6], "between 0 and 1"),
        ([0.5, 0.7], [0.4, 0.5], "three"),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6], "three models that differ"),
        ([0.5, 0.7, 0.9], [0.4, 0.5], "both accuracies"),
        ([], [], "three"),
    ],
)
def test_bad_accuracies_are_refused(x, y, message):
    with pytest.raises(WiseftError, match=message):
        fit_baseline(x, y)


def test_bad_accuracies_are_refused_later_too():
    baseline = fit_baseline(X, X)
    with pytest.raises(WiseftError, match="divide by 100"):
        baseline.predict(85)
    with pytest.raises(WiseftError, match="divide by 100"):
        baseline.effective_robustness(0.85, 70)


def test_an_unknown_scale_lists_the_known_ones():
    with pytest.raises(WiseftError, match="linear, logit, probit"):
        fit_baseline(X, X, "log")


@pytest.fixture(scope="module")
def standard():
    return load_standard_models()


def test_there_are_at_least_forty_standard_models(standard):
    assert standard.model.nunique() >= 40
    assert set(standard.model) == {model.name for model in all_models()}
    assert standard.family.nunique() >= 6 and standard.train_size.max() == 3500


def test_every_standard_model_was_evaluated_on_every_test_set(standard, benchmark):
    counts = standard.groupby(["model", "dataset"]).size()
    assert (counts == 1).all() and len(counts) == standard.model.nunique() * len(benchmark.test_sets)
    sizes = standard.groupby("dataset").n.unique().map(list).to_dict()
    assert sizes == {name: [len(images)] for name, images in benchmark.test_sets.items()}


def test_the_committed_intervals_belong_to_the_committed_accuracies(standard):
    for row in standard.sample(30, random_state=0).itertuples():
        expected = accuracy_interval(round(row.accuracy * row.n), row.n)
        assert (row.low, row.high) == pytest.approx(expected, abs=1e-5)


def test_standard_models_span_a_range(standard):
    """Where all sat at chance, or all on top, there would be no line."""
    spread = standard.groupby("dataset").accuracy.agg(lambda a: a.quantile(0.9) - a.quantile(0.1))
    assert (spread > 0.08).all(), spread


def test_standard_models_are_distinct_and_see_training_images_only(benchmark):
    names = [model.name for model in all_models()]
    assert len(set(names)) == len(names) >= 40
    assert all(0 < model.train_size <= len(benchmark.train) for model in all_models())


def test_a_table_that_is_not_there_lists_those_that_are():
    with pytest.raises(WiseftError, match="digits"):
        load_standard_models("imagenet")


# ------------------------------------------------------ what does not fit together is never averaged over


def measured(*rows):
    """A tidy table of (alpha, dataset, accuracy, n)."""
    return with_intervals(pd.DataFrame(rows, columns=["alpha", "dataset", "accuracy", "n"]))


WHOLE = (
    (0.0, "night", 0.6, 100),
    (0.0, "fog", 0.4, 100),
    (0.0, "day", 0.9, 100),
    (1.0, "night", 0.8, 100),
    (1.0, "fog", 0.2, 100),
    (1.0, "day", 0.99, 100),
)


@pytest.mark.parametrize(
    ("rows", "shifts", "message"),
    [
        (WHOLE, ["night", "fgo"], "unknown shift 'fgo': expected one of day, fog, night"),
        (WHOLE, "night", r"shifts is the text 'night': give a list of names, such as \['night'\]"),
        (WHOLE, [], "no shift to take the mean of: name some of day, fog, night"),
        (WHOLE, ["night", "fog", "night"], "'night' is named 2 times"),
        (WHOLE[:-2], ["night", "fog"], "alpha 1.0 has no row for 'fog'"),
        ((*WHOLE, WHOLE[0]), ["night", "fog"], "alpha 0.0 has more than one row for 'night'"),
        ((*WHOLE[:-2], (1.0, "fog", 0.2, np.nan)), ["night", "fog"], "alpha 1.0 has no n for 'fog'"),
    ],
)
def test_the_mean_of_shifts_is_a_mean_of_all_of_them_or_refused(rows, shifts, message):
    """A mean of fewer is another figure, and would look better or worse for no reason."""
    with pytest.raises(WiseftError, match=message):
        mean_of_shifts(measured(*rows), shifts)


def test_the_mean_of_shifts_refuses_an_accuracy_that_is_not_known():
    table = measured(*WHOLE)
    table.loc[1, "accuracy"] = np.nan
    with pytest.raises(WiseftError, match="alpha 0.0 has no accuracy for 'fog'"):
        mean_of_shifts(table, ["night", "fog"])


def test_the_mean_of_shifts_of_one_model_needs_no_further_column():
    mean = mean_of_shifts(measured(*WHOLE[:3]).drop(columns="alpha"), iter(["night", "fog"]))
    assert mean.accuracy.tolist() == [0.5] and mean.n.tolist() == [200]


def test_rows_without_n_have_no_interval_and_give_none():
    """Not an interval of no width, which would be certainty."""
    table = measured((0.0, "day", 0.9, 100), (0.0, "fog", 0.4, np.nan), (1.0, "day", 0.95, 100), (1.0, "fog", 0.5, 100))
    assert table.low.isna().tolist() == table.high.isna().tolist() == [False, True, False, False]
    found = effective_robustness(fit_baseline(X, expit(logit(X) - 1)), side_by_side(table, "fog", "day", "alpha"))
    assert found.rho.notna().all() and found.rho_low.isna().tolist() == found.rho_high.isna().tolist() == [True, False]
    assert found.rho_low[1] < found.rho[1] < found.rho_high[1]


SHUFFLED = ["c", "f", "a", "e", "b", "d"]


def test_two_series_are_matched_by_their_labels():
    """The same models in another order make the same line, and the same robustness."""
    x, y = pd.Series(X, list("abcdef")), pd.Series([0.2, 0.45, 0.4, 0.6, 0.7, 0.92], list("abcdef"))
    line = fit_baseline(x, y)
    assert fit_baseline(x, y[SHUFFLED]) == line == fit_baseline(x, y.to_numpy())
    np.testing.assert_array_equal(line.effective_robustness(x, y[SHUFFLED]), line.effective_robustness(X, y))
    n = pd.Series([100, 200, 300, 400, 500, 600], list("abcdef"))
    assert relative_robustness(y, n[SHUFFLED], 0.5, 100).equals(relative_robustness(y, n, 0.5, 100))


@pytest.mark.parametrize("labels", [list("abcdez"), range(6), list("abcdee")])
def test_series_of_other_models_are_refused(labels):
    x, y = pd.Series(X, list("abcdef")), pd.Series(X, labels)
    for use in (
        lambda: fit_baseline(x, y),
        lambda: fit_baseline(X, X).effective_robustness(x, y),
        lambda: relative_robustness(x, y, 0.5, 100),
    ):
        with pytest.raises(WiseftError, match="cannot be matched by their labels"):
            use()


def test_names_must_be_as_many_as_models():
    with pytest.raises(WiseftError, match="2 names for 6 models"):
        fit_baseline(X, X, names=["a", "b"])


def test_models_with_one_accuracy_alone_are_told_and_none_with_both_is_refused():
    table = measured(*WHOLE[:-1])
    assert side_by_side(table, "fog", "day", "alpha").attrs["left_out"] == (1.0,)
    other = table[(table.alpha == 0) | (table.dataset == "night")].query("not (alpha == 0 and dataset == 'night')")
    with pytest.raises(WiseftError, match="no alpha has an accuracy on both day and night"):
        side_by_side(other, "night", "day", "alpha")
    with pytest.raises(WiseftError, match="more than one accuracy for model 'a'"):
        fit_table(pd.concat([table.assign(model="a")] * 2), "fog", "day")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda table: side_by_side(table.drop(columns="low"), "fog", "day", "alpha"), "no column low.*with_intervals"),
        (lambda table: side_by_side(table, "fog", "day", "model"), "no column model"),
        (lambda table: effective_robustness(fit_baseline(X, X), table), "no column x, x_low.*side_by_side"),
        (lambda table: mean_of_shifts(table.drop(columns="n"), ["fog"]), "no column n"),
        (lambda table: below_chord(table, ["model"]), "no column model"),
        (lambda table: below_chord(pd.concat([table, table]), []), "some alpha occurs twice"),
        (lambda table: side_by_side(table.assign(accuracy=90), "fog", "day", "alpha"), "divide by 100"),
    ],
)
def test_a_table_of_another_kind_is_refused_in_one_sentence(draw, message):
    with pytest.raises(WiseftError, match=message):
        draw(measured(*WHOLE))


def test_relative_robustness_has_no_interval_without_n():
    found = relative_robustness([0.8, 0.5], [1000, None], 0.7, 1000)
    assert found.tau_low.isna().tolist() == [False, True] and found.tau.notna().all()
    with pytest.raises(WiseftError, match="2 accuracies and 1 number"):
        relative_robustness([0.8, 0.5], [1000], 0.7, 1000)


# ------------------------------------------------------------------------------- the ends of the scale


@pytest.mark.parametrize("scale", ["logit", "probit"])
@pytest.mark.parametrize("bend", [-3.0, -1.0, -0.5, 0.0, 2.0])
def test_a_line_has_an_end_at_0_and_1_whatever_its_bend(scale, bend):
    """The limit of the line: no infinity less infinity."""
    line = Baseline(slope=1.0, intercept=-0.5, r2=1, n=9, left_out=(), scale=scale, knot=0.7, bend=bend)
    near, end = line.predict([1e-12, 1 - 1e-12]), line.predict([0.0, 1.0])
    assert end[0] == 0 and end[1] == (1 if bend > -1 else 0 if bend < -1 else pytest.approx(near[1]))
    assert Baseline(slope=0.0, intercept=-0.5, r2=0, n=9, left_out=(), scale="logit").predict(1.0) == expit(-0.5)


def test_a_line_without_draws_has_no_band_and_says_so():
    line, points = fit_baseline(X, X, draws=0), side_by_side(measured(*WHOLE), "fog", "day", "alpha")
    for use in (lambda: line.band(0.5), lambda: line.predict_draws(0.5), lambda: effective_robustness(line, points)):
        with pytest.raises(WiseftError, match="no bootstrap draws"):
            use()
    with pytest.raises(WiseftError, match="draws is -1"):
        fit_baseline(X, X, draws=-1)


@pytest.mark.parametrize("confidence", [95, 0, 1, -0.5, float("nan")])
def test_a_confidence_is_a_fraction(confidence):
    for use in (lambda: accuracy_interval(1, 2, confidence), lambda: fit_baseline(X, X).band(0.5, confidence)):
        with pytest.raises(WiseftError, match="95 % give 0.95" if confidence == 95 else "confidence is"):
            use()


@pytest.mark.parametrize(("correct", "n"), [(0.8, 50_000), (3, 2), (-1, 2), (0, 0), (1, 2.5), (float("nan"), 2)])
def test_an_interval_is_of_whole_images(correct, n):
    with pytest.raises(WiseftError, match="whole numbers"):
        accuracy_interval(correct, n)
