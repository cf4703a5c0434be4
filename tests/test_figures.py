"""For slides: every figure that a notebook shows, as a file with its text, and as PDF when the notebook is run."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from wiseft_nb import WiseftError
from wiseft_nb.make.figures import figures_of, write_pdfs, write_pngs
from wiseft_nb.make.tutorial import execute, found
from wiseft_nb.paths import ROOT

DRAWN = """
import matplotlib.pyplot as plt
from wiseft_nb.course.notebook import show
for colour in ("red", "blue"):
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.plot([0, 1], color=colour)
    show(fig, alt=f"A line that rises, drawn in {colour}")
"""
EMPTY = new_notebook(cells=[new_code_cell("1")])


def test_every_picture_of_the_committed_notebooks_is_written_with_its_text(tmp_path):
    path = ROOT / "notebooks" / "03_interpolate.ipynb"
    shown = path.read_text(encoding="utf-8").count('"image/png": "')
    assert write_pngs(path, tmp_path / "03") == shown > 3
    texts = (tmp_path / "03" / "alt.txt").read_text(encoding="utf-8").splitlines()
    files = sorted(file.name for file in (tmp_path / "03").glob("*.png"))
    assert [text.partition(": ")[0] for text in texts] == files and len(files) == shown
    assert files[0] == "01.png"
    assert all(len(text.split()) > 5 for text in texts)
    for name in files:
        Image.open(tmp_path / "03" / name).verify()


def test_run_for_them_a_notebook_gives_the_same_figures_as_pdf(tmp_path):
    path = tmp_path / "03_two_lines.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(DRAWN)]), path)
    assert write_pdfs(path, tmp_path / "figures") == 2
    pages = sorted((tmp_path / "figures").iterdir())
    assert [page.name for page in pages] == ["01.pdf", "02.pdf"]
    assert all(page.read_bytes().startswith(b"%PDF") for page in pages)
    shown = execute(path)  # without the folder: on the screen alone
    assert [alt for _, alt in figures_of(shown)] == [f"A line that rises, drawn in {c}" for c in ("red", "blue")]
    assert len(list((tmp_path / "figures").iterdir())) == 2


def test_a_notebook_without_figures_leaves_no_folder(tmp_path):
    nbformat.write(EMPTY, tmp_path / "empty.ipynb")
    assert write_pngs(tmp_path / "empty.ipynb", tmp_path / "figures") == 0
    assert not (tmp_path / "figures").exists()


def test_a_notebook_that_is_not_there_is_named():
    with pytest.raises(WiseftError, match="unknown notebook '77'"):
        found("77")
