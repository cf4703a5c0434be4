"""The teacher's guide agrees with the notebooks: minutes, sections, exercises, and the wrong answers that checks know."""

import re
from itertools import pairwise

import nbformat
import pytest
from test_rooms import NOTEBOOKS

from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.make.course_costs import TEACHING
from wiseft_nb.paths import ROOT

GUIDE = TEACHING.read_text(encoding="utf-8")
FLAT = " ".join(GUIDE.split())
CELLS = {path.stem[:2]: nbformat.read(path, as_version=4).cells for path in (ROOT / "notebooks").glob("*.ipynb")}
ROWS = {row[1]: row[0] for row in re.finditer(r"^\| \[(\w\d)\]\(.*\|$", GUIDE, re.MULTILINE)}
ITEMS = dict(re.findall(r"^- ([\dA]\d\.\d): (.*?)(?=\n- |\n\n)", GUIDE, re.MULTILINE | re.DOTALL))


def minutes(number):
    return sum(exercise.minutes for key, exercise in EXERCISES.items() if key.startswith(number))


def test_every_notebook_has_its_section_and_its_row():
    sections = re.findall(r"^### ([\dAR]\d) ", GUIDE, re.MULTILINE)
    assert sections == sorted(set(CELLS) | {stem[:2] for stem in NOTEBOOKS})
    assert sorted(ROWS) == sorted(CELLS)


@pytest.mark.parametrize("number", sorted(CELLS))
def test_times_points_and_needs_are_the_notebooks_own(number):
    head = CELLS[number][0].source
    _, read, exercises, points, run, needs = (part.strip() for part in ROWS[number][1:-1].split("|"))
    assert f"{read} read" in head and f"{run} run" in head
    assert exercises == (f"{minutes(number)} min" if minutes(number) else "none")
    assert int(points) == sum(e.difficulty for key, e in EXERCISES.items() if key.startswith(number))
    stated = set(re.findall(r"\]\((\w\d)_", re.search(r"\*\*You need\*\* (.*)", head)[1]))
    assert stated == set(re.findall(r"\b\w\d\b", needs.partition(";")[0]))


def test_sections_that_are_named_exist():
    named = re.findall(r'\b([\dAR]\d) "([^"]+)"', FLAT)
    headings = {
        n: re.findall(r"^#+ (.+)$", "\n".join(c.source for c in cells), re.MULTILINE) for n, cells in CELLS.items()
    }
    assert len(named) > 40
    assert not [(number, name) for number, name in named if name not in headings[number]]


def test_each_exercise_has_its_wrong_answers_in_the_words_of_its_check():
    assert sorted(ITEMS) == sorted(EXERCISES)
    for key, text in ITEMS.items():
        quoted = re.findall(r'\("(.*?)"\)', " ".join(text.split()))
        said = [words for part in quoted for words in part.split('", "')]
        assert said, key
        assert not [words for words in said if words not in {w for _, w in EXERCISES[key].wrong}], key


def test_the_paths_add_up():
    hour = [tuple(map(int, pair)) for pair in re.findall(r"^\| (\d+) to (\d+) \|", GUIDE, re.MULTILINE)]
    assert hour[0][0] == 0 and hour[-1][1] == 60 and all(a[1] == b[0] for a, b in pairwise(hour))
    rows = re.findall(r"^\| (\d+) \| (0\d) \| ([\d.]+) \|", GUIDE, re.MULTILINE)
    read = {number: int(re.search(r"\*\*Time\*\* (\d+) min read", CELLS[number][0].source)[1]) for _, number, _ in rows}
    assert all(int(total) == read[number] + EXERCISES[key].minutes for total, number, key in rows)
    exercises = sum(EXERCISES[key].minutes for _, _, key in rows)
    assert f"{sum(read.values())} minutes to read and run, {exercises} of exercises" in FLAT
    days = re.findall(r"^\| (\d+) \| ([\dA, ]+|10, then 12 or 11) \| [a-z]", GUIDE, re.MULTILINE)
    assert [int(day) for day, _ in days] == list(range(1, 11))
    assert {f"{n:02}" for n in range(13)} <= set(re.findall(r"[\dA]\d", " ".join(numbers for _, numbers in days)))


def shown_in(cells):
    """What a notebook says and printed."""
    for cell in cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))


@pytest.mark.parametrize("number", sorted(CELLS))
def test_every_number_of_a_section_stands_in_its_notebook(number):
    section = re.search(rf"^### {number} .*?(?=^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL)[0]
    said = re.sub(r"^- .*?(?=\n- |\n\n|\Z)", "", section, flags=re.MULTILINE | re.DOTALL)  # wrong answers aside
    shown = "\n".join(shown_in(CELLS[number]))
    numbers = {found.removesuffix(".0") for found in re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)", said)}
    assert not [n for n in numbers if not re.search(rf"(?<![\d.]){re.escape(n)}(?!\d)", shown)]
