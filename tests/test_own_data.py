"""Images of one's own become a benchmark without a class to write, and all that is wrong is named at once."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wiseft_nb import WiseftError, load_benchmark
from wiseft_nb.engine.cache import fingerprint

rng = np.random.default_rng(0)


def save(path):
    """A picture that no other file has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def split(tmp_path):
    """train, test and a shift; no val, no benchmark.json."""
    for part, n in (("train", 10), ("test", 4), ("shifts/night", 2)):
        for name in ("tabby_cat", "dog"):
            for i in range(n):
                save(tmp_path / "pets" / part / name / f"{i}.png")
    return tmp_path / "pets"


@pytest.fixture
def unsplit(tmp_path):
    """Twelve numbered classes of ten images."""
    for name in map(str, range(12)):
        for i in range(10):
            save(tmp_path / "numbers" / name / f"{i}.jpg")
    return tmp_path / "numbers"


@pytest.fixture
def table(tmp_path):
    rows = []
    for split, n in (("train", 10), ("val", 2), ("test", 3), ("shift:snow", 2)):
        for label in ("fox", "owl"):
            for i in range(n):
                path = f"{split.replace(':', '-')}-{label}-{i}.png"
                save(tmp_path / path)
                rows.append((path, label, split))
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(tmp_path / "animals.csv", index=False)
    return tmp_path / "animals.csv"


def labels(images):
    return [label for _, label in images.files]


def paths(images):
    return {path for path, _ in images.files}


def test_a_folder_with_splits_needs_no_description(split):
    mine = load_benchmark(split)
    assert mine.class_names == ["dog", "tabby cat"], "underscores read as spaces in prompts"
    assert labels(mine.reference) == [0] * 4 + [1] * 4 and labels(mine.shifts["night"]) == [0, 0, 1, 1]
    assert len(mine.train) == 18 and sorted(labels(mine.val)) == [0, 1], "a tenth of train, of each class"
    assert not paths(mine.train) & paths(mine.val) and paths(mine.train) | paths(mine.val) == set(
        (split / "train").rglob("*.png")
    )
    image, label = mine.reference[5]
    assert image.size == (10, 12) and label == 1


def test_a_description_renames_and_orders_classes(split):
    about = {"class_names": {"tabby_cat": "cat", "dog": "dog"}, "templates": ["a painting of a {}."]}
    (split / "benchmark.json").write_text(json.dumps(about))
    mine = load_benchmark(split)
    assert mine.class_names == ["cat", "dog"] and mine.templates == ["a painting of a {}."]
    assert {path.parent.name for path, label in mine.reference.files if label == 0} == {"tabby_cat"}


def test_numbered_folders_are_sorted_as_numbers(unsplit):
    """As text, 10 and 11 would come before 2, and nine of twelve labels be another class's."""
    mine = load_benchmark(unsplit)
    assert mine.class_names == [str(i) for i in range(12)]
    assert all(int(path.parent.name) == label for path, label in mine.train.files)


def test_a_folder_without_splits_is_shared_out_alike_for_each_class_and_seed(unsplit):
    mine, again, other = load_benchmark(unsplit), load_benchmark(unsplit), load_benchmark(unsplit, seed=1)
    parts = (mine.train, mine.val, mine.reference)
    assert [np.bincount(labels(part)).tolist() for part in parts] == [[8] * 12, [1] * 12, [1] * 12]
    assert len(set.union(*map(paths, parts))) == 120, "every image in one part"
    assert mine.reference.files == again.reference.files != other.reference.files
    assert fingerprint(mine) == fingerprint(again) != fingerprint(other)


def test_a_table_gives_paths_labels_and_splits(table):
    mine = load_benchmark(table)
    assert (mine.name, mine.class_names) == ("animals", ["fox", "owl"])
    sizes = {name: len(images) for name, images in mine.test_sets.items()}
    assert sizes == {"reference": 6, "snow": 4} and len(mine.train) == 20 and len(mine.val) == 4
    assert all((label == 1) == ("owl" in path.name) for path, label in mine.train.files)


def test_a_table_without_splits_is_shared_out(table):
    rows = pd.read_csv(table).drop(columns="split")
    rows.to_csv(table, index=False)
    mine = load_benchmark(table)
    assert len(mine.train) + len(mine.val) + len(mine.reference) == len(rows) == 34
    assert set(labels(mine.val)) == set(labels(mine.reference)) == {0, 1}


