"""Data flows one way: no room imports from one below it. And every public name says where it is explained."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wiseft_nb
from wiseft_nb.paths import ROOT

PACKAGE = Path(wiseft_nb.__file__).parent
# written once: each imports only from those before it
ROOMS = (
    "errors",
    "paths",
    "intervals",
    "metrics",
    "engine",
    "benchmarks",
    "models",
    "zero_shot",
    "weights",
    "recipes",
    "fine_tune",
    "interpolate",
    "evaluate",
    "compare",
    "classify",
    "robustness",
    "sweep",
    "detect",
    "analyse",
    "choose_alpha",
    "plots",
    "course",
    "__main__",
)
NUMBERS = ("errors", "paths", "intervals", "recipes", "robustness", "plots")  # tables and figures: no torch
NOTEBOOKS = (
    "00_start_here",
    "01_build_zero_shot",
    "02_fine_tune",
    "03_interpolate",
    "04_measure_robustness",
    "05_redraw_the_paper",
    "06_see_why_it_works",
    "07_compare_ensembles",
    "08_break_it",
    "09_choose_alpha",
    "10_go_beyond",
    "11_use_real_clip",
    "12_bring_your_own_model",
    "13_try_text",
    "14_try_detection",
    "A1_pretrain_tiny_clip",
    "A2_audit_the_tables",
)
PUBLIC = frozenset(  # written out: a name that others import is not lost by accident
    [
        "Baseline",
        "Benchmark",
        "ClassificationHead",
        "Clip",
        "Compute",
        "FineTuneConfig",
        "FineTuneDiverged",
        "ImageClassifier",
        "ImageSet",
        "Paired",
        "Predictions",
        "WiseftError",
        "accuracy_interval",
        "add_curve",
        "add_model",
        "check",
        "choose_alpha",
        "classify",
        "clear_cache",
        "effective_robustness",
        "evaluate",
        "export_to_onnx",
        "export_to_open_clip",
        "fine_tune",
        "fit_baseline",
        "fit_table",
        "import_classifier",
        "interpolate",
        "interpolate_into",
        "keep",
        "load_benchmark",
        "load_classifier",
        "load_clip",
        "load_standard_models",
        "load_templates",
        "mean_of_shifts",
        "own_model",
        "paired",
        "paired_table",
        "plot_curves",
        "plot_history",
        "plot_images",
        "plot_models",
        "plot_robustness",
        "published",
        "published_tables",
        "recipe_table",
        "relative_robustness",
        "robustness_explorer",
        "save_classifier",
        "save_figure",
        "show",
        "standard_by_testbed_rule",
        "start",
        "sweep",
        "wise_ft",
        "zero_shot_classifier",
        "zero_shot_head",
    ]
)
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(path):
    """First-level modules of the package that a file imports from, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write wiseft_nb.… in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("wiseft_nb.")}
    return found


def test_each_room_imports_only_from_rooms_above():
    wrong = {}
    for path in FILES:
        room = room_of(path)
        if room != "make":
            assert room in ROOMS, f"give {room} its place in ROOMS"
            wrong[path.relative_to(PACKAGE).as_posix()] = rooms_imported(path) - set(ROOMS[: ROOMS.index(room) + 1])
    assert not {name: rooms for name, rooms in wrong.items() if rooms}, "these come later, or are no rooms"


def test_nobody_imports_make_but_a1():
    """What makes the shipped files is not needed to use them."""
    files = [path for path in FILES if room_of(path) != "make"] + [PACKAGE / "__init__.py"]
    assert not [path.name for path in files if "make" in rooms_imported(path)]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        if not path.name.startswith("A1"):
            assert "import wiseft_nb.make" not in path.read_text(encoding="utf-8")
            assert "from wiseft_nb.make" not in path.read_text(encoding="utf-8")


def test_pretraining_reads_no_handwritten_digit():
    """Neither the script nor what it draws with imports a room that has some."""
    for name in ("make/pretrain.py", "benchmarks/digits/draw.py", "benchmarks/digits/glyphs.py"):
        text = (PACKAGE / name).read_text(encoding="utf-8")
        assert not re.search(r"digits\.digits|load_benchmark|mlxtend|load_digits|torchvision\.datasets", text)


@pytest.mark.parametrize(
    "line",
    [
        "import wiseft_nb",
        "from wiseft_nb import mean_of_shifts, plot_curves, published, fit_baseline, robustness_explorer",
        "from wiseft_nb import recipe_table, FineTuneConfig, accuracy_interval; recipe_table()",
        "import " + ", ".join(f"wiseft_nb.{room}" for room in NUMBERS),
    ],
)
def test_tables_and_figures_need_no_torch(line):
    """A table is there in a second or two; torch and open_clip take several."""
    unwanted = "{'torch', 'torchvision', 'open_clip', 'sklearn', 'timm'}"
    code = f"import sys; {line}; found = {unwanted} & set(sys.modules); sys.exit(', '.join(found) or 0)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not run.returncode, run.stderr


def test_no_public_name_is_lost():
    assert PUBLIC <= set(wiseft_nb.__all__)
    assert sorted(wiseft_nb.__all__) == wiseft_nb.__all__ and len(set(wiseft_nb.__all__)) == len(wiseft_nb.__all__)


def test_every_public_name_ends_with_the_notebook_that_explains_it():
    existing = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} | set(NOTEBOOKS)
    for name in wiseft_nb.__all__:
        doc = inspect.cleandoc(getattr(wiseft_nb, name).__doc__ or "")
        found = re.search(r"Explained in notebooks? (\w+?)(?: and (\w+?))?\.$", doc)
        assert found, f"{name} should end with 'Explained in notebook NN_name.'"
        assert set(filter(None, found.groups())) <= existing, name


def test_each_module_can_be_read_in_one_sitting():
    """About 200 lines, one idea; 270 is the most."""
    long = [path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 270]
    assert not long


def test_each_module_says_what_it_is_for():
    texts = {path: path.read_text(encoding="utf-8") for path in FILES}
    assert not [path.name for path, text in texts.items() if text and not ast.get_docstring(ast.parse(text))]
