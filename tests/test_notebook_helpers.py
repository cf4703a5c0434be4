"""start, show, keep, and what executes and cleans notebooks."""

import copy
import dataclasses
import io
import math
import random
import warnings

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from torchvision.transforms import Compose

from wiseft_nb import FineTuneConfig, ImageSet, WiseftError, keep, show, start
from wiseft_nb.benchmarks.own.folder import ImageFiles
from wiseft_nb.course import notebook
from wiseft_nb.course.notebook import as_written
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.make.tutorial import clean, execute


@pytest.fixture
def settings_restored(monkeypatch):
    """start() changes settings of the whole process; the other tests keep theirs."""
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()
    printing, style = np.get_printoptions(), dict(plt.rcParams)
    yield monkeypatch
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])
    np.set_printoptions(**printing)
    torch.set_printoptions(profile="default")
    torch.use_deterministic_algorithms(False)
    pd.reset_option("display.float_format")
    plt.rcParams.update(style)


def test_start_makes_draws_repeat(settings_restored):
    def draws():
        start("03", seed=5)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draws() == draws()


@pytest.mark.parametrize(("mode", "count"), [("quick", 5), ("default", 11), ("full", 21)])
def test_the_mode_decides_how_fine_a_sweep_is(settings_restored, mode, count):
    settings_restored.setenv("WISEFT_NB_MODE", mode)
    run = start("03")
    assert len(run.alphas) == count and {0, 0.5, 1} <= set(run.alphas)
    assert (run.mode, run.notebook, run.seed) == (mode, "03", 0)
    assert f"{mode} mode" in repr(run) and torch.__version__.split("+")[0] in repr(run)


def test_without_a_mode_it_is_the_default(settings_restored):
    settings_restored.delenv("WISEFT_NB_MODE", raising=False)
    assert start("03").mode == "default"


def test_an_unknown_mode_lists_the_known_ones(settings_restored):
    settings_restored.setenv("WISEFT_NB_MODE", "fast")
    with pytest.raises(WiseftError, match="default, full, quick"):
        start("03")


def test_show_displays_once_with_alternative_text_and_closes(monkeypatch):
    shown, (fig, ax) = [], plt.subplots()
    ax.axvspan(0, 1, color="red")
    monkeypatch.setattr(notebook, "display", lambda *things, **keywords: shown.append((things, keywords)))
    show(fig, alt="a rising line with five points")
    (((image,), keywords),) = shown
    assert keywords == {"metadata": {"image/png": {"alt": "a rising line with five points"}}}
    picture = Image.open(io.BytesIO(image.data)).convert("RGB")
    assert picture.width > 300 and picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (255, 0, 0)
    assert not plt.fignum_exists(fig.number)  # or the inline backend would draw it again, without the text


def test_show_refuses_a_text_that_says_nothing():
    with pytest.raises(WiseftError, match="too short"):
        show(plt.figure(), alt="Figure 1")
    plt.close("all")


@pytest.fixture
def kept(monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "BUILD", tmp_path)
    return tmp_path / "kept"


class Maker:
    """Counts how often something had to be made."""

    def __init__(self, thing):
        self.thing, self.calls = thing, 0

    def __call__(self):
        self.calls += 1
        return self.thing


def some_table():
    generator = np.random.default_rng(0)
    alphas = [i / 10 for i in range(11)] * 20
    return pd.DataFrame({"alpha": alphas, "accuracy": generator.random(220), "dataset": "mnist", "n": 1000})


def test_a_table_is_made_once_and_comes_back_bit_for_bit(kept):
    """Also alpha 0.3: a cell that looks for it must find it the second time too."""
    make = Maker(some_table())
    first, second = (keep("table", (1,), make) for _ in range(2))
    assert make.calls == 1
    pd.testing.assert_frame_equal(first, second, check_exact=True)


