"""Two classifiers on the same images: the images in dispute decide, and only the same images are compared."""

import dataclasses

import pytest
import torch
from statsmodels.stats.contingency_tables import mcnemar

from wiseft_nb import Paired, Predictions, WiseftError, paired, paired_table


def predictions(right, labels=None, **asked):
    """Two classes; right where ``right`` says so."""
    labels = torch.zeros(len(right), dtype=torch.long) if labels is None else labels
    said = torch.where(torch.tensor(right), labels, 1 - labels)
    return Predictions(torch.eye(2)[said], labels, **asked)


@pytest.mark.parametrize(("only_first", "only_second"), [(62, 7), (3, 8), (1, 0), (0, 0), (5, 5), (0, 40)])
def test_counts_and_p_are_those_of_statsmodels(only_first, only_second):
    both, neither = 11, 2
    first = predictions([True] * both + [True] * only_first + [False] * (only_second + neither))
    second = predictions([True] * both + [False] * only_first + [True] * only_second + [False] * neither)
    found = paired(first, second)
    table = [[both, only_first], [only_second, neither]]
    assert [[found.both, found.only_first], [found.only_second, found.neither]] == table
    assert found.n == first.n
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert found.difference == pytest.approx(first.accuracy() - second.accuracy())
    assert paired(second, first).p == pytest.approx(found.p)


def test_standard_error_is_that_of_the_difference_image_by_image():
    """Also where the first won by much, so that the squared difference counts."""
    first = predictions([True] * 70 + [True] * 40 + [False] * 10)
    second = predictions([True] * 70 + [False] * 40 + [True] * 5 + [False] * 5)
    of_each = first.correct.double() - second.correct.double()
    assert paired(first, second).standard_error == pytest.approx(float(of_each.std(correction=0)) / 120**0.5)
    assert paired(first, first).standard_error == 0


def test_many_comparisons_are_corrected_for_their_number():
    """Holm by hand: the smallest p times their number, the next times one less, never falling."""
    pairs = {"a": Paired(50, 12, 3, 10), "b": Paired(50, 20, 1, 10), "c": Paired(50, 4, 4, 10), "d": Paired(9, 9, 2, 9)}
    table = paired_table(pairs)
    expected, largest = {}, 0.0
    for rank, name in enumerate(sorted(pairs, key=lambda name: pairs[name].p)):
        largest = expected[name] = min(1.0, max(largest, pairs[name].p * (len(pairs) - rank)))
    assert table.holm.to_dict() == pytest.approx(expected)
    assert table.loc["b", ["only_first", "only_second", "n"]].tolist() == [20, 1, 81]
    assert paired_table({}).empty
    assert paired_table({("a", 1): pairs["a"]}).holm["a", 1] == pairs["a"].p


def test_overlapping_intervals_do_not_hide_a_difference():
    """97.5 % and 99 % of 1,000: the intervals overlap, but 15 images against none speak."""
    first, second = predictions([True] * 990 + [False] * 10), predictions([True] * 975 + [False] * 25)
    assert first.interval()[0] < second.interval()[1]
    assert paired(first, second).p < 1e-4


def test_other_images_are_refused():
    first, other = predictions([True] * 4), predictions([True] * 4, torch.tensor([0, 1, 0, 1]))
    for second in (other, predictions([True] * 5)):
        with pytest.raises(WiseftError, match="one dataset"):
            paired(first, second)


def test_other_classes_to_choose_from_are_refused():
    first = predictions([True] * 4)
    with pytest.raises(WiseftError, match="class_subset"):
        paired(first, dataclasses.replace(first, class_subset=(0, 1)))


def test_it_reads_as_people_say_it():
    found = paired(predictions([True, True, False]), predictions([False, True, False]))
    assert str(found) == "1 : 0 of 3, p = 1"
