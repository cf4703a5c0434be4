"""What every notebook begins with, and what keeps notebooks short: start, show, keep.

Explained in notebook 00_start_here.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import random
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Image, display
from matplotlib.figure import Figure
from PIL import Image as PilImage

from wiseft_nb.engine.cache import fingerprint, versions
from wiseft_nb.engine.files import read_checked, write_checked
from wiseft_nb.errors import WiseftError, reason, unknown
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.paths import BUILD
from wiseft_nb.plots import set_style
from wiseft_nb.weights.checkpoint import load_classifier, save_classifier

# One object holds every knob of every mode, so that none is forgotten in a notebook
MODES = {
    "quick": {"alphas": (0.0, 0.25, 0.5, 0.75, 1.0)},
    "default": {"alphas": tuple(i / 10 for i in range(11))},
    "full": {"alphas": tuple(i / 20 for i in range(21))},
}
THREADS = 2  # of torch: their number decides the last digits, and training carries them to the first
FIGURES = "WISEFT_NB_FIGURES"  # a folder, for slides: show writes there what it shows as PDF, numbered
SHOWN = itertools.count(1)
Kept = TypeVar("Kept", ImageClassifier, pd.DataFrame)


@dataclasses.dataclass(frozen=True)
class Run:
    """The settings of one notebook run.

    Attributes
    ----------
    notebook, mode : str
    seed : int
    alphas : tuple of float
        Coarse in quick mode, fine in full mode.
    """

    notebook: str
    mode: str
    seed: int
    alphas: tuple[float, ...]

    def __repr__(self) -> str:
        packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "open_clip_torch"))
        return f"notebook {self.notebook}, {self.mode} mode, seed {self.seed}\n{packages}"


def start(notebook: str, seed: int = 0) -> Run:
    """Begin a notebook: seed everything, fix torch's threads, set the look of figures, read the mode.

    The mode comes from the environment variable ``WISEFT_NB_MODE``: ``quick``, ``default`` or ``full``.

    Explained in notebook 00_start_here.
    """
    mode = os.environ.get("WISEFT_NB_MODE", "default")
    if mode not in MODES:
        raise unknown("mode in WISEFT_NB_MODE", mode, MODES)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    np.set_printoptions(precision=3, suppress=True)
    torch.set_printoptions(precision=3, sci_mode=False)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(THREADS)
    pd.options.display.float_format = as_written
    set_style()
    return Run(notebook, mode, seed, **MODES[mode])


def as_written(number: float) -> str:
    """A number as people write it: 88.4, 64, 0.413; one that would round to nothing as 4.1e-12."""
    if 0 < abs(number) < 0.0005:
        return f"{number:.1e}"
    return f"{number:.3f}".rstrip("0").rstrip(".")


def show(fig: Figure, alt: str) -> None:
    """Display a figure with a text that says what it shows, for those who cannot see it.

    Explained in notebook 00_start_here.
    """
    if len(alt.split()) < 5:
        raise WiseftError(f"alt text {alt!r} is too short: say in a sentence what the figure shows")
    drawn, small = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png", dpi="figure", bbox_inches="tight")
    if folder := os.environ.get(FIGURES):
        fig.savefig(Path(folder) / f"{next(SHOWN):02}.pdf", bbox_inches="tight")
    plt.close(fig)
    # 256 colours do for a figure, and a notebook that holds it stays small
    PilImage.open(drawn).convert("RGB").quantize(256, dither=PilImage.Dither.NONE).save(small, "PNG", optimize=True)
    display(Image(small.getvalue(), format="png"), metadata={"image/png": {"alt": alt}})


def keep(name: str, key: tuple, make: Callable[[], Kept]) -> Kept:
    """Make something once and keep it under ``build/kept``; later runs load it.

    The first run, too, returns what was kept as it is loaded, so that every run goes on with the same.

    Parameters
    ----------
    name : str
        Begins the file's name.
    key : tuple
        All that decides the result: configurations, classifiers, benchmarks (by content), numbers.
        Where any of it changes, or the version of a package, the thing is made again.
    make : function
        Returns an ImageClassifier or a DataFrame.

    Raises
    ------
    WiseftError
        If a table would not come back as it is: its columns are of other kinds than numbers and texts.

    Explained in notebook 02_fine_tune.
    """
    path = BUILD / "kept" / f"{name}-{fingerprint(versions(), *key)[:12]}"
    table = path.with_suffix(".table")
    try:
        if (content := read_checked(table)) is not None:
            return read_table(content)
        if path.is_dir():
            return load_like(path, key)
    except WiseftError:
        pass  # damaged: make it again
    made = make()
    if isinstance(made, pd.DataFrame):
        write_checked(table, content := written(made))
        return read_table(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it needs like=, which the key may have
        save_classifier(made, path)
    try:
        return load_like(path, key)
    except WiseftError as error:
        warnings.warn(f"{name!r} cannot be kept and is made again by every run: {error}, in the key", stacklevel=2)
        return made


def load_like(path: Path, key: tuple) -> ImageClassifier:
    """A classifier that was kept; one with parts of its own like a classifier in the key that has them too."""
    try:
        return load_classifier(path)
    except WiseftError:
        for like in (part for part in key if isinstance(part, ImageClassifier)):
            with contextlib.suppress(WiseftError):
                return load_classifier(path, like=like)
        raise


def written(table: pd.DataFrame) -> bytes:
    """A table as JSON, to the last bit; refused if it would not come back as it is."""
    try:
        index, *columns = (
            (values.name, str(values.dtype), values.tolist())
            for values in (table.index, *(table[column] for column in table.columns))
        )
        about = {"index": index, "columns": columns, "columns_name": table.columns.name}
        content = json.dumps(about).encode()
        pd.testing.assert_frame_equal(read_table(content), table, check_exact=True)
    except (AssertionError, TypeError, ValueError, AttributeError) as error:
        raise WiseftError(
            f"this table cannot be kept as it is ({reason(error)}): keep columns of numbers and texts with names that "
            "differ, and reset_index() an index of several levels"
        ) from error
    return content


def read_table(content: bytes) -> pd.DataFrame:
    """What ``written`` wrote."""
    about = json.loads(content)
    name, kind, values = about["index"]
    index = pd.Index(values, kind, name=name)
    columns = {name: pd.Series(values, index, kind) for name, kind, values in about["columns"]}
    return pd.DataFrame(columns, index).rename_axis(columns=about["columns_name"])
