"""Every notebook is read here, not run: opening, order, outputs, alternative text, links, exercises."""

import json
import re

import nbformat
import pytest

from wiseft_nb.course.exercises import EXERCISES
from wiseft_nb.paths import ROOT

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAGS = {
    "parameters",
    "nbval-check-output",
    "nbval-ignore-output",
    "nbval-skip",
    "skip-execution",
    "raises-exception",
    "hide-input",
    "exercise",
    "hint",
}
OPENING = ("**You will**", "**You will learn to**", "**You need**", "**Time**")

notebooks = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path):
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def test_the_notebooks_of_the_course_are_there():
    assert {"00", "01", "02", "03", "04", "A1"} <= {path.name.split("_")[0] for path in PATHS}


@notebooks
def test_the_file_is_valid_and_asks_for_the_python3_kernel(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


@notebooks
def test_it_has_the_parts_that_every_notebook_has(path):
    first, headings = read(path).cells[0], re.findall(r"^## (.+)$", markdown(path), re.MULTILINE)
    assert first.cell_type == "markdown" and not [mark for mark in OPENING if mark not in first.source]
    assert {"What you learned", "Adapt it", "Check yourself"} <= set(headings)


@notebooks
def test_it_starts_itself_with_its_own_number(path):
    number = path.stem.split("_")[0]
    assert re.search(rf"^# {number}\b", read(path).cells[0].source, re.MULTILINE)
    starts = re.findall(r'\bstart\(\s*"(\w+)"', "\n".join(cell.source for cell in code_cells(path)))
    assert starts == [number]


@notebooks
def test_it_has_one_cell_of_parameters_with_literals(path):
    (cell,) = (cell for cell in code_cells(path) if "parameters" in tags(cell))
    assert all(re.match(r"[a-z_]+(: [\w\[\], .]+)? = |\s|#|[)\]}]|$", line) for line in cell.source.splitlines())


@notebooks
def test_only_known_tags_are_used_and_skipping_is_said_to_both_runners(path):
    for cell in read(path).cells:
        assert tags(cell) <= TAGS, f"{tags(cell) - TAGS} in {cell.source[:50]!r}"
        assert ("nbval-skip" in tags(cell)) == ("skip-execution" in tags(cell))


@notebooks
def test_it_was_run_from_top_to_bottom_without_error_or_warning(path):
    """Counts 1, 2, 3 …: what the reader sees is what a fresh kernel gives."""
    counts = [cell.execution_count for cell in code_cells(path) if "nbval-skip" not in tags(cell)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(path):
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source[:80]
        if "raises-exception" not in tags(cell):
            assert all(output.output_type != "error" for output in cell.outputs), cell.source[:80]


@notebooks
def test_every_picture_has_alternative_text(path):
    text = markdown(path)
    assert all(re.findall(r"!\[(.*?)\]\(", text))
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img\b[^>]*>", text))
    for cell in code_cells(path):
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    assert output.metadata.get(kind, {}).get("alt"), f"{kind} without alt after {cell.source[:60]!r}"
    sources = "\n".join(cell.source for cell in code_cells(path))
    assert "plt.show()" not in sources, "figures go through show, which asks for the text"
    assert len(re.findall(r"\bshow\(", sources)) == len(re.findall(r"\bshow\((?:.|\n)*?alt=", sources))


@notebooks
def test_outputs_are_small(path):
    """200 KB each: a notebook opens at once, and a change of it can be looked at."""
    for cell in code_cells(path):
        for output in cell.outputs:
            assert len(json.dumps(output)) < 200_000, cell.source[:60]


@notebooks
def test_no_place_on_one_machine_and_nothing_of_its_making_is_named(path):
    places = re.compile(r"(?<![\w.~$\-/])/(?:work|root|home|tmp|Users)/|ipykernel_\d+")
    assert not places.search(path.read_text(encoding="utf-8"))  # outputs included
    assert not re.search(r"\bissue #?\d|\bclaude\b|\bChatGPT\b|\bAI assistant\b", markdown(path), re.IGNORECASE)


@notebooks
def test_answers_are_hidden_and_can_be_opened(path):
    text = markdown(path)
    assert "<details>" in text[text.index("## Check yourself") :]
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>") == text.count("</summary>")


@notebooks
def test_links_to_other_files_resolve_and_lead_to_a_neighbour(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", markdown(path))
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    missing = sorted({target for target in local if not (path.parent / target).exists()})
    assert not missing
    assert any(target.endswith(".ipynb") for target in local)


@notebooks
def test_claims_are_asserted(path):
    assert any(re.search(r"^\s*assert\b", cell.source, re.MULTILINE) for cell in code_cells(path))


EXERCISE_CELLS = [
    pytest.param(path, cell.source, id=path.stem)
    for path in PATHS
    for cell in code_cells(path)
    if "exercise" in tags(cell)
]


@pytest.mark.parametrize(("path", "stub"), EXERCISE_CELLS)
def test_an_exercise_is_a_documented_typed_stub_that_is_checked(path, stub):
    name = re.search(r"^def (\w+)\(", stub, re.MULTILINE)[1]
    assert '"""' in stub and "raise NotImplementedError" in stub and "->" in stub
    checks = re.findall(
        rf'^{name} = check\("([\w.]+)", {name}\)', "\n".join(c.source for c in code_cells(path)), re.MULTILINE
    )
    assert len(checks) == 1 and checks[0] in EXERCISES
    assert checks[0].split(".")[0] == path.stem.split("_")[0]
