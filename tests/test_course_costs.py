"""What a notebook costs is measured in a kernel of its own, and the teacher's table is what was measured."""

import os

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from wiseft_nb.errors import WiseftError
from wiseft_nb.make import course_costs
from wiseft_nb.make.course_costs import COSTS, NOT_YET, TEACHING, measured, read_costs, rendered, with_row
from wiseft_nb.make.readme import write_between
from wiseft_nb.paths import BUILD

WAIT, MEBIBYTES = 1.5, 300
SHOWS = "from IPython.display import Image, display\nfrom PIL import Image as Pil\nimport io\n"
SHOWS += "file = io.BytesIO()\nPil.new('L', (2, 2)).save(file, 'png')\ndisplay(Image(file.getvalue()))"
ROW = {"notebook": "00_start_here", "copy": "solved", "mode": "quick", "seconds": 9.6, "first_figure": 4.2}
ROW |= {"cpu_seconds": 12.3, "peak_mib": 1234, "made": 2, "cpus": 2, "threads": 1}


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    path = tmp_path_factory.mktemp("costs") / "00_small.ipynb"
    made = BUILD / "kept" / f"made by a test, {os.getpid()}"
    made.parent.mkdir(parents=True, exist_ok=True)
    sources = [f"import time; held = b'1' * ({MEBIBYTES} * 2**20)", SHOWS, f"time.sleep({WAIT})"]
    sources.append(f"from pathlib import Path; Path({str(made)!r}).touch()")
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    yield measured(path, solved=False)
    made.unlink(missing_ok=True)


def test_time_memory_and_the_first_figure_are_the_kernels(row):
    assert MEBIBYTES < row["peak_mib"] < MEBIBYTES + 200  # more would be that of whoever started the kernel
    assert 0 < row["first_figure"] <= row["seconds"] - WAIT
    assert 0 < row["cpu_seconds"]
    assert row["made"] >= 1  # other tests may keep something meanwhile
    assert (row["notebook"], row["copy"]) == ("00_small", "as committed")
    assert set(row) == set(read_costs().columns)


def test_a_notebook_without_figures_has_none():
    table = with_row(pd.DataFrame(columns=list(ROW)), ROW | {"first_figure": None})
    assert "| none |" in rendered(table)[-1]


def test_measured_again_a_row_takes_the_place_of_the_former():
    table = with_row(with_row(read_costs().head(0), ROW | {"notebook": "01_x"}), ROW)
    table = with_row(table, ROW | {"seconds": 8.0})
    assert table.notebook.tolist() == ["00_start_here", "01_x"] and table.seconds.tolist() == [8.0, 9.6]
    last = with_row(table, ROW | {"copy": "as committed"})
    assert len(last) == 3
    assert "| 00_start_here | solved | quick | 8 | 4 | 12 | 1,234 MiB | 2 | 2 CPUs, threads 1 |" in rendered(last)


def test_the_teachers_table_is_what_was_measured(tmp_path):
    inside = TEACHING.read_text(encoding="utf-8").partition("<!-- costs -->\n")[2].partition("\n<!-- /costs -->")[0]
    assert inside.splitlines() == rendered(read_costs())
    (tmp_path / "text.md").write_text("before\n<!-- costs -->\n<!-- /costs -->\nafter", encoding="utf-8")
    write_between("costs", [NOT_YET], tmp_path / "text.md")
    assert f"\n<!-- costs -->\n{NOT_YET}\n<!-- /costs -->\nafter" in (tmp_path / "text.md").read_text(encoding="utf-8")


def test_the_card_says_what_each_column_is():
    card = (COSTS.parent / "README.md").read_text(encoding="utf-8")
    assert all(f"`{column}`" in card for column in read_costs().columns)


def test_the_command_measures_and_writes_both(tmp_path, monkeypatch, capsys):
    (tmp_path / "TEACHING.md").write_text("<!-- costs -->\n<!-- /costs -->", encoding="utf-8")
    monkeypatch.setattr(course_costs, "COSTS", tmp_path / "costs.csv")
    monkeypatch.setattr(course_costs, "TEACHING", tmp_path / "TEACHING.md")
    asked = []
    monkeypatch.setattr(course_costs, "measured", lambda path, solved: asked.append((path.stem[:2], solved)) or ROW)
    monkeypatch.setattr("sys.argv", ["costs", "00", "--solved"])
    monkeypatch.setattr("sys.platform", "linux")
    course_costs.main()
    assert asked == [("00", True)] and "00_start_here" in (tmp_path / "TEACHING.md").read_text(encoding="utf-8")
    assert pd.read_csv(tmp_path / "costs.csv").peak_mib.tolist() == [1234]
    monkeypatch.setattr("sys.argv", ["costs", "88"])
    with pytest.raises(WiseftError, match="unknown notebook '88'"):
        course_costs.main()
