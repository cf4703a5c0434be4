"""The course's figures for slides, in ``build/figures``: ``python -m wiseft_nb.make.figures``.

Every picture in the notebooks' outputs as they are committed, as PNG, numbered, and ``alt.txt`` with what each shows.
``--pdf 03 04`` runs these notebooks and writes the same figures as PDF beside them.
"""

import argparse
import os
from base64 import b64decode
from pathlib import Path
from unittest import mock

import nbformat
from nbformat import NotebookNode

from wiseft_nb.course.notebook import FIGURES
from wiseft_nb.errors import WiseftError
from wiseft_nb.make.exercises import NOTEBOOKS
from wiseft_nb.make.tutorial import execute, found, lacking
from wiseft_nb.paths import BUILD, ROOT

FOLDER = BUILD / "figures"


def figures_of(notebook: NotebookNode) -> list[tuple[bytes, str]]:
    """Each picture of the outputs, in order, with its text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [
        (b64decode(output.data["image/png"]), output.metadata["image/png"]["alt"])
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def write_pngs(path: Path, folder: Path) -> int:
    """A notebook's pictures as files, with their texts; how many there are."""
    figures = figures_of(nbformat.read(path, as_version=4))
    if figures:
        folder.mkdir(parents=True, exist_ok=True)
        texts = [f"{number:02}.png: {alt}" for number, (_, alt) in enumerate(figures, start=1)]
        (folder / "alt.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for number, (content, _) in enumerate(figures, start=1):
        (folder / f"{number:02}.png").write_bytes(content)
    return len(figures)


def write_pdfs(path: Path, folder: Path) -> int:
    """Run a notebook; ``show`` writes what it shows into the folder, numbered alike."""
    if missing := lacking(path):
        raise WiseftError(f"{path.stem} cannot be run here: {missing}")
    folder.mkdir(parents=True, exist_ok=True)
    with mock.patch.dict(os.environ, {FIGURES: str(folder)}):
        return len(figures_of(execute(path)))


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pdf", nargs="+", default=[], metavar="NN", help="notebooks to run for their figures as PDF")
    to_run = [found(number) for number in parser.parse_args().pdf]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        count = write_pngs(path, FOLDER / path.stem)
        print(f"{path.stem}: {count} figures")
    for path in to_run:
        print(f"{path.stem}: {write_pdfs(path, FOLDER / path.stem)} figures as PDF")
    print(f"{FOLDER.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