def test_a_table_of_numbers_keeps_their_order_and_classes_may_be_named_beside_it(table):
    rows = pd.read_csv(table)
    rows.assign(label=rows.label.map({"fox": "10", "owl": "2"})).to_csv(table, index=False)
    assert load_benchmark(table).class_names == ["2", "10"]
    (table.parent / "benchmark.json").write_text(json.dumps({"class_names": {"10": "fox", "2": "owl"}}))
    mine = load_benchmark(table)
    assert mine.class_names == ["fox", "owl"] and all((y == 0) == ("fox" in p.name) for p, y in mine.train.files)


def refusal(path):
    with pytest.raises(WiseftError) as error:
        load_benchmark(path)
    return str(error.value)


def test_all_problems_of_a_folder_are_reported_at_once(split):
    (split / "train" / "dog" / "broken.png").write_bytes(b"no image")
    (split / "test" / "dog" / "cut.png").write_bytes((split / "test" / "dog" / "0.png").read_bytes()[:-20])
    first, second = sorted((split / "train" / "dog").glob("?.png"))[:2]
    (split / "test" / "dog" / "copy.png").write_bytes(first.read_bytes())
    (split / "shifts" / "night" / "dog" / "copy.png").write_bytes(second.read_bytes())
    for path in (split / "test" / "tabby_cat").iterdir():
        path.unlink()
    said = refusal(split)
    for part in (
        "reference has no images of tabby cat",
        "train/dog/broken.png is no readable image",
        "test/dog/cut.png is no readable image",
        "train/dog/0.png, test/dog/copy.png are one image in train and reference",
        "train/dog/1.png, shifts/night/dog/copy.png are one image in train and shift:night",
    ):
        assert part in said
    assert said.count("\n") == 5 and "complete=False" in said
    assert len(load_benchmark(split, complete=False).reference) == 6, "without the checks it is taken as it is"


def test_an_image_that_is_in_the_reference_and_a_shift_is_no_problem(split):
    """Most shifts of this course are made from the reference's images; only learning from them would be."""
    (split / "shifts" / "night" / "dog" / "same.png").write_bytes((split / "test" / "dog" / "0.png").read_bytes())
    assert len(load_benchmark(split).shifts["night"]) == 5


def test_many_problems_are_counted_instead_of_listed(split):
    for i in range(9):
        (split / "train" / "dog" / f"bad{i}.png").write_bytes(b"no image")
    said = refusal(split)
    assert said.count("is no readable image") == 5 and "and 4 more images" in said


def test_all_problems_of_a_table_are_reported_at_once(table):
    rows = pd.read_csv(table)
    rows.loc[0, "path"], rows.loc[1, "label"], rows.loc[2, "split"] = "gone.png", "", "tets"
    rows = rows[rows.split != "test"]
    rows.to_csv(table, index=False)
    said = refusal(table)
    for part in (
        "line 2: 'gone.png' is no file",
        "line 3: label '' is no class",
        "line 4: split 'tets', expected train, val, test or shift:NAME",
        "no row has the split test",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no readable CSV"),
        (b"file,label\na.png,cat\n", "lacks path"),
        (b"path,label\n", "has no rows"),
        (b'path,label\n"a.png,cat\n', "is no readable CSV"),
        (b"\xff\xfe\x00\x00", "is no readable CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, says):
    (tmp_path / "own.csv").write_bytes(content)
    assert says in refusal(tmp_path / "own.csv")


def test_folders_that_are_no_benchmark_say_what_they_lack(tmp_path):
    save(tmp_path / "a" / "train" / "dog" / "0.png")
    assert "it lacks test (or reference)" in refusal(tmp_path / "a")
    save(tmp_path / "b" / "test" / "dog" / "0.png")
    assert "it lacks train" in refusal(tmp_path / "b")
    save(tmp_path / "c" / "0.png")
    assert "folders of images, one a class" in refusal(tmp_path / "c")


def test_class_names_that_become_one_are_refused(split):
    save(split / "train" / "tabby cat" / "0.png")
    assert "stand more than once" in refusal(split)
