"""Precomputed figures -> sliders. Moving a slider looks a frame up; nothing is computed then.

Explained in notebook 03_interpolate.
"""

import base64
import html
import io
from collections.abc import Mapping

import matplotlib.pyplot as plt
from ipywidgets import HTML, SelectionSlider, VBox
from matplotlib.figure import Figure

from wiseft_nb.errors import WiseftError


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


def png(fig: Figure) -> bytes:
    """A figure as the bytes of a PNG; the figure is closed."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=90)
    plt.close(fig)
    return buffer.getvalue()
