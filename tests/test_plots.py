"""Figures: what is drawn is what the table says, in percent; nothing is shown by itself."""

import time

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit, logit

from wiseft_nb import (
    WiseftError,
    accuracy_interval,
    add_model,
    fit_baseline,
    plot_curves,
    plot_history,
    plot_images,
    plot_robustness,
)
from wiseft_nb.compare import Paired
from wiseft_nb.plots import ROLES, plot_answers, plot_change, plot_heat
from wiseft_nb.plots.first_look import plot_flips
from wiseft_nb.plots.pages import page_slider, png
from wiseft_nb.plots.widgets import alpha_slider


@pytest.fixture(autouse=True)
def nothing_is_shown(monkeypatch):
    """And no figure of a test stays open."""

    def show(*arguments, **keywords):
        raise AssertionError("a plot function called plt.show()")

    monkeypatch.setattr(plt, "show", show)
    yield
    plt.close("all")


def row(accuracy, n=1000, **about):
    low, high = accuracy_interval(round(accuracy * n), n)
    return about | dict(accuracy=accuracy, n=n, low=low, high=high)


@pytest.fixture
def curve():
    points = {0.0: (0.86, 0.75), 0.5: (0.96, 0.84), 1.0: (0.98, 0.78)}
    rows = [row(acc, alpha=a, dataset=name) for a, both in points.items() for name, acc in zip("rs", both, strict=True)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.fixture
def standard():
    x = np.linspace(0.5, 0.97, 12)
    y = expit(logit(x) - 1)
    rows = [
        row(round(acc, 3), model=f"m{i}", dataset=name)
        for i, both in enumerate(zip(x, y, strict=True))
        for name, acc in zip("rs", both, strict=True)
    ]
    return pd.DataFrame(rows)


def test_curves_go_through_the_table_in_percent(curve):
    fig, ax = plot_curves(curve, ["r", "s"])
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["s (n=1,000)"].get_xdata()) == [0, 0.5, 1]
    assert list(lines["s (n=1,000)"].get_ydata()) == pytest.approx([75, 84, 78])
    assert "%" in ax.get_ylabel() and len(ax.collections) == 2  # an interval for each
    assert ax.figure is fig


def test_curves_differ_in_more_than_colour(curve):
    _, ax = plot_curves(curve, ["r", "s"])
    assert len({line.get_marker() for line in ax.lines}) == 2


@pytest.mark.parametrize("scale", ["logit", "linear"])
def test_a_point_whose_n_is_not_known_is_drawn_without_interval(curve, standard, scale):
    """Not with one of no width, and the axes still hold it."""
    unknown = dict(n=np.nan, low=np.nan, high=np.nan)
    for blind in (
        curve.assign(**unknown),
        curve.assign(**{name: curve[name].where(curve.alpha != 0.5) for name in unknown}),
    ):
        _, ax = plot_robustness(standard, blind, "s", "r", scale=scale)
        ((x, y),), bars = points_of(ax, r"$\alpha$ = 0.5")
        assert not any(segment.size for bar in bars for segment in bar.get_segments())
        assert ax.get_xlim()[0] < x < ax.get_xlim()[1] and ax.get_ylim()[0] < y < ax.get_ylim()[1]
        assert any(segment.size for bar in points_of(ax, "standard models (12)")[1] for segment in bar.get_segments())
    _, ax = plot_curves(curve.assign(**unknown), ["r", "s"])
    assert [line.get_label() for line in ax.lines] == ["r", "s"]


def test_a_model_of_your_own_without_n_has_no_interval():
    _, ax = plt.subplots()
    add_model(ax, "mine", 0.8, 0.7)
    assert not any(segment.size for bar in points_of(ax, "mine")[1] for segment in bar.get_segments())


@pytest.mark.parametrize("column", ["alpha", "n", "low"])
def test_a_curve_without_one_of_its_columns_is_refused(curve, standard, column):
    for draw in (lambda c: plot_curves(c, ["r"]), lambda c: plot_robustness(standard, c, "s", "r")):
        with pytest.raises(WiseftError, match=f"no column {column}"):
            draw(curve.drop(columns=column))


