"""Benchmarks: the digits are the same bytes for everyone, splits do not meet, sets are what they say."""

import hashlib
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from wiseft_nb import Benchmark, ImageSet, WiseftError, evaluate, load_benchmark, load_templates, zero_shot_classifier
from wiseft_nb.benchmarks.digits import digits
from wiseft_nb.benchmarks.digits.digits import ABOUT, SEVERITY, made_shifts, mnist
from wiseft_nb.benchmarks.digits.draw import Dice
from wiseft_nb.benchmarks.digits.glyphs import CELL, CHARACTERS, GLYPHS, font_table, load_glyphs
from wiseft_nb.paths import DATA

MADE = ("photo", "outline", "rendition", "pose", "stroke")
PRINTED = ("posters", "scrawl", "clutter")


def bytes_of(images):
    return hashlib.sha256(images.images.tobytes() + images.labels.tobytes()).hexdigest()


def all_sets(benchmark):
    return {"train": benchmark.train, "val": benchmark.val, **benchmark.test_sets}


def test_every_call_gives_the_same_bytes(benchmark):
    """Whatever was drawn before, and with an empty cache."""
    mnist.cache_clear()
    torch.manual_seed(99)
    np.random.seed(99)
    again = all_sets(load_benchmark("digits"))
    assert {name: bytes_of(images) for name, images in all_sets(benchmark).items()} == {
        name: bytes_of(images) for name, images in again.items()
    }


def test_loading_leaves_random_numbers_of_the_session_as_they_were():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    load_benchmark("digits")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def test_sizes_classes_and_names(benchmark):
    assert [len(part) for part in (benchmark.train, benchmark.val, benchmark.reference)] == [3500, 500, 1000]
    assert benchmark.class_names == tuple("0123456789") and benchmark.reference_name == "mnist"
    assert len(benchmark.shifts) >= 7 and "mnist" not in benchmark.shifts
    assert list(benchmark.test_sets) == ["mnist", *benchmark.shifts]
    for name, images in all_sets(benchmark).items():
        assert set(images.labels) == set(range(10)), name
        assert images.images.dtype == np.uint8 and images.images.shape[1:] == (32, 32, 3), name


def test_every_test_set_says_in_one_line_what_it_is(benchmark):
    assert list(benchmark.about) == list(benchmark.test_sets)
    assert all(len(line.split()) >= 4 and "\n" not in line for line in benchmark.about.values())


def test_train_validation_and_test_share_no_image(benchmark):
    parts = [
        {image.tobytes() for image in part.images} for part in (benchmark.train, benchmark.val, benchmark.reference)
    ]
    assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])


def test_images_come_out_as_pil_with_their_label(benchmark):
    image, label = benchmark.reference[3]
    assert isinstance(image, Image.Image) and image.size == (32, 32) and image.mode == "RGB"
    assert isinstance(label, int) and label == benchmark.reference.labels[3]
    assert len(list(benchmark.reference)) == 1000  # ends, as a list would


def test_splits_are_not_sorted_by_class(benchmark):
    """The first training images stand for all: few-shot models are trained on them."""
    for part in (benchmark.train, benchmark.val, benchmark.reference):
        assert len(set(part.labels[:100])) == 10


@pytest.mark.parametrize("name", MADE)
def test_made_shifts_are_the_same_test_digits_drawn_otherwise(benchmark, name):
    """So that a difference in accuracy is the shift's doing, not the sample's."""
    shift, reference = benchmark.shifts[name], benchmark.reference
    assert np.array_equal(shift.labels, reference.labels)
    assert (shift.images != reference.images).reshape(1000, -1).any(1).mean() > 0.99


@pytest.mark.parametrize("name", MADE)
def test_each_made_shift_follows_its_severity_and_seed(benchmark, name):
    few = benchmark.val.subset(slice(20))
    by_severity = {s: made_shifts(few, SEVERITY | {name: s})[name] for s in (0.0, 0.2, 0.9)}

    def distance(images):
        return np.abs(images.images.astype(float) - few.images).mean()

    distances = [distance(images) for images in by_severity.values()]
    assert distances == sorted(distances) and distances[0] < distances[1] < distances[2]
    if name not in ("outline", "stroke"):  # these two draw no dice
        assert bytes_of(made_shifts(few, seed=1)[name]) != bytes_of(made_shifts(few, seed=2)[name])


