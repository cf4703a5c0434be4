"""Run notebooks from top to bottom: ``python -m wiseft_nb.make.tutorial``.

Without arguments it runs 00 to 04, writes each executed copy as HTML under ``build/`` and ends with
the headline table. With ``--in-place`` it refreshes the committed notebooks instead.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pandas as pd
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from tqdm.auto import tqdm

from wiseft_nb.errors import unknown
from wiseft_nb.models import sentences
from wiseft_nb.paths import BUILD, ROOT

NOTEBOOKS = ROOT / "notebooks"
TUTORIAL = ("00", "01", "02", "03", "04")
WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT_METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def lacking(path: Path) -> str:
    """What a notebook needs and does not find here, in a sentence that says how to get it; empty if nothing."""
    if path.stem == "13_try_text":
        return sentences.lacking()
    if path.stem == "14_try_detection" and find_spec("pycocotools") is None:
        return 'average precision needs the package pycocotools: pip install -e ".[detect]"'
    return ""


def numbers_of_all() -> list[str]:
    """00, 01 … and the letters' ones, as the notebooks begin."""
    return [path.name.split("_")[0] for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def found(number: str) -> Path:
    """The notebook with a number such as 00 or A1."""
    if number not in numbers_of_all():
        raise unknown("notebook", number, numbers_of_all())
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return path


def execute(path: Path, notebook: nbformat.NotebookNode | None = None, **hooks: Callable) -> nbformat.NotebookNode:
    """Run one notebook in a fresh kernel, in its folder, cell after cell with progress shown.

    ``notebook`` is run in the file's stead, such as a copy with solutions; ``hooks`` are nbclient's.
    """
    notebook = notebook or nbformat.read(path, as_version=4)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    resources = {"metadata": {"path": path.parent}}
    quiet = ["--log-level=40"]  # no kernel chatter between the progress bars
    options = {"timeout": 600, "kernel_name": "python3", "resources": resources, "extra_arguments": quiet}
    client = NotebookClient(notebook, **options, **hooks)
    with client.setup_kernel():
        for number, index in enumerate(tqdm(code, desc=path.stem, unit="cell"), start=1):
            client.execute_cell(notebook.cells[index], index, execution_count=number)
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what changes from run to run and says nothing: widget state, timings, editor metadata."""
    notebook.metadata = nbformat.from_dict(KEPT_METADATA | {"language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
        if cell.cell_type == "code":
            cell.outputs = [out for out in map(clean_output, cell.outputs) if out]
    return notebook


def clean_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """An output without progress bars; a slider stays as its page has it."""
    data = output.get("data", {})
    if output.get("name") == "stderr" or (data.pop(WIDGET, None) is not None and "text/html" not in data):
        return None
    return output


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("numbers", nargs="*", default=TUTORIAL, help="which notebooks, such as 00 or A1")
    parser.add_argument("--all", action="store_true", help="every notebook there is")
    parser.add_argument("--in-place", action="store_true", help="refresh the committed notebooks, outputs cleaned")
    args = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    numbers = numbers_of_all() if args.all else args.numbers
    for path in map(found, numbers):
        if missing := lacking(path):
            print(f"{path.stem}: left out, {missing}", flush=True)
            continue
        start = time.monotonic()
        notebook = clean(execute(path))
        if args.in_place:
            nbformat.write(notebook, path)
        page, _ = HTMLExporter().from_notebook_node(notebook)
        (BUILD / f"{path.stem}.html").write_text(page, encoding="utf-8")
        print(f"{path.stem}: {time.monotonic() - start:.0f} s, build/{path.stem}.html", flush=True)
    headline = BUILD / "headline.csv"
    if "04" in numbers and headline.exists():
        print("\n" + pd.read_csv(headline).to_string(index=False))
        print("\nThe figure: build/effective_robustness.png, and in build/04_measure_robustness.html")


if __name__ == "__main__":
    main()
