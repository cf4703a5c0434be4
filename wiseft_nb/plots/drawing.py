"""A canvas to draw a digit on, and what several models read there.

The canvas is ipycanvas's, the extra ``draw``. Without it, and on a page without a kernel, ready-made drawings stand in.

Explained in notebook 03_interpolate.
"""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from ipywidgets import HTML, Button, HBox, VBox
from matplotlib.figure import Figure
from PIL.Image import Image

from wiseft_nb.benchmarks.digits.strokes import EXAMPLES, Strokes, strokes_to_image
from wiseft_nb.plots.pages import png
from wiseft_nb.plots.style import ROLES
from wiseft_nb.plots.widgets import alpha_slider

try:
    from ipycanvas import Canvas
except ImportError:  # an extra
    Canvas = None

SIDE = 200  # pixels of the canvas
MISSING = (
    "To draw with the mouse, install ipycanvas: pip install 'wiseft-nb[draw]'. Ready-made drawings are read below."
)
HOW = "Draw a digit in the frame with mouse, pen or finger, or move the slider to a ready-made drawing."


class DrawingPad(VBox):
    """A canvas, a slider over ready-made drawings, and the reading of what was drawn last.

    Attributes
    ----------
    strokes : list of list of (x, y)
        What is on the canvas.
    slider : ipywidgets.SelectionSlider
        ``slider.value = "a letter A"`` moves it by code.
    view : ipywidgets.HTML
        The picture of the reading, and its caption.
    """

    def __init__(self, read: Callable[[Image], pd.DataFrame], examples: Mapping[str, Strokes]):
        self.read, self.examples = read, dict(examples)
        readings = {name: reading(read, strokes) for name, strokes in self.examples.items()}
        frames, captions = ({name: found[i] for name, found in readings.items()} for i in (0, 1))
        self.of_examples = alpha_slider(frames, captions, "drawing")
        self.slider, self.view = self.of_examples.slider, self.of_examples.view
        self.slider.observe(self.show_example, names="value")
        self.canvas = canvas_for(self) if Canvas else None
        self.show_example()
        super().__init__([*self.above(), self.of_examples])

    def above(self) -> list:
        """What stands over the slider."""
        if not self.canvas:
            return [HTML(f"<p>{MISSING}</p>")]
        clear = Button(description="clear")
        clear.on_click(self.clear)
        return [HTML(f"<p>{HOW}</p>"), HBox([self.canvas, clear])]

    def clear(self, *_: object) -> None:
        """Begin anew."""
        self.wipe()
        self.view.value = "<p>Nothing is drawn.</p>"

    def wipe(self) -> None:
        """An empty canvas; the reading stays until there is another."""
        self.strokes, self.down, self.example = [], False, False
        if self.canvas:
            self.canvas.clear()

    def show_example(self, *_: object) -> None:
        """Draw the example that the slider names; the slider has looked its reading up."""
        self.wipe()
        for stroke in self.examples[self.slider.value]:
            self.strokes.append([(SIDE * (1 + 0.9 * x) / 20, SIDE * (1 + 0.9 * y) / 20) for x, y in stroke])
            if self.canvas:
                self.canvas.stroke_lines(self.strokes[-1])
        self.example = True

    def begin(self, x: float, y: float) -> None:
        """The pen touches; an example goes as soon as somebody draws."""
        if self.example:
            self.wipe()
        self.strokes.append([(x, y)])
        self.down = True

    def move(self, x: float, y: float) -> None:
        """The pen moves."""
        if self.down:
            if self.canvas:
                self.canvas.stroke_line(*self.strokes[-1][-1], x, y)
            self.strokes[-1].append((x, y))

    def end(self, *_: object) -> None:
        """The pen is lifted, and all that was drawn is read."""
        if self.down:
            self.down = False
            self.of_examples.put(*reading(self.read, self.strokes))

    def _repr_mimebundle_(self, **asked: object) -> dict:
        """The widget, and beside it what a page without a kernel shows: the ready-made drawings."""
        page = self.of_examples._repr_mimebundle_(**asked)
        return super()._repr_mimebundle_(**asked) | {kind: page[kind] for kind in ("text/html", "text/plain")}


def drawing_pad(read: Callable[[Image], pd.DataFrame], examples: Mapping[str, Strokes] | None = None) -> DrawingPad:
    """A canvas whose drawing is read whenever the pen is lifted; a slider has ready-made drawings.

    Parameters
    ----------
    read : function
        An image of 32 x 32 pixels -> a table of probabilities, a row a class and a column a model.
    examples : mapping of str to strokes, optional
        As ``strokes_to_image`` takes them, within 20 x 20; four are there.

    Examples
    --------
    >>> pad = drawing_pad(lambda image: pd.DataFrame({"model": [0.25, 0.75]}, index=["0", "1"]))
    >>> "model says 1 (75 %)" in pad.view.value
    True

    Explained in notebook 03_interpolate.
    """
    return DrawingPad(read, EXAMPLES if examples is None else examples)


def canvas_for(pad: DrawingPad) -> "Canvas":
    """A framed canvas that tells the pad what mouse, pen and finger do."""
    canvas = Canvas(width=SIDE, height=SIDE, layout={"border": "2px solid black"})
    canvas.line_width, canvas.line_cap, canvas.line_join = SIDE / 12, "round", "round"
    canvas.on_mouse_down(pad.begin)
    canvas.on_mouse_move(pad.move)
    for lifted in (canvas.on_mouse_up, canvas.on_mouse_out, canvas.on_touch_end):
        lifted(pad.end)
    canvas.on_touch_start(lambda fingers: pad.begin(*fingers[0]))
    canvas.on_touch_move(lambda fingers: pad.move(*fingers[0]))
    return canvas


def reading(read: Callable[[Image], pd.DataFrame], strokes: Strokes) -> tuple[bytes, str]:
    """What the models read in strokes: a picture, and the sentence that says it."""
    image = strokes_to_image(strokes)
    table = read(image)
    said = ", ".join(f"{model} says {p.idxmax()} ({100 * p.max():.0f} %)" for model, p in table.items())
    return png(plot_reading(image, table)[0]), said


def plot_reading(image: Image, table: pd.DataFrame) -> tuple[Figure, np.ndarray]:
    """An image, and beside it for each model a bar for the probability of each class.

    Parameters
    ----------
    image : PIL.Image.Image
    table : pandas.DataFrame
        A row a class, a column a model.

    Explained in notebook 03_interpolate.
    """
    fig, axes = plt.subplots(1, 1 + table.shape[1], figsize=(2 + 2.3 * table.shape[1], 2))
    axes[0].imshow(image, interpolation="nearest")
    axes[0].set(xticks=[], yticks=[], title="drawing")
    for ax, (model, probabilities) in zip(axes[1:], table.items(), strict=True):
        ax.bar(table.index, probabilities, color=ROLES.get(model, ROLES["interpolated"])["color"])
        ax.set(ylim=(0, 1), yticks=(0, 1), title=f"{model}: {probabilities.idxmax()}")
        sns.despine(ax=ax)
    fig.subplots_adjust(left=0.01, right=0.99, bottom=0.14, top=0.86)
    return fig, axes
