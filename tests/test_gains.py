"""analyse/gains.py: the headline column of notebook 10, from a table whose figures are known."""

import numpy as np
import pandas as pd
import pytest

from wiseft_nb.analyse.gains import at_alpha, gains
from wiseft_nb.analyse.tables import load_results
from wiseft_nb.errors import WiseftError
from wiseft_nb.make.beyond_methods import METHODS


@pytest.fixture
def curves():
    rows = []
    for method, seed in (("a", 0), ("a", 1), ("b", 0), ("b", 1)):
        for alpha in (0.0, 0.5, 1.0):
            for part, more in (("against plain", 0.0), ("against plain-low", 0.1)):
                value = alpha / 10 + seed / 100 + more + (method == "b")
                rows.append([seed, part, method, alpha, "above the curve", "mean of shifts", value, value, value])
        rows.append([seed, "curve", method, 0.5, "chosen alpha", "val", 0.5 if seed else 1.0, np.nan, np.nan])
    return pd.DataFrame(rows, columns=["seed", "part", "method", "alpha", "figure", "place", "value", "low", "high"])


def test_every_method_and_seed_is_read_at_the_alpha_it_chose(curves):
    found = at_alpha(curves)
    assert {(row.seed, row.alpha) for row in found.itertuples()} == {(0, 1.0), (1, 0.5)} and len(found) == 8
    table = gains(curves)
    # seed 0 at alpha 1: 0.10; seed 1 at alpha 0.5: 0.06
    assert table["mean"].to_dict() == pytest.approx({"a": 0.08, "b": 1.08})
    assert (table.low < table["mean"]).all() and table.loc["a", "most"] == pytest.approx(0.10)


def test_one_alpha_for_all_and_the_other_baseline(curves):
    assert gains(curves, 0.5)["mean"].to_dict() == pytest.approx({"a": 0.055, "b": 1.055})
    assert gains(curves, 0.5, baseline="plain-low").loc["a", "mean"] == pytest.approx(0.155)


def test_what_is_not_in_the_table_is_named(curves):
    with pytest.raises(WiseftError, match="no row of"):
        gains(curves, 0.3)
    with pytest.raises(WiseftError, match="baseline"):
        gains(curves, baseline="plane")
    one_seed = curves.drop(curves.query("method == 'b' and seed == 1 and alpha == 0.5 and part != 'curve'").index)
    with pytest.raises(WiseftError, match="no row of b, seed 1"):  # or its mean would be that of the other seeds
        gains(one_seed)


# The committed tables


def test_the_committed_table_has_every_method_over_three_seeds_on_whole_curves():
    curves = load_results("beyond", "curves")
    found = (
        curves[curves.figure != "chosen alpha"].groupby(["method", "seed", "figure", "place", "part"]).alpha.agg(set)
    )
    plain = {i / 10 for i in range(11)}
    for (method, *_), alphas in found.items():
        assert alphas == (plain if method.startswith("plain") else {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}), method
    assert set(curves.method) == set(METHODS) and curves.groupby("method").seed.agg(set).eq({0, 1, 2}).all()
    assert curves.value.dropna().between(-1, 1).all() and (curves.low.dropna() <= curves.high.dropna()).all()


def test_at_alpha_0_all_methods_are_one_model_and_the_mean_is_that_of_the_groups():
    curves = load_results("beyond", "curves")
    accuracy = curves[(curves.part == "curve") & (curves.figure == "accuracy")]
    start = accuracy[accuracy.alpha == 0].groupby("place").value
    assert (start.max() - start.min()).max() < 1e-3  # FLYP's head is computed by its own tower: a float's rounding
    places = accuracy.pivot(index=["method", "seed", "alpha"], columns="place", values="value")
    assert places["mean of shifts"].to_numpy() == pytest.approx(
        (7 * places.handwriting + 4 * places.print) / 11, abs=1e-5
    )


def test_the_chosen_alpha_is_the_smallest_that_validation_cannot_tell_from_the_best():
    curves = load_results("beyond", "curves")
    val = curves[(curves.figure == "accuracy") & (curves.place == "val")]
    chosen = curves[curves.figure == "chosen alpha"].set_index(["method", "seed"]).value
    for key, rows in val.groupby(["method", "seed"]):
        best = rows.value.max()
        good = rows.alpha[rows.value >= best - (best * (1 - best) / 500) ** 0.5 - 1e-6]
        assert chosen[key] == good.min(), key


def test_a_plain_curve_gains_nothing_over_itself():
    curves = load_results("beyond", "curves")
    for name in ("plain", "plain-low"):
        over_itself = curves[(curves.method == name) & (curves.part == f"against {name}")].value
        assert over_itself.max() <= 1e-6 and over_itself.min() < -0.02


def test_each_method_has_its_cost_and_one_chosen_knob():
    costs, knobs = load_results("beyond", "methods"), load_results("beyond", "knobs")
    assert set(zip(costs.method, costs.seed, strict=True)) == {(name, seed) for name in METHODS for seed in (0, 1, 2)}
    tried = {name: len(method.knobs) for name, method in METHODS.items() if len(method.knobs) > 1}
    assert knobs.groupby("method").size().to_dict() == tried and knobs.groupby("method").chosen.sum().eq(1).all()