def test_renditions_posters_and_photographs_are_coloured_the_other_sets_are_grey(benchmark):
    coloured = {name for name, images in all_sets(benchmark).items() if np.ptp(images.images.astype(int), axis=3).any()}
    assert coloured == {"rendition", "posters", "photo"}


def test_a_broad_pen_adds_ink_and_an_outline_is_hollow(benchmark):
    reference = benchmark.reference.images
    assert benchmark.shifts["stroke"].images.mean() > 1.2 * reference.mean()
    masks = torch.from_numpy(reference[..., 0]).float()
    inside = -torch.nn.functional.max_pool2d(-masks, 3, 1) > 250  # where all nine pixels are ink
    outlined = torch.from_numpy(benchmark.shifts["outline"].images[:, 1:-1, 1:-1, 0])
    assert inside.sum() > 1000 and outlined[inside].float().mean() < 50


def test_uci_is_another_source_not_mnist(benchmark):
    assert len(benchmark.shifts["uci"]) == 1797
    known = {image.tobytes() for image in benchmark.reference.images}
    assert not any(image.tobytes() in known for image in benchmark.shifts["uci"].images)


def test_the_hard_set_is_what_its_filter_gets_wrong(benchmark):
    """And all of it; the filter is a logistic regression on the first 300 training digits."""
    from sklearn.linear_model import LogisticRegression

    def pixels(images):
        return images.images[..., 0].reshape(len(images), -1) / 255

    few = benchmark.train.subset(slice(300))
    filter_ = LogisticRegression(C=0.1, max_iter=500).fit(pixels(few), few.labels)
    wrong = filter_.predict(pixels(benchmark.reference)) != benchmark.reference.labels
    hard = benchmark.shifts["hard"]
    assert np.array_equal(hard.images, benchmark.reference.images[wrong]) and len(hard) >= 100
    assert filter_.score(pixels(hard), hard.labels) == 0


def test_printed_shifts_draw_held_out_fonts_alone(monkeypatch, benchmark):
    asked = set()

    def spy(split):
        asked.add(split)
        return load_glyphs(split)

    monkeypatch.setattr(digits, "load_glyphs", spy)
    made = made_shifts(benchmark.reference)
    assert asked == {"held-out"}
    for name in ("fonts", *PRINTED):
        assert bytes_of(made[name]) == bytes_of(benchmark.shifts[name])


@pytest.mark.parametrize("name", PRINTED)
def test_printed_shifts_follow_their_severity_and_seed(benchmark, name):
    """At severity 0 they all are the same plain print, which no test digit enters."""
    few = benchmark.val.subset(slice(20))
    plain, mild, strong = (made_shifts(few, SEVERITY | {name: s})[name] for s in (0.0, 0.2, 0.9))
    others = made_shifts(benchmark.reference, SEVERITY | dict.fromkeys(PRINTED, 0.0))
    assert all(np.abs(plain.images.astype(int) - others[other].images).max() <= 1 for other in PRINTED)
    distances = [np.abs(images.images.astype(float) - plain.images).mean() for images in (mild, strong)]
    assert 0 < distances[0] < distances[1]
    assert bytes_of(made_shifts(few, seed=1)[name]) != bytes_of(made_shifts(few, seed=2)[name])


def test_the_fonts_shift_shows_many_fonts_each_with_all_ten_digits(monkeypatch):
    """A hundred fonts of ten digits: none counts more than another."""
    fonts = len(load_glyphs("held-out"))
    blank = np.zeros((fonts, 62, CELL, CELL), np.uint8) + np.arange(1, fonts + 1, dtype=np.uint8)[:, None, None, None]
    monkeypatch.setattr(digits, "load_glyphs", lambda split: blank)
    images = digits.fonts("held-out", 0.0, Dice(0))
    drawn = [(int(image[16, 16, 0]), label) for image, label in zip(images.images, images.labels, strict=True)]
    assert len(set(drawn)) == len(drawn) == 1000 and len({font for font, _ in drawn}) == 100


# Glyph sheets


