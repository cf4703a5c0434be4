"""The students' bundle runs where it is unpacked, by itself, and gives no solution away."""

import os
import subprocess
import sys
import zipfile

import nbformat
import pytest
from packaging.requirements import Requirement
from test_environment import declared, pins

from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.errors import WiseftError
from wiseft_nb.make import handout
from wiseft_nb.make.exercises import source_of
from wiseft_nb.make.handout import CPU, requirements, start_text, wheel_command, write_handout
from wiseft_nb.paths import ROOT


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with zipfile.ZipFile(write_handout(folder / "handout.zip")) as bundle:
        bundle.extractall(folder)
    return folder / "wiseft-nb"


def test_it_holds_what_a_student_needs_and_nothing_else(unpacked):
    names = {path.name for path in unpacked.iterdir()}
    needed = {"START.txt", "README.md", "LICENSE", "pyproject.toml", "setup.py", "constraints.txt"}
    assert names == needed | {"CITATION.cff", "notebooks", "data", "wiseft_nb", "docs"}
    ours = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert sorted(path.name for path in (unpacked / "notebooks").iterdir()) == ours
    assert not [path for path in unpacked.rglob("*") if path.suffix in (".pyc", ".tmp") or path.name.startswith(".")]


def test_no_notebook_in_it_holds_a_solution_or_an_output(unpacked):
    texts = [path.read_text(encoding="utf-8") for path in (unpacked / "notebooks").glob("*.ipynb")]
    assert texts and not [text for text in texts if "Reference solution" in text]
    cells = [cell for text in texts for cell in nbformat.reads(text, as_version=4).cells]
    assert not [cell for cell in cells if cell.get("outputs")]
    stubs = [cell.source for cell in cells if "exercise" in cell.metadata.get("tags", ())]
    assert len(stubs) == len(EXERCISES) and all(stub.endswith("raise NotImplementedError") for stub in stubs)
    sources = "\n".join(cell.source for cell in cells)
    assert not [key for key, exercise in EXERCISES.items() if source_of(exercise)[1] in sources]


def test_the_first_notebook_runs_there_with_the_package_that_was_unpacked(unpacked):
    path = unpacked / "notebooks" / "00_start_here.ipynb"
    notebook = nbformat.read(path, as_version=4)
    where = f"import wiseft_nb; assert wiseft_nb.__file__.startswith({str(unpacked)!r}), wiseft_nb.__file__"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(where))
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done", path.name]
    environment = os.environ | {"PYTHONPATH": str(unpacked), "WISEFT_NB_MODE": "quick"}
    done = subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_packages_for_a_lab_without_a_network_are_all_that_notebooks_need(tmp_path):
    """The command is looked at, not run: PyTorch alone is 200 MB."""
    command = wheel_command(tmp_path)
    assert command[1:6] == ["-m", "pip", "wheel", "--wheel-dir", str(tmp_path)]
    assert command[command.index("-c") + 1] == str(ROOT / "constraints.txt") and CPU in command
    listed = requirements("course")
    assert command[-len(listed) :] == listed and "setuptools>=77" in listed
    assert set(declared("course").values()) <= set(map(Requirement, listed))
    assert not [line for line in listed if line.startswith("wiseft-nb")]
    assert {"torch", "peft", "onnx"} <= set(pins())


def test_the_bundle_says_how_to_install_with_and_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "packed", lambda: ["LICENSE"])
    monkeypatch.setattr(handout, "NOTEBOOKS", tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a-1-py3-none-any.whl").write_bytes(b"a wheel")
    with zipfile.ZipFile(write_handout(tmp_path / "handout.zip", tmp_path / "wheels")) as bundle:
        assert bundle.read("wiseft-nb/wheels/a-1-py3-none-any.whl") == b"a wheel"
        assert "pip install --no-index --find-links wheels -e" in bundle.read("wiseft-nb/START.txt").decode()
    assert "-c constraints.txt" in start_text(wheels=False) and "wheels" not in start_text(wheels=False)


def test_outside_a_clone_it_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "ROOT", tmp_path)
    with pytest.raises(WiseftError, match="in a clone"):
        handout.packed()
