"""Precomputed figures -> sliders. Moving a slider looks a frame up; nothing is computed then.

A notebook that is kept with its outputs, or a page made of it, has no kernel: there the slider of ``pages`` stands in.

Explained in notebook 03_interpolate.
"""

import base64
import html
from collections.abc import Mapping

from ipywidgets import HTML, SelectionSlider, VBox
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError
from wiseft_nb.plots.pages import page_slider, png


class AlphaSlider(VBox):
    """A slider, over alpha or something else, with a picture and a caption below it.

    The caption is also the picture's alternative text. The slider takes the arrow keys.

    Attributes
    ----------
    slider : ipywidgets.SelectionSlider
        ``slider.value = 0.5`` moves it by code.
    view : ipywidgets.HTML
        The picture and its caption.
    """

    def __init__(self, frames: Mapping[object, bytes], captions: Mapping[object, str], name: str = "alpha"):
        numbers = all(isinstance(key, int | float) for key in frames)
        self.name, self.captions = name, dict(captions)
        self.frames = {key: frames[key] for key in (sorted(frames) if numbers else frames)}
        options = [(f"{key:g}" if numbers else key, key) for key in self.frames]
        self.slider = SelectionSlider(
            options=options,
            description=name,
            continuous_update=True,
            style={"description_width": "initial"},
            layout={"width": "300px" if numbers else "450px"},
        )
        self.view = HTML()
        self.slider.observe(self.look_up, names="value")
        self.look_up()
        super().__init__([self.slider, self.view])

    def look_up(self, change: dict | None = None) -> None:
        """Show the frame the slider stands at."""
        self.put(self.frames[self.slider.value], self.captions[self.slider.value])

    def put(self, frame: bytes, caption: str) -> None:
        """Put a picture and its caption on screen."""
        picture, caption = base64.b64encode(frame).decode(), html.escape(caption)
        self.view.value = f'<img src="data:image/png;base64,{picture}" alt="{caption}"><p>{caption}</p>'

    def _repr_mimebundle_(self, **asked: object) -> dict:
        """The widget, and beside it what a page without a kernel shows."""
        page = page_slider(self.frames, self.captions, self.name, self.slider.value)
        return super()._repr_mimebundle_(**asked) | {"text/html": page, "text/plain": self.captions[self.slider.value]}


def alpha_slider(
    frames: Mapping[object, Figure | bytes], captions: Mapping[object, str], name: str = "alpha"
) -> AlphaSlider:
    """A slider over alpha, or over anything else, that looks up precomputed frames.

    Parameters
    ----------
    frames : mapping of float or str to Figure or bytes
        For each alpha a figure, or the bytes of a PNG. Figures are rendered once and closed.
    captions : mapping of float or str to str
        For each alpha one sentence that says what its frame shows.
    name : str
        What is moved. On a page without a kernel texts make a menu, numbers a slider.

    Returns
    -------
    AlphaSlider
        Set to the smallest number, or the first text.

    Raises
    ------
    WiseftError
        If there is no frame, or the positions of frames and captions differ.

    Examples
    --------
    >>> explorer = alpha_slider({0.0: b"", 0.5: b""}, {0.0: "zero-shot", 0.5: "half way"})
    >>> explorer.slider.value = 0.5
    >>> "half way" in explorer.view.value
    True
    """
    if not frames or set(frames) != set(captions):
        raise WiseftError(
            f"frames are for {name} {list(frames)} and captions for {list(captions)}: give one of each for each position"
        )
    rendered = {alpha: frame if isinstance(frame, bytes) else png(frame) for alpha, frame in frames.items()}
    return AlphaSlider(rendered, captions, name)