def test_pretraining_and_held_out_families_never_meet():
    table = font_table()
    families = {split: {name.strip().lower() for name in rows.family} for split, rows in table.groupby("split")}
    assert set(families) == {"pretraining", "held-out"} and not families["pretraining"] & families["held-out"]
    assert len(families["held-out"]) >= 20


def test_no_sheet_holds_fonts_of_both_splits():
    assert (font_table().groupby("sheet").split.nunique() == 1).all()


def test_no_held_out_font_is_a_near_copy_of_a_pretraining_font():
    """Fonts are copied and renamed: names alone would prove little. Mean correlation over 62 glyphs."""

    def standardised(split):
        flat = load_glyphs(split).astype(np.float32).reshape(-1, len(CHARACTERS), CELL * CELL)
        flat -= flat.mean(2, keepdims=True)
        return (flat / np.linalg.norm(flat, axis=2, keepdims=True).clip(1e-6)).reshape(len(flat), -1)

    correlation = standardised("held-out") @ standardised("pretraining").T / len(CHARACTERS)
    assert correlation.max() < 0.95


def test_sheets_and_table_agree():
    """A row of the table for every row of every sheet; every sheet can be looked at."""
    table = font_table()
    assert {path.name for path in GLYPHS.glob("*.png")} == set(table.sheet)
    for sheet, rows in table.groupby("sheet"):
        image = Image.open(GLYPHS / sheet)
        assert image.mode in ("L", "P", "1") and image.size == (CELL * len(CHARACTERS), CELL * len(rows))
        assert sorted(rows.row) == list(range(len(rows)))
    for split, rows in table.groupby("split"):
        assert load_glyphs(split).shape == (len(rows), 62, 32, 32)


def test_glyphs_stand_in_the_order_of_the_table():
    table = font_table().query("split == 'held-out'").reset_index(drop=True)
    position = len(table) - 7
    row = table.iloc[position]
    sheet = np.asarray(Image.open(GLYPHS / row.sheet).convert("L"))
    letter = CHARACTERS.index("Q")
    cell = sheet[CELL * row.row : CELL * (row.row + 1), CELL * letter : CELL * (letter + 1)]
    assert np.array_equal(load_glyphs("held-out")[position, letter], cell)


def test_every_font_names_its_licence_and_the_card_names_every_licence():
    table = font_table()
    assert table.family.str.strip().all() and table.licence.str.strip().all()
    card = (GLYPHS / "README.md").read_text(encoding="utf-8")
    assert "fonts.csv" in card
    missing = sorted(name for name in set(table.licence) if name not in card)
    assert not missing


# What ships


def folders_of_data():
    return [DATA, *(path for path in sorted(DATA.rglob("*")) if path.is_dir())]


