"""Whatever one's own folders, columns and shifts are called: read as meant or refused by name, never left out."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wiseft_nb import Benchmark, WiseftError, evaluate, load_benchmark, zero_shot_classifier
from wiseft_nb.benchmarks.images import ListedImages
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.intervals import MEAN
from wiseft_nb.robustness import points

rng = np.random.default_rng(0)
SPLIT = (("train", 10), ("test", 3))


def save(path):
    """A picture that no other file has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)
    return path


def write(root, parts=SPLIT, classes=("cat", "dog")):
    for part, n in parts:
        for name in classes:
            for i in range(n):
                save(root / part / name / f"{i}.png")
    return root


def write_table(root, rows, columns=("path", "label", "split"), **how):
    pd.DataFrame(rows, columns=columns).to_csv(root / "own.csv", index=False, **how)
    return root / "own.csv"


def rows_of(root, splits=SPLIT):
    return [
        (save(root / f"{split}-{label}-{i}.png".replace(":", "-")).name, label, split)
        for split, n in splits
        for label in ("fox", "owl")
        for i in range(n)
    ]


def sizes(benchmark):
    return (len(benchmark.train), len(benchmark.val), len(benchmark.reference))


def refusal(path, **arguments):
    with pytest.raises(WiseftError) as error:
        load_benchmark(path, **arguments)
    return str(error.value)


# Folders


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Val", "VALID"])
def test_a_validation_folder_is_read_whatever_it_is_called(tmp_path, name):
    assert sizes(load_benchmark(write(tmp_path, (*SPLIT, (name, 4))))) == (20, 8, 6)


def test_train_test_and_shifts_are_found_under_their_usual_names(tmp_path):
    mine = load_benchmark(write(tmp_path, (("Train", 10), ("testing", 3), ("Shift/night", 2))))
    assert sizes(mine) == (18, 2, 6) and list(mine.shifts) == ["night"]


@pytest.mark.parametrize(("one", "other"), [("test", "reference"), ("val", "valid"), ("shift", "shifts")])
def test_two_folders_that_mean_the_same_are_refused(tmp_path, one, other):
    write(tmp_path, (*SPLIT, (one, 2), (other, 2)))
    assert f"has {min(one, other)} and {max(one, other)}, which mean the same" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["extra", "night", "unlabelled/deep"])
def test_a_folder_beside_train_that_is_not_read_is_named(tmp_path, name):
    write(tmp_path, (*SPLIT, (name, 2)))
    first = name.split("/")[0]
    assert f"{first} is not read, and holds 4" in refusal(tmp_path)
    with pytest.warns(UserWarning, match=f"{first} is not read"):
        load_benchmark(tmp_path, complete=False)


def test_a_folder_beside_train_that_holds_no_image_is_no_matter(tmp_path):
    write(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/about.txt").write_text("Pets.")
    assert sizes(load_benchmark(tmp_path)) == (18, 2, 6)


@pytest.mark.parametrize("place", ["", "train", "test", "shifts", "shifts/night"])
def test_images_beside_folders_are_named(tmp_path, place):
    write(tmp_path, (*SPLIT, ("shifts/night", 1)))
    save(tmp_path / place / "lost.png")
    assert "1 not taken as images, such as " in refusal(tmp_path) and "lost.png" in refusal(tmp_path)


def test_images_beside_class_folders_without_splits_are_named(tmp_path):
    write(tmp_path, (("", 10),))
    save(tmp_path / "lost.jpg")
    assert "1 not taken as images, such as lost.jpg" in refusal(tmp_path)


@pytest.mark.parametrize("classes", [("train", "test", "bus"), ("train", "car"), ("test", "bus"), ("valid", "dev")])
def test_classes_called_like_splits_are_asked_about_and_then_read(tmp_path, classes):
    """VOC and COCO have trains."""
    write(tmp_path, (("", 10),), classes)
    assert any(f"if {name} is a class, name all classes in a benchmark.json" in refusal(tmp_path) for name in classes)
    (tmp_path / "benchmark.json").write_text(json.dumps({"class_names": list(classes)}))
    mine = load_benchmark(tmp_path)
    assert mine.class_names == list(classes) and sizes(mine) == tuple(len(classes) * n for n in (8, 1, 1))


def test_a_train_without_class_folders_is_refused_in_a_sentence(tmp_path):
    for part in ("train", "test"):
        for i in range(5):
            save(tmp_path / part / f"cat.{i}.png")
    assert "train holds images and no class folders: sort them" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [(("photo", "art"), ("cat", "dog")), (("cat", "dog"), ("train", "test")), (("a", "b"), ("train",))],
)
def test_folders_of_class_folders_are_not_taken_for_classes(tmp_path, outer, inner):
    """Domains with classes inside, or classes with splits inside: which is which nobody can tell."""
    write(tmp_path, tuple((name, 10) for name in outer), inner)
    assert "so which are the classes" in refusal(tmp_path)
    (tmp_path / "benchmark.json").write_text(json.dumps({"class_names": list(outer)}))
    assert load_benchmark(tmp_path).class_names == list(outer)


