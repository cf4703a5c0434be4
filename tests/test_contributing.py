"""What CONTRIBUTING, CHANGELOG and TEACHING name is there: files, commands, functions, notebooks, exercises."""

import re
from importlib import import_module

import pytest
from test_environment import PROJECT, make_targets
from test_rooms import NOTEBOOKS

import wiseft_nb
from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.paths import ROOT

TEXTS = ["CONTRIBUTING.md", "CHANGELOG.md", "notebooks/TEACHING.md"]
TEXTS = [name for name in TEXTS if (ROOT / name).exists()]
TOP = ("wiseft_nb", "notebooks", "data", "docs", "tests", r"\.devcontainer", r"\.binder", r"\.github", r"\.ci")
texts = pytest.mark.parametrize("name", TEXTS)


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def code(name):
    """What stands in backticks, in a line or a block."""
    return re.findall(r"`([^`]+)`", text(name).replace("```", "`"))


@texts
def test_paths_exist(name):
    named = {path for line in code(name) for path in re.findall(rf"(?<![\w/.])(?:{'|'.join(TOP)})/[\w./-]*\w", line)}
    missing = {path for path in named if "NN" not in path and "NAME" not in path and not (ROOT / path).exists()}
    assert not missing - {f"notebooks/{stem}.ipynb" for stem in NOTEBOOKS}
    links = {target for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text(name)) if "://" not in target}
    assert not {target for target in links if not ((ROOT / name).parent / target).exists()}


@texts
def test_commands_exist(name):
    lines = "\n".join(code(name))
    assert set(re.findall(r"\bmake ([a-z]+)\b", lines)) <= make_targets()
    for module in re.findall(r"-m (wiseft_nb[\w.]*)", lines):
        assert (ROOT.joinpath(*module.split("."))).with_suffix(".py").exists(), module
    extras = {part for found in re.findall(r"\.\[([\w,]+)\]", lines) for part in found.split(",")}
    assert extras <= set(PROJECT["optional-dependencies"])


@texts
def test_names_of_the_package_exist(name):
    """Calls and dotted names; a word alone may be anything."""
    for line in code(name):
        for called in re.findall(r"^([a-z_]+)\(", line):
            known = hasattr(wiseft_nb, called) or called in {"test", "eval", "train"}
            assert known, f"{called} in {name}"
        if dotted := re.fullmatch(r"(wiseft_nb(?:\.\w+)+)", line):
            import_module(dotted[1])


@texts
def test_notebooks_and_exercises_exist(name):
    stems = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} | set(NOTEBOOKS)
    assert set(re.findall(r"\b((?:\d\d|[AR]\d)_[a-z_]+)\b", text(name))) <= stems
    assert set(re.findall(r"\bexercises? ([\dA]\d\.\d)", text(name), re.IGNORECASE)) <= set(EXERCISES)


def test_the_steps_of_contributing_name_what_is_in_those_files():
    for path, name in {
        "tests/test_rooms.py": "ROOMS = (",
        "tests/test_rooms.py ": "NUMBERS = (",
        "tests/test_rooms.py  ": "NOTEBOOKS = (",
        "wiseft_nb/make/exercises.py": "SOLUTION = ",
        "wiseft_nb/make/beyond_methods.py": "METHODS: ",
        "wiseft_nb/benchmarks/__init__.py": "BENCHMARKS",
        "wiseft_nb/benchmarks/base.py": "class Benchmark",
        "wiseft_nb/benchmarks/parts.py": "class Part",
    }.items():
        assert name in text(path.strip()) and name.strip(" =(:").removeprefix("class ") in text("CONTRIBUTING.md")


def test_the_changelog_has_the_version_that_is_not_released_yet():
    headings = re.findall(r"^## \[(.+?)\](.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0][0] == "Unreleased" and PROJECT["version"] in headings[0][1]
    kinds = set(re.findall(r"^### (\w+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
