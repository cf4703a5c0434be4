"""Groups of shifts belong to a benchmark, and never hold what is not there."""

import dataclasses
import json

import pytest
from PIL import Image

from wiseft_nb import WiseftError, load_benchmark, sweep


def test_digits_has_print_and_handwriting_and_no_shift_is_in_both_or_none(benchmark):
    assert set(benchmark.groups) == {"print", "handwriting"}
    members = [shift for group in benchmark.groups.values() for shift in group]
    assert sorted(members) == sorted(benchmark.shifts)


def test_chosen_shifts_leave_their_groups_and_no_empty_one():
    chosen = load_benchmark("digits", shifts=["pose", "hard"])
    assert chosen.groups == {"handwriting": ("pose", "hard")}


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"print": ["font"]}, "did you mean 'fonts'"),
        ({"print": []}, "list of names"),
        ({"print": "fonts"}, "list of names"),
        ({"print": ["fonts", "fonts"]}, "each once"),
        ({"mnist": ["fonts"]}, "rename it"),
        ({"Mean of shifts": ["fonts"]}, "rename it"),
        ({" ": ["fonts"]}, "rename it"),
    ],
)
def test_groups_that_would_give_wrong_rows_are_refused(benchmark, groups, says):
    with pytest.raises(WiseftError, match=says):
        dataclasses.replace(benchmark, groups=groups)


def test_a_sweep_takes_them_as_they_are(zero_shot, fine_tuned, tiny):
    table = sweep(zero_shot, fine_tuned, tiny, (0.5,), groups=tiny.groups, progress=False)
    accuracy = table.set_index("dataset").accuracy
    for name, members in tiny.groups.items():
        assert accuracy[name] == pytest.approx(accuracy[list(members)].mean())


def test_a_result_is_not_taken_for_that_of_other_groups(tiny):
    """Rows of groups are kept with their table: other groups are another benchmark to the cache."""
    one, other = (dataclasses.replace(tiny, groups={"g": [name]}) for name in ("pose", "hard"))
    assert list(one.content()) != list(other.content())


@pytest.fixture
def own(tmp_path):
    for part in ("train", "test", "shifts/night", "shifts/fog"):
        for name, shade in (("cat", 0), ("dog", 120)):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(12 if part == "train" else 3):
                image = Image.new("RGB", (8, 8), (shade + i, len(part) * 9, i))
                image.save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def describe(folder, groups):
    (folder / "benchmark.json").write_text(json.dumps({"groups": groups}))


def test_a_folder_of_your_own_names_groups_in_its_description(own):
    describe(own, {"weather": ["night", "fog"]})
    assert {k: list(v) for k, v in load_benchmark(own).groups.items()} == {"weather": ["night", "fog"]}
    assert {k: list(v) for k, v in load_benchmark(own, shifts="fog").groups.items()} == {"weather": ["fog"]}


@pytest.mark.parametrize("groups", [{"weather": "night"}, ["night"], {"weather": ["snow"]}, {"weather": [3]}])
def test_groups_that_cannot_be_are_refused_by_name(own, groups):
    describe(own, groups)
    with pytest.raises(WiseftError, match="group"):
        load_benchmark(own)
    if groups == {"weather": ["snow"]}:  # a misspelt name is not lost where few shifts are read
        with pytest.raises(WiseftError, match="snow"):
            load_benchmark(own, shifts="fog")