TABLES = {
    "an index of texts": pd.DataFrame({"accuracy": [0.1, 0.2]}, index=pd.Index(["a", "b"], name="model")),
    "an index of numbers": pd.DataFrame({"accuracy": [0.1, 0.2]}, index=[5, 3]),
    "empty texts and missing ones": pd.DataFrame({"tag": ["", "openai", None], "n": [1.0, math.nan, 2.0]}),
    "texts that look like others": pd.DataFrame({"tag": ["NA", "007", "True", "1e3"]}),
    "many kinds": pd.DataFrame(
        {"a": [True, False], "b": [1, 2], "c": np.float32([0.1, 0.2]), "d": [0.1 + 0.2, 1e-300]}
    ),
    "columns that are numbers": pd.DataFrame([[1, 2], [3, 4]]),
    "a name above the columns": pd.DataFrame({"m": [1], "n": [2]}).rename_axis(columns="dataset"),
    "no rows": pd.DataFrame({"a": [1.5], "b": ["x"]})[:0],
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_the_same_in_the_first_run_and_in_the_next(kept, kind):
    make = Maker(TABLES[kind])
    first, second = (keep("table", (kind,), make) for _ in range(2))
    assert make.calls == 1
    pd.testing.assert_frame_equal(first, second, check_exact=True, check_index_type=True)
    pd.testing.assert_frame_equal(first, TABLES[kind], check_exact=True)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])}),
        pd.DataFrame({"thing": [object()]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)])),
        pd.DataFrame({"pair": [(1, 2)]}),
    ],
    ids=["times", "objects", "a column twice", "an index of several levels", "tuples"],
)
def test_a_table_that_would_come_back_as_another_is_refused(kept, table):
    with pytest.raises(WiseftError, match="cannot be kept as it is .*numbers and texts"):
        keep("table", (), lambda: table)
    assert not kept.exists()


def upside_down(image):
    return image.rotate(180)


def test_a_classifier_with_parts_of_its_own_is_kept_like_the_one_in_the_key(kept, zero_shot, fine_tuned):
    """Its transforms stand in no file; those of the classifier it was trained from are the same."""

    def own(classifier):
        copied = copy.deepcopy(classifier)
        copied.preprocess = copied.augment = Compose([upside_down, classifier.preprocess])
        return copied

    make = Maker(own(fine_tuned))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (keep("own", (own(zero_shot), 1), make) for _ in range(2))
    assert make.calls == 1 and repr(first.preprocess) == repr(second.preprocess) == repr(make.thing.preprocess)
    assert all(torch.equal(t, second.state_dict()[name]) for name, t in make.thing.state_dict().items())
    for calls in (2, 3):  # with nothing in the key that has them, every run says so
        with pytest.warns(
            UserWarning, match="'own' cannot be kept and is made again by every run: .*like=.*in the key"
        ):
            keep("own", (2,), make)
        assert make.calls == calls


def test_another_version_is_made_anew(kept, monkeypatch):
    make = Maker(some_table())
    keep("table", (), make)
    monkeypatch.setattr(notebook, "versions", lambda: {"torch": "99"})
    keep("table", (), make)
    assert make.calls == 2


def test_a_classifier_is_made_once_and_comes_back_bit_for_bit(kept, fine_tuned):
    make = Maker(fine_tuned)
    first, second = (keep("model", (fine_tuned,), make) for _ in range(2))
    assert make.calls == 1 and second.history == first.history
    assert all(torch.equal(t, second.state_dict()[name]) for name, t in first.state_dict().items())


def test_another_key_or_name_is_made_anew(kept):
    make = Maker(some_table())
    for name, key in (("a", (1,)), ("a", (2,)), ("b", (1,))):
        keep(name, key, make)
    assert make.calls == 3


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00"])
def test_a_damaged_table_is_made_anew(kept, content):
    make = Maker(some_table())
    keep("table", (1,), make)
    (path,) = kept.glob("*.table")
    path.write_bytes(content)
    assert len(keep("table", (1,), make)) == 220 and make.calls == 2
    assert len(keep("table", (1,), make)) == 220 and make.calls == 2


def test_a_damaged_classifier_is_made_anew(kept, fine_tuned):
    make = Maker(fine_tuned)
    keep("model", (1,), make)
    (weights,) = kept.rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    keep("model", (1,), make)
    assert make.calls == 2
    keep("model", (1,), make)
    assert make.calls == 2


