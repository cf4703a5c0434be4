"""The gate bites: notebooks broken on purpose fail under the project's own pytest settings."""

import os
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from wiseft_nb.paths import ROOT

OUTCOMES = ("failure", "error", "skipped")
FINE = ["accuracy = 0.9", "assert accuracy > 0.5", "accuracy"]
WIDGET = [
    "from ipywidgets import IntSlider\nslider = IntSlider(1, 0, 5)",
    "def look_up(change):\n    {0: 'zero-shot'}[change['new']]\nslider.observe(look_up, 'value')",
    "slider.value = 4",
    "'after'",
]
INTERACT = ["from ipywidgets import interact\ndef draw(alpha=0.5):\n    assert alpha > 1\ninteract(draw)", "'after'"]
NOTEBOOKS = {
    "fine": FINE,
    "false_claim": [*FINE[:1], "assert accuracy > 0.95", *FINE[2:]],
    "callback": WIDGET,
    "interact": INTERACT,
}


def write(path, sources):
    """A notebook that looks as if it had run."""
    cells = [new_markdown_cell("# 99 Try it")]
    for count, source in enumerate(sources, start=1):
        cells.append(new_code_cell(source, execution_count=count))
    cells[-1].outputs = [new_output("execute_result", {"text/plain": "1"}, execution_count=len(sources))]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Notebook -> outcome of each of its code cells, from one run with our conftest.py and pyproject.toml."""
    folder = tmp_path_factory.mktemp("gate")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "notebooks").mkdir()
    for name, sources in NOTEBOOKS.items():
        write(folder / "notebooks" / f"{name}.ipynb", sources)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "notebooks"]
    run = subprocess.run(
        [*command, "--junitxml=report.xml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    found = {name: [] for name in NOTEBOOKS}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name = case.get("classname").split(".")[-2]
        found[name].append(next((child.tag for child in case if child.tag in OUTCOMES), "passed"))
    return found


def test_a_notebook_that_holds_passes(outcomes):
    assert outcomes["fine"] == ["passed"] * 3


def test_a_false_claim_fails_and_the_rest_of_its_notebook_is_skipped(outcomes):
    assert outcomes["false_claim"] == ["passed", "failure", "skipped"]


def test_an_exception_in_a_widgets_callback_fails(outcomes):
    """nbclient would let it pass."""
    assert outcomes["callback"] == ["passed", "passed", "failure", "skipped"]
    assert outcomes["interact"] == ["failure", "skipped"]


def test_every_committed_notebook_has_outputs_to_hold_it_to():
    """A notebook without outputs would pass without having been run by its author."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells), path.name
