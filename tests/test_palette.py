"""No claim rests on colour alone: colours differ to every kind of eye that sees some, and in greyscale markers do."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import rgb2lab

from wiseft_nb.plots import MARKERS, ROLES, SERIES

# Linear RGB as a dichromat sees it: Vienot, Brettel and Mollon 1999 (red and green), Machado et al. 2009 (blue)
EYES = {
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "greyscale": [[0.2126, 0.7152, 0.0722]] * 3,
}
ALIKE = 10  # CIELAB; about four times what is just noticed; the palette's closest pair has 10.7


def seen_by(colour, eye):
    """The colour in CIELAB as that eye sees it."""
    encoded = np.array(to_rgb(colour))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(EYES[eye]) @ linear if eye in EYES else linear, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def distance(first, second, eye):
    return np.linalg.norm(seen_by(first, eye) - seen_by(second, eye))


@pytest.mark.parametrize("eye", ["usual", *EYES])
@pytest.mark.parametrize("colours", [[look["color"] for look in ROLES.values()], SERIES], ids=["roles", "series"])
def test_colours_are_told_apart_by_every_eye_that_sees_some(eye, colours):
    if eye != "greyscale":
        assert min(distance(a, b, eye) for a, b in itertools.combinations(colours, 2)) > ALIKE


def test_in_greyscale_colours_are_alike_and_markers_differ():
    """So a figure says by shape what it says by colour; ``plot_curves`` gives the n-th line the n-th of both."""
    assert distance(ROLES["zero-shot"]["color"], ROLES["standard"]["color"], "greyscale") < ALIKE
    markers = [look["marker"] for look in ROLES.values()]
    assert len(set(markers)) == len(markers) and len(set(MARKERS[: len(SERIES)])) == len(SERIES)
