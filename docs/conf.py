"""The site of the course: ``make book`` builds it from the notebooks as they are committed, without a network.

The source folder is the repository itself, so that a link from a notebook to another file leads there on the site as
in JupyterLab. Nothing is executed. What pages need, MathJax too, lies beside them.
"""

import hashlib
import os
import re
import sys
import tomllib
from binascii import a2b_base64
from pathlib import Path

import nbformat
from docutils import nodes
from ipython_pygments_lexers import IPython3Lexer
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project, version, author = PROJECT["name"], PROJECT["version"], "The wiseft-nb authors"
release, copyright, language = version, f"2026, {author}", "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # MathJax in a wheel; the extension's name is the folder's
    "rooms",
]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**", "notebooks/*", "data/**/README.md"]
exclude_patterns = [".*", "build", "wiseft_nb", "tests", "*.egg-info", "**/.ipynb_checkpoints"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring, napoleon_google_docstring = True, False
napoleon_use_ivar = True

html_theme = "sphinx_book_theme"
html_title = "WiSE-FT in notebooks"
html_extra_path = ["site"]
html_theme_options = {
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # one search field is enough, that of the side bar
    "show_toc_level": 2,
    "use_download_button": True,
    "use_repository_button": True,
    "repository_url": os.environ.get("REPOSITORY", PROJECT["urls"]["Repository"]),  # a fork says where it is
    "repository_branch": "main",
    "path_to_docs": "",
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
}


def alternative_texts(path: Path) -> dict[str, str]:
    """For each picture in a notebook's outputs, by the hash that myst-nb names its file with, what ``show`` was told."""
    outputs = [out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", ())]
    return {
        hashlib.sha256(a2b_base64(out.data["image/png"])).hexdigest(): out.metadata["image/png"]["alt"]
        for out in outputs
        if "image/png" in out.get("data", {}) and "image/png" in out.metadata
    }


def add_alternative_texts(app: Sphinx, doctree: nodes.document) -> None:
    """myst-nb passes an output's size on, and not its text."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".ipynb":
        texts = alternative_texts(path)
        for image in doctree.findall(nodes.image):
            image.setdefault("alt", texts.get(Path(image["uri"]).stem, ""))


def link_notebook(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Where a docstring names the notebook that explains a thing, the site links it, before the first section."""
    said = [line for line in lines if line.startswith("Explained in notebook")]
    first = next((i for i, line in enumerate(lines) if re.fullmatch("-{4,}", line)), len(lines) + 1) - 1
    kept = [[line for line in part if line not in said] for part in (lines[:first], lines[first:])]
    links = [re.sub(r"\b(\w\w_\w+)\b", lambda found: notebook_link(found[1]), line) for line in said]
    lines[:] = [*kept[0], "", *links, "", *kept[1]]


def notebook_link(stem: str) -> str:
    """A link, if the notebook is there."""
    return f":doc:`/notebooks/{stem}`" if (ROOT / "notebooks" / f"{stem}.ipynb").exists() else stem


def setup(app: Sphinx) -> None:
    """What the extensions leave to us."""
    app.add_lexer("python", IPython3Lexer)  # a notebook may hold lines for the shell
    app.connect("doctree-read", add_alternative_texts)
    app.connect("autodoc-process-docstring", link_notebook, priority=400)  # before napoleon reads its sections
