"""Image files of every kind are read as what they show, or refused by name: never silently as something else."""

import gc
import json
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from wiseft_nb import WiseftError, load_benchmark
from wiseft_nb.benchmarks.images import read_image
from wiseft_nb.benchmarks.own.folder import ImageFiles

SHAPE = (5, 7)  # rows, columns: not square, so that a turned image shows
GREY = np.arange(35, dtype=np.uint8).reshape(SHAPE) * 7
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
ALPHA = np.where(np.arange(7) < 3, 0, 255).astype(np.uint8) * np.ones((5, 1), np.uint8)
WIDE = np.arange(35, dtype=np.uint16).reshape(SHAPE) * 1900
WHITE = np.array([255, 255, 255])


def three(grey):
    return np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)


def on_white(pixels, alpha=ALPHA):
    return np.where(alpha[:, :, None] == 0, WHITE, pixels)


def to_8_bits(wide):
    return three(np.round(wide / 257))


def half_transparent(path):
    """Alpha 128 of 255: half the colour, half white."""
    Image.fromarray(np.dstack([COLOUR, np.full(SHAPE, 128, np.uint8)])).save(path)
    return np.round((COLOUR * 128.0 + 255 * 127.0) / 255)


def palette(path):
    image = Image.fromarray(COLOUR).quantize(64, dither=Image.Dither.NONE)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def palette_with_transparency(path):
    image = Image.fromarray(np.minimum(GREY // 7, 3), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(path, transparency=2)
    colours = np.array([[10, 20, 30], [40, 50, 60], [255, 255, 255], [100, 110, 120]])
    return colours[np.minimum(GREY // 7, 3)]


def one_bit(path):
    Image.fromarray(GREY > 100).save(path)
    return three((GREY > 100) * 255)


def cmyk(path):
    """Full cyan is no red, full black is black."""
    pixels = np.zeros((*SHAPE, 4), np.uint8)
    pixels[:, :3, 0], pixels[:, 5:, 3] = 255, 255
    Image.fromarray(pixels, "CMYK").save(path)
    expected = np.full((*SHAPE, 3), 255)
    expected[:, :3, 0], expected[:, 5:] = 0, 0
    return expected


def jpeg_cmyk(path):
    """Adobe stores it inverted."""
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(path, quality=95)
    return np.full((16, 16, 3), (0, 255, 255))


def rotated(path):
    """Stored lying on its side, with the tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    Image.fromarray(np.rot90(COLOUR)).save(path, exif=exif)
    return COLOUR


def animated(path):
    frames = [Image.fromarray(COLOUR), Image.new("RGB", (7, 5)), Image.new("RGB", (7, 5), "red")]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, **options)
    return COLOUR


def animated_gif(path):
    frames = [Image.new("RGB", (7, 5), colour) for colour in ("blue", "black", "red")]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    return np.full((*SHAPE, 3), (0, 0, 255))


def saved(pixels, expected, **options):
    def make(path):
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
        return expected

    return make


def big_endian(path):
    Image.frombytes("I;16B", (7, 5), WIDE.astype(">u2").tobytes()).save(path)
    return to_8_bits(WIDE)


KINDS = {
    "grey.png": saved(GREY, three(GREY)),
    "grey.bmp": saved(GREY, three(GREY)),
    "grey.gif": saved(GREY, three(GREY)),
    "grey.pgm": saved(GREY, three(GREY)),
    "colour.png": saved(COLOUR, COLOUR),
    "colour.bmp": saved(COLOUR, COLOUR),
    "colour.webp": saved(COLOUR, COLOUR, lossless=True),
    "colour.ppm": saved(COLOUR, COLOUR),
    "colour.TIFF": saved(COLOUR, COLOUR),
    "grey-alpha.png": saved(np.dstack([GREY, ALPHA]), on_white(three(GREY))),
    "alpha.png": saved(np.dstack([COLOUR, ALPHA]), on_white(COLOUR)),
    "alpha.webp": saved(np.dstack([COLOUR, ALPHA]), on_white(COLOUR), lossless=True, exact=True),
    "half-transparent.png": half_transparent,
    "colour-key.png": saved(COLOUR, on_white(COLOUR, (GREY != 0)), transparency=tuple(map(int, COLOUR[0, 0]))),
    "palette.png": palette,
    "palette.gif": palette,
    "palette-transparency.png": palette_with_transparency,
    "palette-transparency.gif": palette_with_transparency,
    "one-bit.png": one_bit,
    "cmyk.tiff": cmyk,
    "cmyk.jpg": jpeg_cmyk,
    "16-bit.png": saved(WIDE, to_8_bits(WIDE)),
    "16-bit-dark.png": saved(GREY.astype(np.uint16), to_8_bits(GREY)),
    "16-bit.tiff": saved(WIDE, to_8_bits(WIDE)),
    "16-bit-big-endian.tiff": big_endian,
    "float.tiff": saved((GREY / 255).astype(np.float32), three(GREY)),
    "rotated.png": rotated,
    "animated.png": animated,
    "animated.webp": animated,
    "animated.gif": animated_gif,
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_shows_what_it_shows(tmp_path, name):
    expected = KINDS[name](tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.mode == "RGB"
    np.testing.assert_allclose(np.asarray(image).astype(int), expected, atol=2 if name.endswith(".jpg") else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path, orientation):
    """All eight ways a camera may be held; red in the top left corner, blue in the top right."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:] = (255, 0, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored[orientation]))
    image.save(tmp_path / "photo.jpg", exif=exif, quality=95, subsampling=0)
    read = np.asarray(read_image(tmp_path / "photo.jpg")).astype(int)
    assert read.shape == upright.shape and np.abs(read - upright).mean() < 4


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width, height):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def truncated(share, size=200):
    def make(path):
        noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        cut(path, share)

    return make


def flipped(path):
    """One bit of the pixels of a PNG, which its checksum tells."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def floats_without_range(path):
    Image.fromarray(GREY.astype(np.float32) * 3).save(path)


IMAGE_FAULTS = {
    "empty.png": lambda path: path.write_bytes(b""),
    "text.png": lambda path: path.write_text("this is no image"),
    "page.jpg": lambda path: path.write_text("<!DOCTYPE html><html><title>404 Not Found</title></html>"),
    "postscript.png": lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
    "of-another-format.png": lambda path: Image.fromarray(COLOUR).save(path, format="PCX"),
    "folder.png": lambda path: path.mkdir(),
    "cut.png": truncated(0.5),
    "cut-at-the-end.png": truncated(0.9999),
    "cut.jpg": truncated(0.5),
    "cut-at-the-end.jpg": truncated(0.98),
    "cut.gif": truncated(0.5),
    "cut.bmp": truncated(0.5),
    "cut.webp": truncated(0.5),
    "header-alone.jpg": truncated(0.001),
    "flipped-bit.png": flipped,
    "bomb.png": lambda path: path.write_bytes(png_of_size(100_000, 100_000)),
    "zero-width.png": lambda path: path.write_bytes(png_of_size(0, 5)),
    "zero-height.png": lambda path: path.write_bytes(png_of_size(5, 0)),
    "float.tiff": floats_without_range,
    "nan.tiff": lambda path: Image.fromarray(np.full(SHAPE, np.nan, np.float32)).save(path),
    "negative.tiff": lambda path: Image.fromarray(np.full(SHAPE, -1, np.int32)).save(path),
    "missing.png": lambda path: None,
}


@pytest.mark.parametrize("name", IMAGE_FAULTS)
def test_what_is_no_image_is_refused_by_its_path(tmp_path, name):
    IMAGE_FAULTS[name](tmp_path / name)
    with pytest.raises(WiseftError) as error:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


def test_truncated_images_are_not_filled_up():
    """A switch of Pillow's that would show grey where the file ends."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_no_file_stays_open(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "0.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(3):
            read_image(tmp_path / "0.png")
            with pytest.raises(WiseftError):
                read_image(tmp_path / "cut.png")
        gc.collect()


@pytest.fixture
def cats_and_dogs(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(COLOUR).save(tmp_path / name / "0.png")
    return ImageFiles(tmp_path, ["cat", "dog"])


def test_content_is_names_labels_and_bytes(cats_and_dogs):
    file = (cats_and_dogs.folder / "cat" / "0.png").read_bytes()
    assert list(cats_and_dogs.content()) == [b"cat/0.png 0", file, b"dog/0.png 1", file]
    (cats_and_dogs.folder / "dog" / "0.png").unlink()
    with pytest.raises(WiseftError, match=r"0\.png"):
        list(cats_and_dogs.content())


def test_a_folder_named_like_an_image_is_walked_as_any_other(cats_and_dogs):
    (cats_and_dogs.folder / "cat" / "1.png").mkdir()
    Image.fromarray(COLOUR).save(cats_and_dogs.folder / "cat" / "1.png" / "2.png")
    images = ImageFiles(cats_and_dogs.folder, ["cat", "dog"])
    assert [path.name for path, _ in images.files] == ["0.png", "2.png", "0.png"]


@pytest.mark.parametrize(
    "about",
    [
        {"class_names": "cat"},
        {"class_names": [1, 2]},
        {"class_names": []},
        {"class_names": ["cat"], "templates": []},
        {"class_names": ["cat"], "templates": [3]},
        {"class_names": ["cat"], "templates": 3},
        {"class_names": {"cat": 0}},
    ],
)
def test_a_description_with_wrong_types_is_refused(tmp_path, about):
    for part in ("train", "val", "reference"):
        (tmp_path / part / "cat").mkdir(parents=True)
        Image.fromarray(COLOUR).save(tmp_path / part / "cat" / "0.png")
    (tmp_path / "benchmark.json").write_text(json.dumps(about))
    with pytest.raises(WiseftError, match=r"benchmark\.json"):
        load_benchmark(tmp_path)


@pytest.mark.filterwarnings("ignore:.*outside is not read")
@pytest.mark.parametrize("name", ["../outside", "a" * 5000, "nul\0byte", "\ud800"])
def test_a_class_name_reaches_no_other_folder(tmp_path, name):
    """Class names are looked up among the folders there are, never made into a path."""
    for part in ("train", "val", "reference"):
        (tmp_path / "mine" / part / "cat").mkdir(parents=True)
        Image.fromarray(COLOUR).save(tmp_path / "mine" / part / "cat" / "0.png")
    (tmp_path / "mine" / "outside").mkdir()
    Image.fromarray(COLOUR).save(tmp_path / "mine" / "outside" / "0.png")
    (tmp_path / "mine" / "benchmark.json").write_text(json.dumps({"class_names": ["cat", name]}))
    assert [label for _, label in load_benchmark(tmp_path / "mine", complete=False).train] == [0]