def test_two_sweeps_are_not_drawn_as_one(curve):
    with pytest.raises(WiseftError, match="r has more than one accuracy for one alpha"):
        plot_curves(pd.concat([curve, curve]), ["r"])


def test_plots_draw_into_an_axes_they_are_given(curve, standard):
    fig, (left, right) = plt.subplots(1, 2)
    assert plot_curves(curve, ["r"], ax=left) == (fig, left)
    assert plot_robustness(standard, curve, "s", "r", ax=right) == (fig, right)


def test_a_dataset_that_is_not_there_is_named_with_those_that_are(curve, standard):
    for draw in (lambda: plot_curves(curve, ["pose"]), lambda: plot_robustness(standard, curve, "pose", "r")):
        with pytest.raises(WiseftError, match="pose.*'r', 's'"):
            draw()


def points_of(ax, label):
    container = next(c for c in ax.containers if c.get_label() == label)
    return container[0].get_xydata().tolist(), container[2]


def test_the_robustness_plot_has_models_line_curve_and_both_ends(curve, standard):
    _, ax = plot_robustness(standard, curve, "s", "r")
    models, bars = points_of(ax, "standard models (12)")
    assert len(models) == 12 and len(bars) == 2  # intervals both ways
    assert points_of(ax, "zero-shot")[0] == [[0.86, 0.75]]
    assert points_of(ax, "fine-tuned")[0] == [[0.98, 0.78]]
    assert points_of(ax, r"$\alpha$ = 0.5")[0] == [[0.96, 0.84]]
    assert points_of(ax, "interpolation curve")[0] == [[0.86, 0.75], [0.96, 0.84], [0.98, 0.78]]


@pytest.mark.parametrize("scale", ["logit", "probit", "linear"])
def test_the_line_of_standard_models_is_the_fitted_one_and_straight_on_its_axes(curve, standard, scale):
    wide = standard.pivot(index="model", columns="dataset", values="accuracy")
    baseline = fit_baseline(wide.r, wide.s, scale)
    _, ax = plot_robustness(standard, curve, "s", "r", scale=scale)
    (line,) = (line for line in ax.lines if f"R² = {baseline.r2:.3f}" in str(line.get_label()))
    x, y = line.get_data()
    np.testing.assert_allclose(y, baseline.predict(x), atol=1e-9)
    u, v = (axis.transform(values) for axis, values in ((ax.xaxis.get_transform(), x), (ax.yaxis.get_transform(), y)))
    inside = (y > 1e-3) & (y < 0.999)
    np.testing.assert_allclose(np.diff(v[inside]) / np.diff(u[inside]), baseline.slope, rtol=1e-3)


def test_ticks_and_labels_are_percent_and_name_n(curve, standard):
    fig, ax = plot_robustness(standard, curve, "s", "r")
    fig.canvas.draw()
    ticks = [float(label.get_text()) for label in ax.get_xticklabels() if label.get_text()]
    assert len(ticks) >= 3 and min(ticks) > 1
    assert "%, n=1,000" in ax.get_xlabel() and "r accuracy" in ax.get_xlabel() and "s accuracy" in ax.get_ylabel()


def test_a_contact_sheet_has_a_row_for_each_dataset(tiny):
    _, ax = plot_images({"mnist": tiny.reference, "pose": tiny.shifts["pose"]}, columns=6)
    (image,) = ax.images
    sheet = np.asarray(image.get_array())
    assert sheet.shape == (64, 6 * 32, 3)
    assert np.array_equal(sheet[32:, 32:64], tiny.shifts["pose"].images[1])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mnist", "pose"]


