"""The chord of a path, its dip, and how sure a dip is."""

import numpy as np
import pandas as pd
import pytest

from wiseft_nb import WiseftError, chord_dip, evaluate, mean_of_shifts, sweep, wise_ft
from wiseft_nb.analyse.chord import chord_gap

ALPHAS = (0.0, 0.3, 0.5, 1.0)


def path(accuracies, dataset="s", **about):
    alphas = np.linspace(0, 1, len(accuracies))
    return pd.DataFrame({"alpha": alphas, "dataset": dataset, "accuracy": accuracies} | about)


def test_the_gap_is_measured_from_the_straight_line_between_the_ends():
    found = chord_gap(path([0.6, 0.9, 0.7, 0.8, 1.0]))
    assert found.chord.tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0])
    assert found.gap.tolist() == pytest.approx([0, 0.2, -0.1, -0.1, 0])


def test_the_dip_is_the_lowest_gap_between_the_ends_and_0_where_nothing_sags():
    table = pd.concat([path([0.6, 0.9, 0.6, 0.8, 1.0]), path([0.6, 0.8, 0.7], "t")]).sample(frac=1, random_state=1)
    found = chord_dip(table).set_index("dataset")
    assert found.chord_dip["s"] == pytest.approx(0.2) and found.alpha["s"] == 0.5
    assert found.chord_dip["t"] == 0 and found.gap["t"] == pytest.approx(0.15)
    assert found.standard_error.isna().all(), "accuracies alone do not tell it"


def test_sweeps_are_told_apart():
    table = pd.concat([path([0.6, 0.5, 0.6], seed=0), path([0.6, 0.4, 0.6], seed=1)])
    assert chord_dip(table, ["seed"]).chord_dip.tolist() == pytest.approx([0.1, 0.2])
    with pytest.raises(WiseftError, match="tell the sweeps apart"):
        chord_dip(table)


@pytest.mark.parametrize("accuracies", [[0.6, 0.7], [0.6]])
def test_a_path_without_a_point_between_its_ends_is_refused(accuracies):
    with pytest.raises(WiseftError, match="at least one between"):
        chord_dip(pd.concat([path([0.5, 0.6, 0.7], "whole"), path(accuracies)]))


@pytest.fixture(scope="module")
def table(zero_shot, fine_tuned, tiny):
    return sweep(zero_shot, fine_tuned, tiny, ALPHAS, progress=False, groups={"two": ["pose", "fonts"]}, chord=True)


def test_the_error_of_a_gap_is_that_of_one_number_an_image(table, zero_shot, fine_tuned, tiny):
    ends = [evaluate(model, tiny.shifts["pose"]).correct.double() for model in (zero_shot, fine_tuned)]
    for alpha in (0.3, 0.5):
        mixed = evaluate(wise_ft(zero_shot, fine_tuned, alpha), tiny.shifts["pose"]).correct.double()
        above = mixed - (1 - alpha) * ends[0] - alpha * ends[1]
        (row,) = table.query("alpha == @alpha and dataset == 'pose'").itertuples()
        assert row.chord_error == pytest.approx(float(above.std(correction=0)) / len(above) ** 0.5)
        (row,) = chord_gap(table).query("alpha == @alpha and dataset == 'pose'").itertuples()
        assert row.gap == pytest.approx(float(above.mean()), abs=1e-9)
    assert (table[table.alpha.isin([0, 1])].chord_error == 0).all()


def test_the_error_for_a_group_is_the_bootstraps(table, zero_shot, fine_tuned, tiny):
    """Two shifts without a common image: the errors of both add as those of independent numbers do."""
    (row,) = table.query("alpha == 0.5 and dataset == 'two'").itertuples()
    parts = table.query("alpha == 0.5 and dataset in ('pose', 'fonts')").chord_error
    assert row.chord_error == pytest.approx(np.sqrt((parts**2).sum()) / 2, rel=0.15)


def test_the_dip_carries_the_error_of_its_point(table):
    found = chord_dip(table).set_index("dataset").loc["pose"]
    (row,) = table.query("alpha == @found.alpha and dataset == 'pose'").itertuples()
    assert found.standard_error == row.chord_error


def test_the_mean_of_shifts_is_not_split_by_the_errors(table):
    mean = mean_of_shifts(table, ["pose", "fonts"])
    assert mean.alpha.tolist() == list(ALPHAS) and "chord_error" not in mean


def test_a_chord_needs_both_ends(zero_shot, fine_tuned, tiny):
    with pytest.raises(WiseftError, match="both its ends"):
        sweep(zero_shot, fine_tuned, tiny, [0.0, 0.5], progress=False, chord=True)