def test_one_folder_inside_each_class_is_walked(tmp_path):
    write(tmp_path, tuple((f"train/{name}", 10) for name in ("cat", "dog")), ("images",))
    write(tmp_path, (("test", 3),))
    assert sizes(load_benchmark(tmp_path)) == (18, 2, 6)


# Columns


@pytest.mark.parametrize("column", ["split", "Split", "SET", "subset", "Partition", "phase"])
def test_the_split_is_found_whatever_its_column_is_called(tmp_path, column):
    rows = rows_of(tmp_path, (("train", 10), ("valid", 2), ("Test", 3)))
    mine = load_benchmark(write_table(tmp_path, rows, ("Path", "LABEL", column)))
    assert sizes(mine) == (20, 4, 6)
    assert all(path.name.startswith("train") for path, _ in mine.train.files)


def test_two_columns_that_may_be_the_split_are_refused(tmp_path):
    rows = [(*row, row[-1]) for row in rows_of(tmp_path)]
    assert "columns split and set" in refusal(write_table(tmp_path, rows, ("path", "label", "split", "set")))


def test_a_column_that_is_no_split_stays_what_it_is(tmp_path):
    rows = [(path, label, i, "train") for i, (path, label, _) in enumerate(rows_of(tmp_path))]
    assert sum(sizes(load_benchmark(write_table(tmp_path, rows, ("path", "label", "number", "kind"))))) == 26


def test_splits_of_two_names_and_unknown_ones_are_refused(tmp_path):
    rows = rows_of(tmp_path, (*SPLIT, ("reference", 2), ("val", 1), ("dev", 1), ("eval", 1), ("shift:", 1)))
    said = refusal(write_table(tmp_path, rows))
    for part in (
        "splits reference and test mean the same",
        "dev and val mean the same",
        "split 'eval'",
        "split 'shift:'",
    ):
        assert part in said


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_with_other_marks_than_commas_is_told_so(tmp_path, mark):
    said = refusal(write_table(tmp_path, rows_of(tmp_path), sep=mark))
    assert f"with commas between them in place of {mark!r}" in said


def test_repeated_rows_are_refused_with_both_lines(tmp_path):
    """Six rows of one file would be six images, and narrow the interval."""
    rows = rows_of(tmp_path)
    twice = [*rows, rows[-1], (f"./{rows[-1][0]}", "fox", "test"), (rows[0][0], "owl", "train")]
    for complete in (True, False):
        said = refusal(write_table(tmp_path, twice), complete=complete)
        assert f"line {len(rows) + 2}: '{rows[-1][0]}' as owl stands in line {len(rows) + 1} already, as owl" in said
        assert f"line {len(rows) + 3}: './{rows[-1][0]}' as fox stands in line {len(rows) + 1} already, as owl" in said
        assert f"line {len(rows) + 4}: '{rows[0][0]}' as owl stands in line 2 already, as fox" in said


def test_a_file_may_stand_in_the_test_set_and_in_a_shift(tmp_path):
    rows = rows_of(tmp_path)
    rows += [(path, label, "Shift: same ") for path, label, split in rows if split == "test"]
    mine = load_benchmark(write_table(tmp_path, rows))
    assert {path.name for path, _ in mine.shifts["same"].files} == {path.name for path, _ in mine.reference.files}


def test_absolute_paths_are_cached_as_relative_ones_are(tmp_path, clip):
    """What most scripts write; their content could not be told."""
    (tmp_path / "images").mkdir()
    (tmp_path / "tables").mkdir()
    rows = [(str(tmp_path / "images" / path), label, split) for path, label, split in rows_of(tmp_path / "images")]
    mine = load_benchmark(write_table(tmp_path / "tables", rows))
    before = fingerprint(mine)
    assert evaluate(zero_shot_classifier(clip, mine), mine.reference, cache=True, workers=0).n == 6
    save(mine.reference.files[0][0])
    assert fingerprint(mine) != before