def test_a_contact_sheet_may_skip_images_and_starts_over_at_the_end(tiny):
    _, ax = plot_images({"pose": tiny.shifts["pose"]}, columns=3, step=len(tiny.shifts["pose"]) // 2 + 1)
    sheet = np.asarray(ax.images[0].get_array())
    n = len(tiny.shifts["pose"])
    for column, place in enumerate((0, n // 2 + 1, 2 * (n // 2 + 1) % n)):
        assert np.array_equal(sheet[:, 32 * column : 32 * (column + 1)], tiny.shifts["pose"].images[place])


def test_a_contact_sheet_of_few_images_of_any_size():
    _, ax = plot_images({"few": [(Image.new("L", (50, 20)), 0)]}, columns=4)
    assert np.asarray(ax.images[0].get_array()).shape == (32, 128, 3)


def test_the_history_is_drawn_epoch_by_epoch(fine_tuned):
    _, (left, right) = plot_history(fine_tuned.history)
    assert left.lines[0].get_ydata().tolist() == [row["loss"] for row in fine_tuned.history]
    assert right.lines[0].get_ydata().tolist() == pytest.approx(
        [100 * row["val_accuracy"] for row in fine_tuned.history]
    )


def test_the_slider_looks_frames_up_and_captions_are_their_alternative_text():
    frames, captions = {0.0: b"zero", 1.0: plt.figure()}, {0.0: "at the zero-shot end", 1.0: 'the "other" end'}
    explorer = alpha_slider(frames, captions)
    assert explorer.slider.value == 0 and 'alt="at the zero-shot end"' in explorer.view.value
    explorer.slider.value = 1.0
    assert 'alt="the &quot;other&quot; end"' in explorer.view.value and not plt.get_fignums()


def test_a_slider_over_texts_keeps_their_order_and_answers_within_a_tenth_of_a_second():
    frames = {name: bytes(100_000) for name in ("late", "early", "between")}
    explorer = alpha_slider(frames, {name: f"the {name} one" for name in frames}, "place")
    assert explorer.slider.description == "place" and [text for text, _ in explorer.slider.options] == list(frames)
    begun = time.perf_counter()
    explorer.slider.value = "between"
    assert time.perf_counter() - begun < 0.1 and "the between one" in explorer.view.value
    assert {0.1, 0.2} == set(alpha_slider({0.2: b"", 0.1: b""}, {0.1: "a", 0.2: "b"}).frames)


def test_answers_of_the_first_look_are_boxed_where_they_are_wrong():
    image, gained = (
        Image.new("RGB", (8, 8)),
        pd.DataFrame({"print": [0.0, -7.0], "mnist": [0.0, 10.0]}, index=[0.0, 1.0]),
    )
    _, (left, right) = plot_flips(gained, 1.0, {"print": [(image, 3, 3), (image, 3, 8)], "mnist": [(image, 1, 1)]})
    assert [(text.get_text(), text.get_color()) for text in right.texts] == [
        ("3", "black"),
        ("8", "white"),
        ("1", "black"),
    ]
    assert [line.get_ydata()[0] for line in left.lines if len(line.get_xdata()) == 1] == [-7.0, 10.0]


@pytest.mark.parametrize(("frames", "captions"), [({}, {}), ({0.0: b""}, {0.5: "half"})])
def test_frames_and_captions_must_belong_together(frames, captions):
    with pytest.raises(WiseftError, match="frames"):
        alpha_slider(frames, captions)


def test_answers_stand_below_their_image_and_wrong_ones_are_marked():
    image, answers = Image.new("RGB", (8, 8)), {"zero-shot": "3", "alpha 0.5": "3", "fine-tuned": "8"}
    _, axes = plot_answers({"scrawl": [(image, "3", answers), (image, "8", answers)], "fonts": [(image, "3", answers)]})
    assert axes.shape == (2, 2)
    for ax, right in ((axes[0, 0], "3"), (axes[0, 1], "8")):
        said = [text for text in ax.texts if text.get_text() != "scrawl"]
        assert [text.get_text() for text in said] == list(answers.values())
        assert [text.get_color() == "white" for text in said] == [answer != right for answer in answers.values()]
    assert axes[0, 0].texts[1].get_color() == ROLES["interpolated"]["color"]
    assert not axes[1, 1].images and "scrawl" in [text.get_text() for text in axes[0, 0].texts]


def test_the_heat_map_has_every_number_in_percent_and_frames_the_best_of_each_row():
    curve = pd.DataFrame({"r": [0.88, 0.98, 0.99], "s": [0.9, 0.85, 0.7], "t": [0.6, 0.8, 0.7]}, index=[0.0, 0.5, 1.0])
    _, ax = plot_heat(curve, {"one": ["t"], "other": ["s"]})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r", "t", "s"]  # by group
    assert [text.get_text() for text in ax.texts] == [
        "88.0",
        "98.0",
        "99.0",
        "60.0",
        "80.0",
        "70.0",
        "90.0",
        "85.0",
        "70.0",
    ]
    assert [(int(p.get_x()), int(p.get_y())) for p in ax.patches] == [(2, 0), (1, 1), (0, 2)]


def test_rho_is_an_arrow_from_the_line_to_each_of_the_three_models(curve, standard):
    _, plain = plot_robustness(standard, curve, "s", "r")
    _, ax = plot_robustness(standard, curve, "s", "r", rho=True)
    wide = standard.pivot(index="model", columns="dataset", values="accuracy")
    line = fit_baseline(wide["r"], wide["s"])
    at = curve.pivot(index="alpha", columns="dataset", values="accuracy")
    expected = {
        f"{100 * float(line.effective_robustness(at.r[a], at.s[a])):+.0f}" for a in (0, 0.5, 1) if a in at.index
    }
    assert {text.get_text() for text in ax.texts if text.get_text()} == expected
    assert not plain.texts
    assert f"R² = {line.r2:.3f}" in ax.get_title()


def test_standard_models_are_told_apart_by_a_column(curve, standard):
    names = sorted(standard.model.unique())
    kinds = standard.assign(kind=standard.model.map({name: f"kind {i % 2}" for i, name in enumerate(names)}))
    _, ax = plot_robustness(kinds, curve, "s", "r", by="kind")
    labels = [container.get_label() for container in ax.containers]
    assert sum(label.startswith("kind ") for label in labels) == 2
    assert not any(label.startswith("standard models") for label in labels)
    with pytest.raises(WiseftError, match="no column family"):
        plot_robustness(standard, curve, "s", "r", by="family")


def test_a_change_has_its_interval_and_its_n():
    pairs = {"s": Paired(600, 50, 150, 200), "t": Paired(700, 150, 50, 100)}
    _, ax = plot_change(pairs, {"group": ["s", "t"]}, ("zero-shot", "fine-tuned"))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["t (n=1,000)", "s (n=1,000)"]  # by gain
    before, after = (dict(zip(ax.lines[i].get_ydata(), ax.lines[i].get_xdata(), strict=True)) for i in (-2, -1))
    assert list(before.values()) == [75, 75] and list(after.values()) == [85, 65]
    (bars,) = [bars.get_segments() for bars in ax.collections]
    half = (bars[0][1, 0] - bars[0][0, 0]) / 2
    assert half == pytest.approx(100 * 1.96 * (0.2 - 0.1**2) ** 0.5 / 1000**0.5, rel=1e-3)
    assert {"+10.0", "-10.0", "group: +0.0"} <= {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(("keys", "control"), [((0.0, 0.5), '<input type="range"'), (("a", "b"), "<select")])
def test_a_page_without_a_kernel_has_every_frame_and_its_words(keys, control):
    """One picture in a row, as wide as the frames are many; the caption is the alternative text."""
    frames = {key: png(plt.figure(figsize=(1, 1))) for key in keys}
    page = page_slider(frames, {key: f"caption of {key}" for key in keys}, at=keys[-1])
    assert control in page and f"width:{100 * len(keys)}%" in page and f"margin-left:{-100 * (len(keys) - 1)}%" in page
    assert f'alt="caption of {keys[-1]}"' in page and all(f"caption of {key}" in page for key in keys)
    with pytest.raises(WiseftError, match="begin at one of them"):
        page_slider(frames, {})
