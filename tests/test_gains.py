"""analyse/gains.py: the headline column of notebook 10, from a table whose figures are known."""

import numpy as np
import pandas as pd
import pytest

from wiseft_nb.analyse.gains import at_alpha, gains
from wiseft_nb.errors import WiseftError


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
