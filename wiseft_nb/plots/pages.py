"""Precomputed figures -> a slider or a menu that works on a page without a kernel.

All figures lie side by side in one picture, of which one is on screen: beside each other they are packed far smaller
than one by one, for they have most of their ink in common. No library, no file besides, and nothing to load.

Explained in notebook R1_reference.
"""

import base64
import html
import io
import json
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from wiseft_nb.errors import WiseftError

# `this` is the slider or the menu; what is said of the figure stands below it and is its alternative text
MOVE = (
    "const at=this.type=='range'?+this.value:this.selectedIndex,all=this.closest('figure'),"
    "said=JSON.parse(all.dataset.captions)[at],picture=all.querySelector('img');"
    "picture.style.marginLeft=-100*at+'%';picture.alt=said;"
    "all.querySelector('figcaption').textContent=said;"
    "this.setAttribute('aria-valuetext',all.dataset.names.split('|')[at]);"
)


def page_slider(
    frames: Mapping[object, bytes], captions: Mapping[object, str], name: str = "alpha", at: object = None
) -> str:
    """HTML that moves through figures by itself: a slider if the keys are numbers, a menu otherwise.

    It takes the arrow keys, and tells a screen reader where it stands.

    Parameters
    ----------
    frames : mapping of float or str to bytes
        For each position the bytes of a PNG; smaller ones are set on white at the top left.
    captions : mapping of float or str to str
        For each position one sentence that says what its figure shows: its caption and alternative text.
    name : str
        What is moved.
    at : float or str, optional
        Where it stands at first; the first position, if it is not given.

    Returns
    -------
    str
        One ``<figure>``.

    Raises
    ------
    WiseftError
        If frames and captions are not for the same positions, or ``at`` is none of them.

    Explained in notebook R1_reference.
    """
    keys = list(frames)
    at = keys[0] if at is None and keys else at
    if not keys or set(keys) != set(captions) or at not in keys:
        raise WiseftError(
            f"frames are for {keys}, captions for {list(captions)}, and it begins at {at}: give a frame and a caption for "
            "each position, and begin at one of them"
        )
    numbers = all(isinstance(key, int | float) for key in keys)
    names = [f"{key:g}" if numbers else str(key) for key in keys]
    place = keys.index(at)
    picture, width = in_a_row([frames[key] for key in keys])
    control = range_of(names, place) if numbers else menu_of(names, place)
    said, sentences = html.escape(captions[at]), html.escape(json.dumps([captions[key] for key in keys]))
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return (
        f'<figure style="margin:0;max-width:{width}px" data-names="{html.escape("|".join(names))}"'
        f' data-captions="{sentences}"><label>{html.escape(name)} {control}</label>'
        f'<div style="overflow:hidden"><img src="{source}" alt="{said}" style="display:block;max-width:none;'
        f'width:{100 * len(keys)}%;margin-left:{-100 * place}%"></div><figcaption>{said}</figcaption></figure>'
    )


def range_of(names: list[str], place: int) -> str:
    """A slider over positions; ``autocomplete`` off, or a reloaded page would keep the slider and not the figure."""
    limits = f'min="0" max="{len(names) - 1}" value="{place}" aria-valuetext="{html.escape(names[place])}"'
    return f'<input type="range" {limits} autocomplete="off" style="width:60%" oninput="{MOVE}">'


def menu_of(names: list[str], place: int) -> str:
    """A menu over positions."""
    options = [f"<option{' selected' * (i == place)}>{html.escape(name)}</option>" for i, name in enumerate(names)]
    return f'<select autocomplete="off" onchange="{MOVE}">{"".join(options)}</select>'


def in_a_row(frames: list[bytes]) -> tuple[bytes, int]:
    """One PNG of 256 colours with all frames in a row, and the width of one of them in pixels."""
    pictures = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    width, height = (max(getattr(picture, side) for picture in pictures) for side in ("width", "height"))
    row = Image.new("RGB", (width * len(pictures), height), "white")
    for i, picture in enumerate(pictures):
        row.paste(picture, (width * i, 0))
    packed = io.BytesIO()
    row.quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue(), width


def png(fig: Figure, box: str | None = None) -> bytes:
    """A figure as the bytes of a PNG, with ``box="tight"`` all that reaches over its edge; the figure is closed."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=90, bbox_inches=box)
    plt.close(fig)
    return buffer.getvalue()
