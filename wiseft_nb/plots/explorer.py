"""Menus over precomputed effective-robustness plots; hovering over a point names the model.

Explained in notebook 05_redraw_the_paper.
"""

import html
import io
import itertools
from collections.abc import Iterable
from xml.etree import ElementTree

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.plots import plot_models
from wiseft_nb.plots.pages import page_slider, png
from wiseft_nb.plots.style import BLUE, BROWN, GREEN, GREY, ORANGE, PINK, PURPLE, RED, SKY, YELLOW
from wiseft_nb.robustness import Baseline, fit_table
from wiseft_nb.robustness.points import MEAN

FULL, SUBSET = "all of ImageNet", "the shift's own classes"
EVERYTHING = "all groups"
SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
KNOT = 0.7613  # ImageNet-A was filtered with a ResNet-50 of this ImageNet accuracy

LOOKS = {  # group -> colour, marker size: all differ, the few large
    "standard models": (GREY, 20),
    "testbed, more data": (SKY, 26),
    "testbed, robustness interventions": (GREEN, 26),
    "zero-shot CLIP models": (PURPLE, 34),
    "LAION's scaling runs": (YELLOW, 30),
    "MobileCLIP and MobileCLIP2": (PINK, 46),
    "PE-Core": ("0.25", 60),
    "CLIP fine-tuned, timm": (ORANGE, 30),
    "fine-tunings of one CLIP": (BROWN, 22),
    "soups of them": (RED, 110),
    "the paper's WiSE-FT curves": (BLUE, 22),
    "your own": ("black", 130),
}

NEW = ("LAION's scaling runs", "MobileCLIP and MobileCLIP2", "PE-Core")  # outlined, and above the others


class RobustnessExplorer(widgets.VBox):
    """Four menus and the figure they look up.

    Attributes
    ----------
    frames : dict
        (shift, scale, x axis) -> SVG text with one layer for each group of models.
    shift, scale, axis, group : ipywidgets.Dropdown
        Set ``.value`` to move a menu by code.
    view : ipywidgets.HTML
        What is on screen.
    stills : dict
        shift -> PNG and caption, on the first scale; a page without a kernel has these alone, behind a menu.
    """

    def __init__(
        self, frames: dict[tuple[str, str, str], str], groups: Iterable[str], stills: dict[str, tuple[bytes, str]]
    ):
        self.frames, self.stills = dict(frames), dict(stills)
        shifts, scales, axes = (tuple(dict.fromkeys(names)) for names in zip(*self.frames, strict=True))
        self.shift, self.scale, self.axis = menu("shift", shifts), menu("scale", scales), menu("x axis", axes)
        self.group = menu("models", (EVERYTHING, *groups))
        self.view = widgets.HTML()
        menus = (self.shift, self.scale, self.axis, self.group)
        for dropdown in menus:
            dropdown.observe(self.look_up, "value")
        self.look_up()
        super().__init__([widgets.HBox(menus[:2]), widgets.HBox(menus[2:]), self.view])

    def look_up(self, *_: object) -> None:
        """Put the frame that the menus name on screen."""
        key = (self.shift.value, self.scale.value, self.axis.value)
        if key not in self.frames:
            text = f"There are no accuracies on the classes of {self.shift.value} alone: choose {FULL}."
            self.view.value = f"<p>{html.escape(text)}</p>"
            return
        self.view.value = only_layer(self.frames[key], self.group.value)

    def _repr_mimebundle_(self, **asked: object) -> dict:
        """The widget, and beside it what a page without a kernel shows."""
        frames, captions = ({shift: still[i] for shift, still in self.stills.items()} for i in (0, 1))
        page = page_slider(frames, captions, "shift", self.shift.value)
        return super()._repr_mimebundle_(**asked) | {"text/html": page, "text/plain": captions[self.shift.value]}


