"""fit_baseline and effective robustness; the committed standard models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from wiseft_nb import WiseftError, accuracy_interval, fit_baseline, load_standard_models
from wiseft_nb.make.standard_models import all_models

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
