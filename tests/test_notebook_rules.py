"""Every notebook is read here, not run: opening, order, outputs, alternative text, links, exercises."""

import json
import re
from pathlib import Path

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
def test_the_name_is_a_number_and_a_phrase(path):
    assert re.fullmatch(r"(\d\d|A\d)(_[a-z0-9]+)+", path.stem)


@notebooks
def test_the_file_is_valid_and_asks_for_the_python3_kernel(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


@notebooks
def test_it_opens_with_its_number_product_aims_needs_and_time(path):
    first = read(path).cells[0]
    number = path.stem.split("_")[0]
    assert first.cell_type == "markdown" and re.search(rf"^# {number}\b", first.source, re.MULTILINE)
    missing = [mark for mark in OPENING if mark not in first.source]
    assert not missing
    assert re.search(r"\*\*Time\*\*.*\bmin(utes)?\b.*\bs(econds)?\b", first.source, re.DOTALL)


@notebooks
def test_it_starts_itself_with_its_own_number(path):
    number = path.stem.split("_")[0]
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
def test_it_was_run_from_top_to_bottom(path):
    """Counts 1, 2, 3 …: what the reader sees is what a fresh kernel gives."""
    counts = [cell.execution_count for cell in code_cells(path) if "nbval-skip" not in tags(cell)]
    assert counts == list(range(1, len(counts) + 1))


@notebooks
def test_no_output_is_an_error(path):
    for cell in code_cells(path):
        if "raises-exception" not in tags(cell):
            assert all(output.output_type != "error" for output in cell.outputs), cell.source[:80]


@notebooks
def test_no_output_is_a_warning_or_a_progress_bar(path):
    assert all(output.get("name") != "stderr" for cell in code_cells(path) for output in cell.outputs)


@notebooks
def test_every_figure_has_alternative_text_that_says_what_it_shows(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    assert len(alt.split()) >= 5, f"{kind} without alt after {cell.source[:60]!r}"


@notebooks
def test_every_picture_in_the_text_has_alternative_text(path):
    text = markdown(path)
    assert all(len(alt.split()) >= 2 for alt in re.findall(r"!\[(.*?)\]\(", text))
    assert all(re.search(r'alt="[^"]{5,}"', tag) for tag in re.findall(r"<img\b[^>]*>", text))


@notebooks
def test_outputs_are_small(path):
    """200 KB each: a notebook opens at once, and a change of it can be looked at."""
    for cell in code_cells(path):
        for output in cell.outputs:
            assert len(json.dumps(output)) < 200_000, cell.source[:60]


@notebooks
def test_cells_are_short(path):
    """At most 25 lines each, and half of them at most 8."""
    lines = sorted(len(cell.source.splitlines()) for cell in code_cells(path))
    assert lines[-1] <= 25 and lines[len(lines) // 2] <= 8


@notebooks
def test_no_place_on_one_machine_is_named_outputs_included(path):
    places = re.compile(r"(?<![\w.~$\-/])/(?:work|root|home|tmp|Users)/|ipykernel_\d+")
    found = places.search(path.read_text(encoding="utf-8"))
    assert not found


@notebooks
def test_it_ends_with_what_was_learned_what_to_adapt_and_questions(path):
    headings = re.findall(r"^## (.+)$", markdown(path), re.MULTILINE)
    for heading in ("What you learned", "Adapt it", "Check yourself"):
        assert heading in headings


@notebooks
def test_questions_hide_their_answers(path):
    text = markdown(path)
    after = text[text.index("## Check yourself") :]
    assert after.count("<details>") >= 3
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>") == text.count("</summary>")


@notebooks
def test_links_to_other_files_resolve(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", markdown(path))
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    missing = sorted({target for target in local if not (path.parent / target).exists()})
    assert not missing


@notebooks
def test_it_names_its_neighbours(path):
    """Previous, index and next links; the first and the last lack one."""
    assert any(target.endswith(".ipynb") for target in re.findall(r"\]\(([^)\s#]+)\)", markdown(path)))


@notebooks
def test_claims_are_asserted(path):
    assert sum(bool(re.search(r"^\s*assert\b", cell.source, re.MULTILINE)) for cell in code_cells(path)) >= 2


@notebooks
def test_figures_go_through_show(path):
    sources = "\n".join(cell.source for cell in code_cells(path))
    assert "plt.show()" not in sources
    assert len(re.findall(r"\bshow\(", sources)) == len(re.findall(r"\bshow\((?:.|\n)*?alt=", sources))


@notebooks
def test_no_session_of_its_making_is_mentioned(path):
    assert not re.search(r"\bissue #?\d|\bclaude\b|\bChatGPT\b|\bAI assistant\b", markdown(path), re.IGNORECASE)


def exercises():
    for path in PATHS:
        for cell in code_cells(path):
            if "exercise" in tags(cell):
                yield pytest.param(path, cell.source, id=path.stem)


@pytest.mark.parametrize(("path", "stub"), exercises())
def test_an_exercise_is_a_documented_typed_stub_that_is_checked(path, stub):
    name = re.search(r"^def (\w+)\(", stub, re.MULTILINE)[1]
    assert '"""' in stub and "raise NotImplementedError" in stub and "->" in stub
    checks = re.findall(
        rf'^{name} = check\("([\w.]+)", {name}\)', "\n".join(c.source for c in code_cells(path)), re.MULTILINE
    )
    assert len(checks) == 1 and checks[0] in EXERCISES
    assert checks[0].split(".")[0] == path.stem.split("_")[0]


@pytest.mark.parametrize(("path", "stub"), exercises())
def test_the_solution_printed_below_an_exercise_is_right(path, stub):
    """It is run with the notebook's own imports, as a student would who copies it."""
    name = re.search(r"^def (\w+)\(", stub, re.MULTILINE)[1]
    blocks = [b for b in re.findall(r"```python\n(.*?)```", markdown(path), re.DOTALL) if f"def {name}(" in b]
    assert blocks, f"the reference solution of {name} is missing"
    sources = "\n".join(cell.source for cell in code_cells(path))
    (key,) = re.findall(rf'check\("([\w.]+)", {name}\)', sources)
    names = {}
    for line in re.findall(r"^(?:import|from) .*?(?:\((?:.|\n)*?\)|)$", sources, re.MULTILINE):
        exec(line, names)  # noqa: S102
    exec(blocks[-1], names)  # noqa: S102
    EXERCISES[key].test(names[name])


def test_there_is_an_exercise_for_every_key():
    sources = "\n".join(Path(path).read_text(encoding="utf-8") for path in PATHS)
    assert all(f'check(\\"{key}\\"' in sources for key in EXERCISES)
