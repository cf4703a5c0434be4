"""What is drawn on a screen becomes an image as MNIST's are, and a pad reads it whenever the pen is lifted."""

import numpy as np
import pandas as pd
import pytest

from wiseft_nb.benchmarks.digits.strokes import EXAMPLES, strokes_to_image
from wiseft_nb.errors import WiseftError
from wiseft_nb.plots import drawing
from wiseft_nb.plots.drawing import drawing_pad

CLASSES = list("0123456789")
SEVEN = EXAMPLES["a seven"]


def ink(strokes):
    return np.asarray(strokes_to_image(strokes))[..., 0] / 255


def guess(image):
    """A model that says 1 of tall ink and 0 of the rest."""
    rows, columns = np.asarray(image)[..., 0].nonzero()
    tall = np.ptp(rows) > np.ptp(columns)
    return pd.DataFrame({"zero-shot": [1 - tall, tall, *[0] * 8]}, index=CLASSES, dtype=float)


def test_a_drawing_has_the_format_of_the_benchmark(benchmark):
    drawn, real = strokes_to_image(SEVEN), benchmark.reference[0][0]
    assert (drawn.size, drawn.mode) == (real.size, real.mode)
    pixels = np.asarray(drawn)
    assert pixels.dtype == np.uint8 and (pixels == pixels[..., :1]).all(), "grey"
    assert pixels.max() == 255 and not pixels[[0, 0, -1, -1], [0, -1, 0, -1]].any(), "white on black"


@pytest.mark.parametrize("name", EXAMPLES)
def test_ink_box_and_centre_are_those_of_mnist(name, benchmark):
    """Against 1,000 real digits: how much ink, how many grey pixels, how large, and where the centre of mass lies."""

    def measures(image):
        rows, columns = (image > 0.1).nonzero()
        y, x = (np.average(np.arange(32), weights=image.sum(axis=axis)) for axis in (1, 0))
        grey = ((image > 0.1) & (image < 0.9)).mean()
        return image.mean(), grey, max(np.ptp(rows), np.ptp(columns)), y, x

    real = np.array([measures(image[..., 0] / 255) for image in benchmark.reference.images])
    low, high = np.quantile(real, [0.01, 0.99], axis=0)
    found = measures(ink(EXAMPLES[name]))
    assert (low <= found).all() and (found <= high).all(), (low, found, high)


def test_size_and_place_of_a_drawing_do_not_matter():
    far = [[(300 + 7 * x, 50 + 7 * y) for x, y in stroke] for stroke in SEVEN]
    assert np.abs(ink(far) - ink(SEVEN)).max() < 0.02


def test_a_shape_is_not_stretched_and_a_dot_is_a_dot():
    rows, columns = ink([[(5, 0), (5, 40)]]).nonzero()
    assert np.ptp(rows) > 4 * np.ptp(columns)
    rows, columns = ink([[(5, 5)]]).nonzero()
    assert np.ptp(rows) < 8 and np.ptp(columns) < 8
    with pytest.raises(WiseftError, match="draw something"):
        strokes_to_image([[]])


@pytest.mark.parametrize("library", [True, False])
def test_a_drawing_is_read_when_the_pen_is_lifted_and_examples_are_looked_up(monkeypatch, library):
    if library:
        pytest.importorskip("ipycanvas", reason="needs the extra 'draw'")
    else:
        monkeypatch.setattr(drawing, "Canvas", None)
    asked = []
    pad = drawing_pad(lambda image: asked.append(image) or guess(image))
    assert (pad.canvas is not None) == library and ("wiseft-nb[draw]" in pad.children[0].value) != library
    before = len(asked)
    pad.slider.value = "a one with a long flag"
    assert len(asked) == before == len(EXAMPLES) and "says" in pad.view.value
    pad.begin(20, 100)
    pad.move(150, 101)
    assert len(pad.strokes) == 1, "the example is gone"
    pad.end()
    pad.move(160, 160)  # not touching
    assert pad.strokes == [[(20, 100), (150, 101)]]
    assert "zero-shot says 0 (100 %)" in pad.view.value and len(asked) == before + 1
    pad.clear()
    assert not pad.strokes and "Nothing" in pad.view.value


def test_a_page_without_a_kernel_has_the_readings_of_the_examples():
    page = drawing_pad(guess)._repr_mimebundle_()
    assert "<select" in page["text/html"] and all(name in page["text/html"] for name in EXAMPLES)
    assert "says" in page["text/plain"]