@pytest.mark.parametrize("folder", folders_of_data(), ids=lambda path: path.relative_to(DATA.parent).as_posix())
def test_every_folder_of_data_has_a_card(folder):
    """data/ and data/models/ hold only folders; those below say what they hold and where it came from."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if files:
        card = folder / "README.md"
        assert card.exists() and len(card.read_text(encoding="utf-8").split()) > 20


def test_data_stays_small():
    sizes = {path: path.stat().st_size for path in DATA.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 40e6


def test_the_severities_in_use_are_those_that_were_chosen():
    """On training digits, by the rule that make/severities.py states; outline is a stated exception."""
    import pandas as pd

    table = pd.read_csv(DATA / "baselines" / "severities.csv")
    chosen = table[table.chosen].set_index("shift").severity.to_dict()
    assert {name: SEVERITY[name] for name in chosen if name != "outline"} == {
        name: severity for name, severity in chosen.items() if name != "outline"
    }
    assert set(table["shift"]) == {*SEVERITY, "reference"} <= {*ABOUT, "reference"}


# Bad input


def test_an_unknown_benchmark_lists_the_known_ones():
    with pytest.raises(WiseftError, match="digits"):
        load_benchmark("digit")


def test_an_unknown_template_name_lists_the_known_ones():
    with pytest.raises(WiseftError, match="digits, .*openai-imagenet, simple"):
        load_templates("openai")


@pytest.mark.parametrize(
    ("class_names", "message"),
    [([], "empty"), (["cat", ""], "empty"), (["cat", "  "], "empty"), (["cat", "dog", "cat"], r"\['cat'\]")],
)
def test_class_names_that_are_empty_or_repeated_are_refused(benchmark, class_names, message):
    with pytest.raises(WiseftError, match=message):
        Benchmark("mine", class_names, ["a {}"], benchmark.train, benchmark.val, benchmark.reference, {})


def test_an_image_without_a_label_is_refused():
    with pytest.raises(WiseftError, match="3 images but 2 labels"):
        ImageSet(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(2, int))


# A folder of one's own

PARTS = ("train", "val", "reference", "shifts/night")


@pytest.fixture
def folder(tmp_path):
    """Three classes, and a shift that has two of them."""
    folder = tmp_path / "pets"
    for k, part in enumerate(PARTS):
        for label, name in enumerate(("cat", "dog", "owl")):
            if part == "shifts/night" and name == "cat":
                continue
            (folder / part / name).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (20, 30), (80 * label, 100 * i, k)).save(folder / part / name / f"{i}.png")
    about = {"class_names": ["cat", "dog", "owl"], "templates": ["a photo of a {}."]}
    (folder / "benchmark.json").write_text(json.dumps(about))
    return folder


def test_a_folder_of_images_is_a_benchmark(folder):
    mine = load_benchmark(folder)
    assert (mine.name, tuple(mine.class_names), list(mine.templates)) == (
        "pets",
        ("cat", "dog", "owl"),
        ["a photo of a {}."],
    )
    assert [label for _, label in mine.train] == [0, 0, 1, 1, 2, 2]
    assert list(mine.test_sets) == ["reference", "night"]
    assert load_benchmark(str(folder)).class_names == mine.class_names


def test_a_shift_that_lacks_classes_says_which_it_has(folder, clip):
    """Only those are told apart there."""
    mine = load_benchmark(folder)
    assert mine.shifts["night"].class_subset == (1, 2) and mine.reference.class_subset is None
    predictions = evaluate(zero_shot_classifier(clip, mine), mine.shifts["night"])
    assert predictions.labels.tolist() == [1, 1, 2, 2] and set(predictions.predicted.tolist()) <= {1, 2}


def test_it_reads_what_torchvision_reads(folder):
    ours, theirs = load_benchmark(folder).train, ImageFolder(folder / "train")
    assert [(path.as_posix(), label) for path, label in ours.files] == [
        (path.replace("\\", "/"), label) for path, label in theirs.samples
    ]


def test_without_templates_the_simple_one_is_used_and_a_name_is_looked_up(folder):
    for about, count in (({}, 1), ({"templates": "openai-imagenet"}, 80)):
        (folder / "benchmark.json").write_text(json.dumps({"class_names": ["cat", "dog", "owl"]} | about))
        assert len(load_benchmark(folder).templates) == count
    (folder / "benchmark.json").write_text(json.dumps({"class_names": ["cat", "dog", "owl"], "templates": "x"}))
    with pytest.raises(WiseftError, match="openai-imagenet"):
        load_benchmark(folder)


def test_a_folder_that_is_no_benchmark_says_what_it_lacks(tmp_path):
    with pytest.raises(WiseftError, match="it lacks train, and folders of images"):
        load_benchmark(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"class_names": null}', "\udcff"])
def test_a_damaged_description_is_refused_by_name(folder, text):
    (folder / "benchmark.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WiseftError, match=r"benchmark\.json"):
        load_benchmark(folder)


def test_class_names_of_a_folder_are_checked_too(folder):
    (folder / "benchmark.json").write_text(json.dumps({"class_names": ["cat", "dog", "owl", "cat"]}))
    with pytest.raises(WiseftError, match="more than once"):
        load_benchmark(folder)


def test_a_folder_that_is_no_class_is_named(folder):
    (folder / "val" / "dgo").mkdir()
    with pytest.raises(WiseftError, match="dgo"):
        load_benchmark(folder)


def test_a_part_without_images_is_named(folder):
    for path in (folder / "val").rglob("*.png"):
        path.unlink()
    with pytest.raises(WiseftError, match="val holds no images"):
        load_benchmark(folder)


def test_a_file_that_is_no_image_is_named(folder):
    (folder / "train" / "dog" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    with pytest.raises(WiseftError, match=r"0\.png is no readable image"):
        load_benchmark(folder).train[2]