# Shifts that are asked for


@pytest.fixture
def shifted(tmp_path):
    return write(tmp_path / "pets", (*SPLIT, ("shifts/night", 1), ("shifts/fog", 2), ("shifts/fog[2]", 1)))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, ["fog", "fog[2]", "night"]), (["night"], ["night"]), ("night", ["night"]), (["fog*"], ["fog", "fog[2]"])]
    + [([], []), (["fog[2]"], ["fog[2]"]), (("night", "fog"), ["fog", "night"])],
)
def test_shifts_of_ones_own_are_chosen(shifted, tmp_path, wanted, found):
    assert list(load_benchmark(shifted, shifts=wanted).shifts) == found
    rows = rows_of(tmp_path, (*SPLIT, ("shift:fog", 1), ("shift:fog[2]", 1), ("shift:night", 1)))
    assert list(load_benchmark(write_table(tmp_path, rows), shifts=wanted).shifts) == found


def test_shifts_of_the_digits_are_chosen(benchmark):
    some = load_benchmark("digits", shifts=["po*", "uci"])
    assert list(some.shifts) == ["uci", "posters", "pose"] and list(some.about) == list(some.test_sets)
    assert np.array_equal(some.shifts["pose"].images, benchmark.shifts["pose"].images)


def test_an_unknown_shift_is_refused_with_the_nearest_name(shifted, tmp_path):
    assert "unknown shift 'nigth' (did you mean 'night'?): expected one of fog, " in refusal(shifted, shifts=["nigth"])
    assert "unknown shift 'pozters' (did you mean 'posters'?)" in refusal("digits", shifts="pozters")
    assert "unknown shift 'x': there are none here" in refusal(write(tmp_path / "plain"), shifts=["x"])
    assert "unknown shift 'x': there are none here" in refusal(write(tmp_path / "few", (("", 9),)), shifts=["x"])


def test_of_a_hundred_shifts_a_misspelt_one_gets_the_nearest_few(tmp_path):
    said = refusal("cifar10", root=tmp_path, shifts="cifar10-c/gausian_noise/3")
    assert "did you mean 'cifar10-c/gaussian_noise/3'?" in said and "(99 in all)" in said and len(said) < 400


@pytest.mark.parametrize("name", ["reference", "Train", "val", "test", "mean of shifts", "mnist", " "])
def test_a_shift_may_not_be_called_what_means_something_else(tmp_path, benchmark, name):
    parts = (benchmark.train, benchmark.val, benchmark.reference)
    with pytest.raises(WiseftError, match=f"a shift is called '{name}'"):
        Benchmark("mine", ["a", "b"], ["a {}"], *parts, {name: benchmark.reference}, reference_name="mnist")
    if name not in (" ", "mnist"):
        assert f"a shift is called '{name}'" in refusal(write(tmp_path / "a", (*SPLIT, (f"shifts/{name}", 1))))
        rows = rows_of(tmp_path, (*SPLIT, (f"shift:{name}", 1)))
        assert f"a shift is called '{name}'" in refusal(write_table(tmp_path, rows))


def test_the_name_of_the_mean_is_the_one_that_tables_use():
    assert MEAN == points.MEAN


# Copies


def copies(root, part, name, n):
    for i in range(n):
        shutil.copy(root / part / name / "0.png", root / part / name / f"copy{i}.png")


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_copies_stay_together_where_the_package_makes_the_split(tmp_path, seed, complete):
    for root, parts in ((tmp_path / "a", (("", 10),)), (tmp_path / "b", SPLIT)):
        part = parts[0][0]
        write(root, parts)
        copies(root, part, "cat", 5)
        same = {path.read_bytes() for path in (root / part / "cat").glob("copy*")}
        mine = load_benchmark(root, seed=seed, complete=complete)
        found = [
            where
            for where, images in (("train", mine.train), ("val", mine.val), ("reference", mine.reference))
            if any(path.read_bytes() in same for path, _ in images.files)
        ]
        assert len(found) == 1 and sum(sizes(mine)) == sum(2 * n for _, n in parts) + 5