def test_an_interrupted_making_leaves_nothing(kept):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep("table", (1,), interrupted)
    make = Maker(some_table())
    keep("table", (1,), make)
    assert make.calls == 1


def changed_head(classifier):
    other = copy.deepcopy(classifier)
    with torch.no_grad():
        other.classification_head.bias[3] += 1e-6
    return other


def changed_pixel(images):
    other = ImageSet(images.images.copy(), images.labels)
    other.images[50, 3, 3, 0] ^= 1
    return other


def test_a_key_changes_with_the_content_of_any_part(zero_shot, tiny):
    config = FineTuneConfig()
    variants = [
        (zero_shot, tiny, config),
        (changed_head(zero_shot), tiny, config),
        (zero_shot, tiny, dataclasses.replace(config, seed=1)),
        (zero_shot, dataclasses.replace(tiny, train=changed_pixel(tiny.train)), config),
        (zero_shot, dataclasses.replace(tiny, templates=("the {}",)), config),
        (zero_shot, dataclasses.replace(tiny, shifts=tiny.shifts | {"pose": changed_pixel(tiny.train)}), config),
        (
            zero_shot,
            dataclasses.replace(tiny, shifts={f"my {k}": v for k, v in tiny.shifts.items()}, groups={}),
            config,
        ),
        (zero_shot, tiny, config, (0.0, 0.5)),
        (zero_shot, tiny, config, (0.0, 0.6)),
        (zero_shot, tiny, config, torch.zeros(3)),
        (zero_shot, tiny, config, torch.ones(3)),
        (zero_shot, tiny, config, pd.DataFrame({"a": [1]})),
        (zero_shot, tiny, config, pd.DataFrame({"a": [2]})),
    ]
    marks = [fingerprint(*parts) for parts in variants]
    assert len(set(marks)) == len(marks), [marks.index(mark) for mark in marks]
    assert fingerprint(*variants[0]) == fingerprint(copy.deepcopy(zero_shot), tiny, FineTuneConfig())


def test_a_key_changes_with_an_image_file(tmp_path):
    (tmp_path / "cat").mkdir()
    path = tmp_path / "cat" / "1.png"
    marks = set()
    for colour in (0, 255):
        Image.new("RGB", (8, 8), (colour,) * 3).save(path)
        marks.add(fingerprint(ImageFiles(tmp_path, ["cat"])))
    assert len(marks) == 2


def small_notebook(*sources):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def test_execute_runs_a_fresh_kernel_and_counts_from_one(tmp_path):
    path = tmp_path / "x.ipynb"
    nbformat.write(small_notebook("a = 20 + 1", "2 * a"), path)
    ran = execute(path)
    assert [cell.execution_count for cell in ran.cells] == [1, 2]
    assert ran.cells[1].outputs[0].data["text/plain"] == "42"


def test_clean_drops_progress_bars_timings_and_editors_notes_alone():
    book = small_notebook("x", "y")
    book.metadata.widgets = {"state": {}}
    book.cells[0].metadata = nbformat.from_dict({"tags": ["parameters"], "execution": {"started": "now"}})
    book.cells[1].outputs = [
        new_output("stream", name="stderr", text="50%|##"),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bar"}),
        new_output("stream", name="stdout", text="kept"),
        new_output("display_data", {"image/png": "AA=="}, metadata={"image/png": {"alt": "a figure"}}),
    ]
    cleaned = clean(book)
    assert "widgets" not in cleaned.metadata and cleaned.metadata.kernelspec.name == "python3"
    assert cleaned.cells[0].metadata == {"tags": ["parameters"]}
    assert [output.get("text", "figure") for output in cleaned.cells[1].outputs] == ["kept", "figure"]
    assert cleaned.cells[1].outputs[1].metadata["image/png"]["alt"] == "a figure"


@pytest.mark.parametrize(
    ("number", "text"),
    [(88.4, "88.4"), (64.0, "64"), (100.0, "100"), (0.413, "0.413"), (0.0, "0"), (4.1e-12, "4.1e-12")],
)
def test_tables_show_numbers_as_people_write_them_and_no_small_p_as_nought(number, text):
    assert as_written(number) == text