def robustness_explorer(
    groups: dict[str, pd.DataFrame],
    shifts: tuple[str, ...],
    scales: tuple[str, ...] = ("logit", "probit", "linear"),
    own: pd.DataFrame | None = None,
) -> RobustnessExplorer:
    """Draw every combination once; the menus only look up.

    Parameters
    ----------
    groups : dict
        As ``model_groups`` returns it; the first group is the one the lines are fitted to.
    shifts : tuple of str
    scales : tuple of str
    own : pandas.DataFrame, optional
        Rows of ``own_model``, drawn as one more group.

    Explained in notebook 05_redraw_the_paper.
    """
    if not groups or not shifts:
        raise WiseftError("nothing to explore: give at least one group of models and one shift")
    groups = groups | ({"your own": own} if own is not None else {})
    frames, stills = {}, {}
    for shift, scale, axis in itertools.product(shifts, scales, (FULL, SUBSET)):
        reference = "ImageNet" if axis == FULL else f"ImageNet (classes of {shift})"
        if reference in set(groups[next(iter(groups))].dataset):
            fig = draw_frame(groups, shift, reference, scale)
            alt = f"Accuracy on {shift} against {reference}, {scale} axes, {len(groups)} groups of models and the standard line"
            frames[shift, scale, axis] = named_svg(fig, alt)
            if (scale, axis) == (scales[0], FULL):
                stills[shift] = png(fig, box="tight"), alt
            plt.close(fig)
    return RobustnessExplorer(frames, groups, stills)


def menu(name: str, options: tuple[str, ...]) -> widgets.Dropdown:
    """One menu, keyboard and all."""
    return widgets.Dropdown(options=options, description=name, layout={"width": "22em"})


def draw_frame(
    groups: dict[str, pd.DataFrame], shift: str, reference: str, scale: str, at_least: float = 0.0
) -> Figure:
    """One plot in which every group has a look of its own."""
    baseline = standard_line(groups, shift, reference, scale)
    fig, ax = plot_models(groups, shift, reference, baseline, scale, at_least, intervals=False)
    tell_apart(ax)
    return fig


def standard_line(groups: dict[str, pd.DataFrame], shift: str, reference: str, scale: str) -> Baseline:
    """The line of the first group; ImageNet-A gets its two pieces on the full x axis."""
    knot = KNOT if shift == "ImageNet-A" and reference == "ImageNet" else None
    return fit_table(next(iter(groups.values())), shift, reference, scale, knot)


def named_svg(fig: Figure, alt: str) -> str:
    """A figure as SVG; points of ``plot_models`` get a title, which browsers show on hovering."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wiseft-nb"}):
        fig.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    svg = ElementTree.fromstring(buffer.getvalue())
    svg.attrib |= {"role": "img", "aria-label": alt}
    layers = {layer.get("id"): layer for layer in svg.iter(f"{{{SVG}}}g")}
    for dots in fig.axes[0].collections:
        if hasattr(dots, "names"):
            title_points(layers[dots.get_gid()], dots.get_label().rpartition(" (")[0], dots.names)
    return ElementTree.tostring(svg, encoding="unicode")


def title_points(layer: ElementTree.Element, group: str, names: list[str]) -> None:
    """Give the points of one layer their titles, in the order they were drawn, and the layer its group."""
    points = list(layer.iter(f"{{{SVG}}}use"))
    if len(points) != len(names):
        raise WiseftError(f"{group} has {len(names)} models, but {len(points)} points were drawn")
    layer.set("data-group", group)
    for point, name in zip(points, names, strict=True):
        ElementTree.SubElement(point, f"{{{SVG}}}title").text = name


def only_layer(text: str, group: str) -> str:
    """The frame with the points of one group and of the standard models; the rest hidden."""
    if group == EVERYTHING:
        return text
    svg = ElementTree.fromstring(text)
    for layer in svg.iterfind(".//*[@data-group]"):
        name = layer.get("data-group")
        if name != group and not name.startswith("standard"):
            layer.set("display", "none")
    return ElementTree.tostring(svg, encoding="unicode")


def static_twin(
    groups: dict[str, pd.DataFrame],
    shift: str = MEAN,
    reference: str = "ImageNet",
    scale: str = "logit",
    at_least: float = 0.0,
) -> Figure:
    """One frame as an ordinary figure; models with a lower reference accuracy than ``at_least`` are not drawn."""
    if shift not in set(next(iter(groups.values())).dataset):
        raise unknown("shift", shift, set(next(iter(groups.values())).dataset))
    return draw_frame(groups, shift, reference, scale, at_least)


def tell_apart(ax: Axes) -> None:
    """Each group of models in a colour of its own, few ones large, the legend beside the plot."""
    for dots in ax.collections:
        name = dots.get_label().rpartition(" (")[0]
        if hasattr(dots, "names") and name in LOOKS:
            dots.set_facecolor(LOOKS[name][0])
            dots.set_sizes([LOOKS[name][1]])
            if name in NEW:
                dots.set(edgecolor="black", zorder=4)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
