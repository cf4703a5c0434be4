"""Write exercises into notebooks, and copies of notebooks for a class.

    python -m wiseft_nb.make.exercises            # text, stub and folded solution, in the notebooks themselves
    python -m wiseft_nb.make.exercises student    # copies without solutions and outputs: build/student
    python -m wiseft_nb.make.exercises solved     # copies with the solutions filled in: build/solved

``wiseft_nb/course/exercises`` is the one source. The copies carry nbgrader's cell metadata; in the solved ones
its marks stand around each solution, so ``nbgrader generate_assignment`` strips them again.
"""

import argparse
import ast
import copy
import inspect
import re
import textwrap
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.course.exercises.exercise import Exercise
from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import BUILD, ROOT

NOTEBOOKS = ROOT / "notebooks"
SOLUTION = "<details><summary>Reference solution</summary>"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def text_of(key: str, exercise: Exercise) -> str:
    """What is asked, and the folded hints."""
    hints = [
        f"<details><summary>Hint {number}</summary>\n\n{hint}\n\n</details>"
        for number, hint in enumerate(exercise.hints, start=1)
    ]
    about = f"*{exercise.minutes} minutes, difficulty {exercise.difficulty} of 5.* {exercise.task}"
    return "\n\n".join([f"## Exercise {key}: {exercise.title}", about, *hints])


def source_of(exercise: Exercise) -> tuple[str, str]:
    """The head of the reference, up to its docstring, and the body below it."""
    source = textwrap.dedent(inspect.getsource(exercise.reference))
    (function,) = ast.parse(source).body
    if not isinstance(function, ast.FunctionDef) or ast.get_docstring(function) is None:
        raise WiseftError(f"the reference of {exercise.title!r} is no function with a docstring: write it as one")
    lines = source.splitlines()
    after = function.body[0].end_lineno
    return "\n".join(lines[:after]), "\n".join(lines[after:]).strip("\n")


def stub_of(exercise: Exercise) -> str:
    """Signature and docstring, to be filled in."""
    return f"{source_of(exercise)[0]}\n    raise NotImplementedError"


def answer_of(exercise: Exercise, marked: bool = False) -> str:
    """The whole function; ``marked`` with nbgrader's marks around its body."""
    head, body = source_of(exercise)
    return "\n".join([head, f"    {BEGIN}", body, f"    {END}"] if marked else [head, body])


def solution_of(exercise: Exercise) -> str:
    """The folded solution: the function without its docstring, and why."""
    head, body = source_of(exercise)
    (function,) = ast.parse(head).body
    signature = "\n".join(head.splitlines()[: function.body[0].lineno - 1])
    return f"{SOLUTION}\n\n```python\n{signature}\n{body}\n```\n\n{exercise.why}\n</details>"


def places_of(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """For each exercise of a notebook its four cells: text, stub, check, solution."""
    found = {}
    for i, cell in enumerate(notebook.cells):
        heading = re.match(r"## Exercise ([\w.]+)", cell.source)
        if cell.cell_type == "markdown" and heading:
            found[heading[1]] = notebook.cells[i : i + 4]
    for key, cells in found.items():
        kinds = [cell.cell_type for cell in cells]
        if (
            key not in EXERCISES
            or kinds != ["markdown", "code", "code", "markdown"]
            or f'check("{key}"' not in cells[2].source
            or not cells[3].source.startswith(SOLUTION)
        ):
            raise WiseftError(
                f"exercise {key} needs four cells in a row, text, stub, check and folded solution, and an entry in "
                "wiseft_nb/course/exercises: write both"
            )
    return found


def write_exercises(notebook: NotebookNode) -> NotebookNode:
    """The notebook with text, stub and solution of its exercises as they are in the package."""
    notebook = copy.deepcopy(notebook)
    for key, (text, stub, _, solution) in places_of(notebook).items():
        exercise = EXERCISES[key]
        text.source, stub.source, solution.source = text_of(key, exercise), stub_of(exercise), solution_of(exercise)
        stub.metadata["tags"] = ["exercise"]
    return notebook


def class_copy(notebook: NotebookNode, solved: bool) -> NotebookNode:
    """A copy without outputs for a class: without solutions, or with the solutions filled in."""
    notebook = write_exercises(notebook)
    for key, (_, stub, checked, solution) in places_of(notebook).items():
        name = f"exercise-{key.replace('.', '-')}"
        stub.metadata["nbgrader"] = graded(f"{name}-answer", solution=True)
        checked.metadata["nbgrader"] = graded(f"{name}-check", grade=True, points=EXERCISES[key].difficulty)
        if solved:
            stub.source = answer_of(EXERCISES[key], marked=True)
        notebook.cells.remove(solution)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def graded(name: str, grade: bool = False, solution: bool = False, points: int | None = None) -> dict:
    """What nbgrader wants to know of a cell (its schema 3)."""
    about = {"grade": grade, "grade_id": name, "locked": grade, "schema_version": 3, "solution": solution}
    return about | {"task": False} | ({"points": points} if points else {})


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=["notebooks", "student", "solved"], default="notebooks")
    what = parser.parse_args().what
    folder = NOTEBOOKS if what == "notebooks" else BUILD / what
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        write_one(path, folder / path.name, what)
    print(f"{folder.relative_to(ROOT)}: written")


def write_one(path: Path, target: Path, what: str) -> None:
    """One notebook, or its copy."""
    notebook = nbformat.read(path, as_version=4)
    made = write_exercises(notebook) if what == "notebooks" else class_copy(notebook, solved=what == "solved")
    if made != notebook or path != target:
        nbformat.write(made, target)


if __name__ == "__main__":
    main()
