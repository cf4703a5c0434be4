"""Exercises check themselves: the reference passes, a stub goes on, wrong answers are told why.

And notebooks hold them as the package has them, in the copies for a class too.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from wiseft_nb import WiseftError, check
from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.make.exercises import BEGIN, END, SOLUTION, answer_of, class_copy, places_of, write_exercises
from wiseft_nb.paths import ROOT

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRONG = [
    pytest.param(key, answer, words, id=f"{key}-{answer.__name__}")
    for key, exercise in EXERCISES.items()
    for answer, words in exercise.wrong
]
keys = pytest.mark.parametrize("key", sorted(EXERCISES))
notebooks = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@keys
def test_the_reference_is_right(key):
    def answer(*arguments, **named):
        return EXERCISES[key].reference(*arguments, **named)

    assert check(key, answer) is answer


@keys
def test_a_stub_goes_on_with_the_reference(key, monkeypatch):
    def stub(*arguments, **named):
        raise NotImplementedError

    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    assert check(key, stub) is EXERCISES[key].reference
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="not attempted"):  # no points for nothing
        check(key, stub)


@pytest.mark.parametrize(("key", "answer", "words"), WRONG)
def test_a_wrong_answer_that_students_give_is_told_why(key, answer, words):
    with pytest.raises(AssertionError) as error:
        check(key, answer)
    assert words in str(error.value)
    assert len(str(error.value).split()) > 4


@keys
def test_an_answer_that_returns_nothing_is_told_so(key):
    """The commonest of all mistakes: a forgotten return."""
    with pytest.raises(AssertionError) as error:
        check(key, lambda *arguments, **named: None)
    assert "return" in str(error.value) or "None" in str(error.value)


@keys
def test_it_says_how_long_and_how_hard_it_is_and_knows_mistakes(key):
    exercise = EXERCISES[key]
    assert 1 <= exercise.difficulty <= 5 and 1 <= exercise.minutes <= 40
    assert exercise.hints and exercise.why and exercise.task
    assert len(exercise.wrong) >= 2 and len({answer for answer, _ in exercise.wrong}) == len(exercise.wrong)


def test_an_unknown_exercise_lists_the_known_ones():
    with pytest.raises(WiseftError, match=r"01\.1"):
        check("99.9", print)


@notebooks
def test_the_notebook_holds_its_exercises_as_the_package_has_them(path):
    """Otherwise ``python -m wiseft_nb.make.exercises`` was forgotten."""
    notebook = nbformat.read(path, as_version=4)
    assert write_exercises(notebook) == notebook


def test_each_exercise_stands_in_the_notebook_it_begins_with():
    places = {path.name[:2]: places_of(nbformat.read(path, as_version=4)) for path in PATHS}
    assert sorted(key for found in places.values() for key in found) == sorted(EXERCISES)
    assert all(key.startswith(number) for number, found in places.items() for key in found)


@pytest.mark.parametrize(
    "number", ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "A1"]
)
def test_each_notebook_of_the_course_has_two_to_four(number):
    assert 2 <= sum(key.startswith(number) for key in EXERCISES) <= 4


@notebooks
def test_copies_for_a_class(path):
    """The students' copy has no solution in it; the solved one has each, between nbgrader's marks."""
    notebook = nbformat.read(path, as_version=4)
    student, solved = class_copy(notebook, solved=False), class_copy(notebook, solved=True)
    for made in (student, solved):
        nbformat.validate(made)
        assert SOLUTION not in json.dumps(made)
        assert not any(cell.get("outputs") for cell in made.cells)
    here = [key for key in EXERCISES if key.startswith(path.name[:2])]
    graded = [cell.metadata.nbgrader for cell in student.cells if "nbgrader" in cell.metadata]
    assert len(graded) == 2 * len(here) and len({about.grade_id for about in graded}) == len(graded)
    assert sum(about.get("points", 0) for about in graded) == sum(EXERCISES[key].difficulty for key in here)
    text = "\n".join(cell.source for cell in solved.cells)
    assert text.count(BEGIN) == text.count(END) == len(here)
    assert all(answer_of(EXERCISES[key], marked=True) in text for key in here)


@keys
def test_a_solution_runs_with_what_its_notebook_imports(key):
    """As a student would who unfolds and copies it."""
    (path,) = (path for path in PATHS if path.name.startswith(key[:2]))
    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    names = {}
    for line in imports_of(code):
        exec(line, names)  # noqa: S102
    exec(answer_of(EXERCISES[key]), names)  # noqa: S102
    EXERCISES[key].test(names[EXERCISES[key].reference.__name__])


def imports_of(code):
    """The import statements of a notebook's code; lines for the shell are none of Python's."""
    plain = re.sub(r"^(\s*)[!%].*$", r"\1pass", code, flags=re.MULTILINE)
    return [ast.unparse(node) for node in ast.parse(plain).body if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_solved_copy_runs(tmp_path):
    """One of them, from top to bottom, graded."""
    path = next(path for path in PATHS if path.name.startswith("00"))
    target = Path(tmp_path) / path.name
    nbformat.write(class_copy(nbformat.read(path, as_version=4), solved=True), target)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(target)]
    done = subprocess.run(
        command,
        check=False,
        env=os.environ | {"NBGRADER_EXECUTION": "autograde"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
