"""The look of every figure, and export.

Explained in notebook 05_redraw_the_paper.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, SKY = sns.color_palette("colorblind")
MARKERS = "osD^vPX*<>ph"
# Datasets and groups of them, in order; the colours of the three main roles come last
SERIES = (GREY, SKY, BROWN, RED, PINK, YELLOW, GREEN, BLUE, ORANGE, PURPLE)
# One look for each role, in every figure
ROLES = {
    "zero-shot": {"color": PURPLE, "marker": "*"},
    "fine-tuned": {"color": ORANGE, "marker": "D"},
    "linear": {"color": GREEN, "marker": "o"},
    "interpolated": {"color": BLUE, "marker": "s"},
    "standard": {"color": GREY, "marker": "."},
}


def set_style() -> None:
    """The look of every figure: seaborn's, readable at half a page."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update({"figure.dpi": 90, "savefig.dpi": 150, "axes.titlesize": 11, "legend.frameon": False})


def save_figure(fig: Figure, path: str | Path) -> list[Path]:
    """Write a figure as PDF and SVG (vectors, text as text) and PNG, in one call.

    Parameters
    ----------
    fig : Figure
    path : str or Path
        Without extension; its folder is made where it is missing.

    Returns
    -------
    list of Path
        The files written. The same figure gives the same bytes.

    Explained in notebook 05_redraw_the_paper.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    written = [path.with_name(f"{path.name}.{kind}") for kind in undated]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wiseft-nb", "pdf.fonttype": 42}):
        for target in written:
            fig.savefig(target, metadata=undated[target.suffix[1:]], bbox_inches="tight")
    return written
