"""Figures of many models: names cover nothing, arrows go from zero-shot to fine-tuned, groups keep their look."""

import matplotlib

matplotlib.use("agg")

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from wiseft_nb import WiseftError, fit_table, published
from wiseft_nb.plots import plot_models, plot_over_curve, plot_pairs
from wiseft_nb.plots.explorer import LOOKS, NEW, static_twin
from wiseft_nb.plots.labels import name_points
from wiseft_nb.robustness import with_intervals
from wiseft_nb.robustness.published import model_groups


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def groups():
    return model_groups()


def test_no_name_covers_another_or_a_point():
    """Forty names on points that crowd in the middle, at the size of a notebook's figure."""
    rng = np.random.default_rng(0)
    x, y = np.clip(rng.normal(0.5, 0.15, (2, 40)), 0.05, 0.95)
    fig, ax = plt.subplots(figsize=(10, 7))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    texts = name_points(ax, x, y, [f"method {i}" for i in range(40)], fontsize=7)
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in texts]
    assert not [(a, b) for a, b in itertools.combinations(range(40), 2) if boxes[a].overlaps(boxes[b])]
    dots = ax.transData.transform(np.column_stack([x, y]))
    assert not [(box, dot) for box in boxes for dot in dots if box.contains(*dot)]
    frame = ax.bbox
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
    assert [text.get_text() for text in texts] == [f"method {i}" for i in range(40)]


def test_a_name_stays_beside_its_point_where_there_is_room():
    fig, ax = plt.subplots()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    (text,) = name_points(ax, [0.5], [0.5], ["alone"])
    box, (x, y) = text.get_window_extent(), ax.transData.transform((0.5, 0.5))
    assert 0 < box.x0 - x < 10 * fig.dpi / 72 and box.y0 < y < box.y1


def test_methods_over_a_curve_are_where_the_table_says():
    curve = pd.DataFrame({"r": [70.0, 80.0, 82.0], "s": [50.0, 60.0, 55.0]}, [0.0, 0.5, 1.0])
    index = pd.MultiIndex.from_tuples([("one", "A"), ("one", "B"), ("two", "B")])
    methods = pd.DataFrame({"r": [81.0, 82.5, 80.5], "s": [58.0, 61.0, 57.0]}, index)
    _, ax = plot_over_curve(curve, methods, highlight="B")
    drawn = {line.get_label(): np.column_stack(line.get_data()) for line in ax.lines}
    assert drawn["the curve, alpha 0 to 1"].tolist() == curve.to_numpy().tolist()
    assert drawn["one"].tolist() == [[81, 58], [82.5, 61]] and drawn['printed as "B"'].tolist() == [
        [82.5, 61],
        [80.5, 57],
    ]
    assert drawn["alpha 1"].tolist() == [[82, 55]]
    assert sorted(text.get_text() for text in ax.texts if text.get_text()) == ["A", "B", "B"]
    with pytest.raises(WiseftError, match="two, the same"):
        plot_over_curve(curve, methods.rename(columns={"s": "t"}))


def test_an_arrow_for_each_pair_that_is_whole(groups):
    """From the zero-shot accuracies to the fine-tuned ones; half a pair has none."""
    ends = published("zero_shot_vs_fine_tuned_pairs", details=True).query("route != 'through ImageNet-12k'")
    ends = ends[ends.model.str.match("ViT-[BLH]") & (ends.image_size == 224)]
    ends = with_intervals(ends.assign(pair=ends.model + " " + ends.pretrained.str.split("_").str[0]))
    line = fit_table(groups["standard models"], "ImageNet-R")
    wide = ends.pivot(index="pair", columns=["dataset", "alpha"], values="accuracy")
    half = ends[(ends.pair != wide.index[0]) | (ends.alpha == 0)]
    for table, names in ((ends, wide.index), (half, wide.index[1:])):
        _, ax = plot_pairs(groups["standard models"], table, "ImageNet-R", "ImageNet", line, "pair", at_least=0.6)
        arrows = {(*text.xyann, *text.xy) for text in ax.texts}
        starts, finishes = (
            {tuple(wide.loc[n, [("ImageNet", alpha), ("ImageNet-R", alpha)]]) for n in names} for alpha in (0, 1)
        )
        assert len(arrows) == len(names)
        assert {arrow[:2] for arrow in arrows} == starts and {arrow[2:] for arrow in arrows} == finishes


def test_a_group_keeps_its_colour_and_marker_from_figure_to_figure(groups):
    """PE-Core has no figures for R: the groups after it look as they do on A."""
    looks = []
    for shift in ("ImageNet-A", "ImageNet-R"):
        _, ax = plot_models(groups, shift, "ImageNet", intervals=False)
        looks.append({d.get_label().rpartition(" (")[0]: d.get_paths()[0].vertices.tolist() for d in ax.collections})
    assert set(looks[0]) - set(looks[1]) == {"PE-Core"}
    assert all(looks[0][name] == looks[1][name] for name in looks[1])
    assert len({str(marker) for marker in looks[0].values()}) == len(groups)


def test_newer_models_stand_in_the_figure_of_todays_models(groups):
    fig = static_twin(groups, "ImageNet-A", at_least=0.5)
    drawn = {
        d.get_label().rpartition(" (")[0]: len(d.get_offsets()) for d in fig.axes[0].collections if hasattr(d, "names")
    }
    assert {name: drawn[name] for name in NEW} == dict(zip(NEW, (29, 14, 5), strict=True))
    assert set(groups) <= set(LOOKS)
    newer = published("newer_zero_shot").query("dataset == 'ImageNet-A'").accuracy
    (dots,) = (d for d in fig.axes[0].collections if d.get_label().startswith("PE-Core"))
    assert dots.get_offsets()[:, 1].max() == newer.max()
