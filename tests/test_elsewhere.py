"""The course can be started elsewhere: what other machines are told agrees with pyproject.toml and the Makefile."""

import json
import os
import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from test_environment import PROJECT, make_targets

from wiseft_nb.make.handout import CPU
from wiseft_nb.make.lab import SETTINGS
from wiseft_nb.paths import ROOT

PYTHON = "3.11"  # the one that constraints.txt was tried with


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def install_lines(name):
    return re.findall(r"pip install (.*)", text(name))


def test_all_start_the_python_that_the_tests_ran_with():
    assert f"{PYTHON}.99" in SpecifierSet(PROJECT["requires-python"]) and f"Python {PYTHON};" in text("constraints.txt")
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["image"].endswith(f":{PYTHON}")
    assert text(".binder/runtime.txt").strip() == f"python-{PYTHON}"
    steps = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]["tests"]["steps"]
    assert [s["with"]["python-version"] for s in steps if "setup-python" in s.get("uses", "")] == [PYTHON]


@pytest.mark.parametrize(
    "name", [".devcontainer/devcontainer.json", ".binder/postBuild", ".github/workflows/ci.yml", "README.md"]
)
def test_extras_exist_and_pytorch_is_the_small_build(name):
    extras = re.findall(r"\.\[([\w,]+)\]", "\n".join(install_lines(name)))
    assert extras and {part for found in extras for part in found.split(",")} <= set(PROJECT["optional-dependencies"])
    assert CPU in text(name)


def test_binder_and_the_container_pin_what_was_tested():
    for name in (".devcontainer/devcontainer.json", ".binder/postBuild", ".github/workflows/ci.yml"):
        assert all("-c constraints.txt" in line for line in install_lines(name))
    assert sys.platform == "win32" or os.access(ROOT / ".binder" / "postBuild", os.X_OK)


def test_binder_asks_nothing_either(tmp_path, monkeypatch):
    """What its script says in Python is run, in another environment."""
    script = re.search(r"<<'END'\n(.*)\nEND", text(".binder/postBuild"), re.DOTALL)[1]
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    exec(script, {})  # noqa: S102
    overrides = json.loads((tmp_path / "share/jupyter/lab/settings/overrides.json").read_text(encoding="utf-8"))
    assert overrides == SETTINGS


def test_the_extra_for_the_course_is_part_of_the_one_for_tests():
    """So that a container can run what students run."""
    (course,) = (Requirement(line) for line in PROJECT["optional-dependencies"]["course"])
    assert course.extras < set(PROJECT["optional-dependencies"])
    assert any("course" in Requirement(line).extras for line in PROJECT["optional-dependencies"]["test"])


def test_three_systems_run_what_ci_run_runs():
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    job = workflow["jobs"]["tests"]
    assert {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos", "windows"}
    ran = [step["run"].removeprefix("python ") for step in job["steps"] if "run" in step]
    makefile = text("Makefile")
    wanted = [target for target in re.findall(r"^make (\w+)$", text(".ci/run"), re.MULTILINE)]
    assert wanted and set(wanted) <= make_targets()
    needed = re.findall(rf"^(?:{'|'.join(wanted)}): (.*?)(?:  ##.*)?$", makefile, re.MULTILINE)
    for target in {*wanted, *" ".join(needed).split()}:
        recipe = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1].replace("\t-", "")
        commands = [part.strip() for part in re.split(r"\$\(PY\)|&&|\n", recipe) if part.strip().startswith("-m")]
        assert commands and set(commands) <= set(ran), f"ci.yml leaves out what make {target} runs"


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem)
def test_issue_forms_are_forms(path):
    """What GitHub asks of them: a name, a description, a body whose fields have ids and labels."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        return
    assert form["name"] and form["description"] and form["body"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in form["body"])
    assert {field["type"] for field in form["body"]} <= {"input", "textarea", "dropdown"}
    assert any(field.get("validations", {}).get("required") for field in form["body"])
    named = set(re.findall(r"notebooks/(\w+\.ipynb)", path.read_text(encoding="utf-8")))
    assert all((ROOT / "notebooks" / name).exists() for name in named)
