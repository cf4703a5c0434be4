"""What each notebook costs a computer, for those who plan a class: ``python -m wiseft_nb.make.course_costs 00 03``.

Runs notebooks one by one, each in a fresh kernel, writes a row each into ``data/results/course/costs.csv`` and the table
into ``notebooks/TEACHING.md``. Without numbers all of them; ``--solved`` with the solutions filled in, else as committed.
"""

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
from nbformat import NotebookNode

from wiseft_nb.engine.files import write_whole
from wiseft_nb.errors import WiseftError
from wiseft_nb.make.exercises import NOTEBOOKS, class_copy
from wiseft_nb.make.readme import write_between
from wiseft_nb.make.tutorial import execute, found, lacking, numbers_of_all
from wiseft_nb.paths import BUILD, DATA

COSTS = DATA / "results" / "course" / "costs.csv"
TEACHING = NOTEBOOKS / "TEACHING.md"
KEY = ["notebook", "copy", "mode"]  # one row each: measured again, a row takes the place of the former
PEAK = "from wiseft_nb.make.peak import peak_mebibytes\nprint(peak_mebibytes())"
NOT_YET = "No row is measured yet: `python -m wiseft_nb.make.course_costs` writes them here."


def has_figure(cell: NotebookNode) -> bool:
    """Whether a cell shows a picture."""
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def kept() -> set[str]:
    """What ``keep`` has made so far."""
    folder = BUILD / "kept"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def cost(path: Path, solved: bool) -> dict:
    """Run a notebook and say what that took. In a process of its own: what its kernels took is counted together."""
    import resource  # not on Windows

    notebook = nbformat.read(path, as_version=4)
    notebook = class_copy(notebook, solved=True) if solved else notebook
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    before, figures, began = kept(), [], time.monotonic()

    def look(cell: NotebookNode, **_: object) -> None:
        if has_figure(cell):
            figures.append(time.monotonic() - began)

    ran = execute(path, notebook, on_cell_executed=look)
    seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "notebook": path.stem,
        "copy": "solved" if solved else "as committed",
        "mode": os.environ.get("WISEFT_NB_MODE", "default"),
        "seconds": round(seconds, 1),
        "first_figure": round(figures[0], 1) if figures else None,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(float(ran.cells[-1].outputs[0].text)),
        "made": len(kept() - before),
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


def measured(path: Path, solved: bool) -> dict:
    """``cost``, apart from all that ran before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(cost, (path, solved))


def with_row(table: pd.DataFrame, row: dict) -> pd.DataFrame:
    """The table with a row in the place of the former of its kind, in the course's order."""
    rows = pd.DataFrame([*table.to_dict("records"), row]).drop_duplicates(KEY, keep="last")
    return rows.sort_values(KEY, ignore_index=True)


def rendered(table: pd.DataFrame) -> list[str]:
    """Lines of Markdown for a teacher; a sentence where nothing is measured."""
    if table.empty:
        return [NOT_YET]
    head = [
        "notebook",
        "copy",
        "mode",
        "seconds",
        "to the first figure",
        "CPU seconds",
        "peak memory",
        "kept anew",
        "on",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in table.itertuples():
        figure = "none" if pd.isna(row.first_figure) else f"{row.first_figure:.0f}"
        on = f"{row.cpus} CPUs, threads {row.threads}"
        cells = [row.notebook, row.copy, row.mode, f"{row.seconds:.0f}", figure, f"{row.cpu_seconds:.0f}"]
        lines.append("| " + " | ".join([*cells, f"{row.peak_mib:,} MiB", str(row.made), on]) + " |")
    return lines


def read_costs() -> pd.DataFrame:
    """The rows so far."""
    columns = [*KEY, "seconds", "first_figure", "cpu_seconds", "peak_mib", "made", "cpus", "threads"]
    return pd.read_csv(COSTS) if COSTS.exists() else pd.DataFrame(columns=columns)


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("numbers", nargs="*", help="which notebooks, such as 00 or A1; default: all")
    parser.add_argument("--solved", action="store_true", help="with the solutions filled in")
    parser.add_argument("--unsolved", action="store_true", help="as committed; the default, with --solved both")
    args = parser.parse_args()
    if sys.platform == "win32":
        raise WiseftError("peak memory of a kernel is measured on Linux and macOS alone: run it there")
    for path in map(found, args.numbers or numbers_of_all()):
        if missing := lacking(path):
            print(f"{path.stem}: left out, {missing}", flush=True)
            continue
        for solved in [False] * (args.unsolved or not args.solved) + [True] * args.solved:
            table = with_row(read_costs(), measured(path, solved))
            write_whole(COSTS, table.to_csv(index=False).encode())
            print(table[(table.notebook == path.stem)].to_string(index=False), flush=True)
    write_between("costs", rendered(read_costs()), TEACHING)


if __name__ == "__main__":
    main()