def test_without_copies_the_shares_are_what_they_were(tmp_path):
    """Splits that results were made with stay: checked and unchecked, and as files of one size or of many."""
    root = write(tmp_path, (("", 20),))
    mine, unchecked = load_benchmark(root, seed=3), load_benchmark(root, seed=3, complete=False)
    from wiseft_nb.benchmarks.splits import held_out

    labels = np.repeat([0, 1], 20)
    files = sorted((root).rglob("*.png"))
    rest, test = held_out(labels, 0.1, 3)
    train, val = held_out(labels[rest], 0.1 / 0.9, 3)
    for images, rows in ((mine.train, rest[train]), (mine.val, rest[val]), (mine.reference, test)):
        assert [path for path, _ in images.files] == [files[i] for i in rows]
    assert mine.train.files == unchecked.train.files and mine.val.files == unchecked.val.files


@pytest.mark.parametrize(("one", "other"), [("train", "train"), ("test", "test"), ("test", "shifts/night")])
def test_one_image_under_two_labels_is_refused(tmp_path, one, other):
    write(tmp_path, (*SPLIT, ("shifts/night", 2)))
    shutil.copy(tmp_path / one / "cat/0.png", tmp_path / other / "dog/wrong.png")
    assert f"{one}/cat/0.png, {other}/dog/wrong.png are one image with the labels cat and dog" in refusal(tmp_path)


def test_one_image_under_two_labels_is_refused_where_nothing_is_split(tmp_path):
    write(tmp_path, (("", 10),))
    shutil.copy(tmp_path / "cat/0.png", tmp_path / "dog/wrong.png")
    assert all("are one image with the labels" in refusal(tmp_path, seed=seed) for seed in range(5))


def test_each_file_is_read_once(tmp_path, monkeypatch):
    from wiseft_nb.benchmarks import images
    from wiseft_nb.benchmarks.own import problems

    root, read = write(tmp_path), []

    def counted(path):
        read.append(path)
        return path.read_bytes()

    for module in (images, problems):
        monkeypatch.setattr(module, "read_bytes", counted)
    load_benchmark(root)
    assert len(read) == len(set(read)) == 26


def test_own_images_have_subsets(tmp_path):
    mine = load_benchmark(write(tmp_path))
    few = mine.train.subset(range(2, 5))
    assert isinstance(few, ListedImages) and few.files == mine.train.files[2:5] and len(mine.train) == 18
    assert mine.train.subset(np.array([4, 0])).files == [mine.train.files[4], mine.train.files[0]]
    assert mine.train.subset(slice(3)).files == mine.train.files[:3] and few[0][1] == mine.train[2][1]
    assert fingerprint(few) != fingerprint(mine.train)


# benchmark.json, names, places


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"classnames": ["dog", "cat"]}, "key 'classnames', which means nothing here, did you mean 'class_names'?"),
        ({"class_names": ["cat", "dog"], "template": ["a {}"]}, "key 'template', .* did you mean 'templates'?"),
        ({"comment": "mine"}, "key 'comment', which means nothing here"),
    ],
)
def test_a_key_that_means_nothing_is_named(tmp_path, about, says):
    write(tmp_path)
    (tmp_path / "benchmark.json").write_text(json.dumps(about))
    with pytest.raises(WiseftError, match=says):
        load_benchmark(tmp_path)


def test_a_description_of_windows_notepad_is_read(tmp_path):
    write(tmp_path)
    (tmp_path / "benchmark.json").write_bytes(b'\xef\xbb\xbf{"class_names": ["dog", "cat"]}')
    assert load_benchmark(tmp_path).class_names == ["dog", "cat"]


def test_ids_of_wordnet_get_their_names(tmp_path):
    ids = ("n01440764", "n01443537")
    assert load_benchmark(write(tmp_path / "a", classes=ids)).class_names == ["tench", "goldfish"]
    with pytest.warns(UserWarning, match="n01440764 is an id of WordNet.*class_names"):
        assert load_benchmark(write(tmp_path / "b", classes=(ids[0], "owl"))).class_names == ["n01440764", "owl"]


@pytest.mark.parametrize("name", ["digits", "cars"])
@pytest.mark.filterwarnings("ignore:not on disk")
def test_a_folder_called_like_a_benchmark_is_mentioned(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    with pytest.warns(UserWarning, match=f'the benchmark of that name; for the folder .* write "./{name}"'):
        load_benchmark(name)
    assert load_benchmark(f"./{name}").class_names == ["cat", "dog"]


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch, zero_shot):
    from wiseft_nb import classify

    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    write(tmp_path / "pets")
    assert sizes(load_benchmark("~/pets")) == (18, 2, 6)
    for images in ("~/pets/test", ["~/pets/test/cat/0.png"]):
        assert len(classify(zero_shot, images, progress=False)) in (6, 1)
