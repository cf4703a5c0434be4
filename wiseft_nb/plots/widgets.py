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
    """A slider over alpha with a picture and a caption below it.

    The caption is also the picture's alternative text. The slider takes the arrow keys.

    Attributes
    ----------
    slider : ipywidgets.SelectionSlider
        ``slider.value = 0.5`` moves it by code.
    view : ipywidgets.HTML
        The picture and its caption.
    """

    def __init__(self, frames: Mapping[float, bytes], captions: Mapping[float, str]):
        self.frames, self.captions = dict(frames), dict(captions)
        options = [(f"{alpha:g}", alpha) for alpha in sorted(self.frames)]
        self.slider = SelectionSlider(options=options, description="alpha", continuous_update=True)
        self.view = HTML()
        self.slider.observe(self.look_up, names="value")
        self.look_up()
        super().__init__([self.slider, self.view])

    def look_up(self, change: dict | None = None) -> None:
        """Show the frame the slider stands at."""
        picture = base64.b64encode(self.frames[self.slider.value]).decode()
        caption = html.escape(self.captions[self.slider.value])
        self.view.value = f'<img src="data:image/png;base64,{picture}" alt="{caption}"><p>{caption}</p>'

    def _repr_mimebundle_(self, **asked: object) -> dict:
        """The widget, and beside it what a page without a kernel shows."""
        frames = {alpha: self.frames[alpha] for alpha in sorted(self.frames)}
        page = page_slider(frames, self.captions, at=self.slider.value)
        return super()._repr_mimebundle_(**asked) | {"text/html": page, "text/plain": self.captions[self.slider.value]}


def alpha_slider(frames: Mapping[float, Figure | bytes], captions: Mapping[float, str]) -> AlphaSlider:
    """A slider over alpha that looks up precomputed frames.

    Parameters
    ----------
    frames : mapping of float to Figure or bytes
        For each alpha a figure, or the bytes of a PNG. Figures are rendered once and closed.
    captions : mapping of float to str
        For each alpha one sentence that says what its frame shows.

    Returns
    -------
    AlphaSlider
        Set to the smallest alpha.

    Raises
    ------
    WiseftError
        If there is no frame, or the alphas of frames and captions differ.

    Examples
    --------
    >>> explorer = alpha_slider({0.0: b"", 0.5: b""}, {0.0: "zero-shot", 0.5: "half way"})
    >>> explorer.slider.value = 0.5
    >>> "half way" in explorer.view.value
    True
    """
    if not frames or set(frames) != set(captions):
        raise WiseftError(
            f"frames are for alphas {sorted(frames)} and captions for {sorted(captions)}: give one of each for each alpha"
        )
    rendered = {alpha: frame if isinstance(frame, bytes) else png(frame) for alpha, frame in frames.items()}
    return AlphaSlider(rendered, captions)
