"""An image has one reading: upright, on white, eight bits by its format; from a file and in memory alike."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from wiseft_nb import WiseftError, classify, evaluate
from wiseft_nb.benchmarks.images import ListedImages, read_image, upright_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def turned(path, orientation=6):
    """Stored lying on its side, with the tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(np.rot90(PIXELS))).save(path, exif=exif)
    return path


def see_through(path):
    Image.fromarray(np.dstack([PIXELS, np.where(PIXELS[:, :, :1] > 99, 255, 0).astype(np.uint8)])).save(path)
    return path


def key_colour(path):
    Image.fromarray(PIXELS).save(path, transparency=tuple(map(int, PIXELS[0, 0])))
    return path


def wide(path):
    Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300).save(path)
    return path


CASES = {"turned.png": turned, "turned.webp": turned, "alpha.png": see_through, "key.png": key_colour}
CASES |= {"wide.png": wide, "wide.tiff": wide, "wide.pgm": wide, "turned.tiff": turned}


@pytest.mark.parametrize("name", CASES)
def test_a_file_and_the_image_opened_from_it_read_alike(tmp_path, name):
    path = CASES[name](tmp_path / name)
    expected = np.asarray(read_image(path))
    with Image.open(path) as image:
        before = image.copy().tobytes()
        info, size = dict(image.info), image.size
        assert np.array_equal(np.asarray(upright_rgb(image)), expected)
        assert np.array_equal(np.asarray(upright_rgb(upright_rgb(image))), expected), "turned once, not twice"
        assert (image.copy().tobytes(), image.info, image.size) == (before, info, size), "the image is as it was"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_torchvisions_loader_hands_on_is_turned(tmp_path, orientation):
    """It converts to RGB, which keeps the tag and turns nothing."""
    (tmp_path / "0").mkdir()
    path = turned(tmp_path / "0/a.png", orientation)
    image, _ = ImageFolder(tmp_path)[0]
    assert np.array_equal(np.asarray(upright_rgb(image)), np.asarray(read_image(path)))
    small = upright_rgb(image.resize((4, 4)).crop((0, 0, 2, 4)))
    assert small.size == ((4, 2) if orientation >= 5 else (2, 4)), "resizing keeps the tag, too"


def test_transparency_that_another_loader_has_dropped_is_lost(tmp_path):
    """Nothing is left to tell it by: said in upright_rgb, true here."""
    (tmp_path / "0").mkdir()
    path = see_through(tmp_path / "0/a.png")
    image, _ = ImageFolder(tmp_path)[0]
    assert not np.array_equal(np.asarray(upright_rgb(image)), np.asarray(read_image(path)))


def test_a_plain_image_is_handed_back_as_it_is():
    image = Image.fromarray(PIXELS)
    assert upright_rgb(image) is image
    assert upright_rgb(upright_rgb(image.convert("L"))) is not image


def test_an_image_read_from_a_photograph_needs_no_second_look(tmp_path):
    image = read_image(turned(tmp_path / "a.png"))
    assert upright_rgb(image) is image


def jpeg_with(value, kind):
    """A JPEG that is to be turned a quarter, whose resolution is nonsense."""
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, "JPEG")
    tags = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + struct.pack("<HHII", 0x11A, kind, 1, 38)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + tags + bytes(4) + value
    content = file.getvalue()
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


def png_with_exif(exif):
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, "PNG")
    content, chunk = file.getvalue(), b"eXIf" + exif
    return content[:33] + struct.pack(">I", len(exif)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (jpeg_with(struct.pack("<ii", -1, 0), 10), (32, 48)),
        (jpeg_with(struct.pack("<ii", -1, 1), 10), (32, 48)),
        (jpeg_with(struct.pack("<II", 1, 0), 5), (32, 48)),
        (png_with_exif(b"\0\x08\0\x02\x01\x12\0\x03"), (48, 32)),
        (png_with_exif(b""), (48, 32)),
    ],
)
def test_broken_metadata_do_not_make_a_sound_image_unreadable(tmp_path, content, size):
    """Turned where the orientation can be told, else as it is stored: as every viewer does."""
    (tmp_path / "a").write_bytes(content)
    assert read_image(tmp_path / "a").size == upright_rgb(Image.open(io.BytesIO(content))).size == size


def test_dark_and_bright_images_of_one_format_are_scaled_alike(tmp_path):
    """A range guessed from each image's values would show a dark one as bright as the others."""
    for name, factor in (("dark", 1), ("bright", 1000)):
        for ending in ("png", "tiff", "pgm"):
            path = tmp_path / f"{name}.{ending}"
            Image.fromarray(np.full((4, 4), 50 * factor, np.uint16)).save(path)
            assert np.asarray(read_image(path)).max() == round(50 * factor / 257)
    for top in (1.0, 0.01):
        Image.fromarray(np.full((4, 4), top, np.float32)).save(tmp_path / "a.tiff")
        assert np.asarray(read_image(tmp_path / "a.tiff")).max() == round(top * 255)


@pytest.mark.parametrize("top", [9, 255, 65535, 10**6])
def test_whole_numbers_of_32_bits_are_refused_whatever_they_are(tmp_path, top):
    image = Image.fromarray(np.full((4, 4), top, np.int32))
    image.save(tmp_path / "a.tiff")
    for read in (lambda: read_image(tmp_path / "a.tiff"), lambda: upright_rgb(image)):
        with pytest.raises(WiseftError, match=r"whole numbers of 32 bits.*save it with 8"):
            read()


@pytest.mark.parametrize("damage", ["truncated", "closed", "float"])
def test_an_image_in_memory_that_cannot_be_read_is_refused_in_a_sentence(tmp_path, zero_shot, damage):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    image = Image.open(path) if damage != "float" else Image.fromarray(np.full((4, 4), 7, np.float32))
    if damage == "closed":
        image.close()
    for read in (lambda: upright_rgb(image), lambda: classify(zero_shot, [image], progress=False)):
        with pytest.raises(WiseftError, match="an image in memory cannot be read"):
            read()


@pytest.fixture
def strange(tmp_path, benchmark):
    """A digit stored lying on its side, and one drawn in black on nothing, a class folder each."""
    exif = Image.Exif()
    exif[0x0112] = 6
    digit = np.rot90(np.asarray(benchmark.reference[3][0].resize((64, 64))))
    ink = np.zeros((28, 28, 4), np.uint8)
    ink[8:20, 12:16, 3] = 255
    for name in "01":
        (tmp_path / name).mkdir()
    Image.fromarray(np.ascontiguousarray(digit)).save(tmp_path / "0/a.png", exif=exif)
    Image.fromarray(ink).save(tmp_path / "1/b.png")
    return tmp_path


def test_every_way_to_ask_a_classifier_says_the_same(strange, zero_shot):
    paths = sorted(strange.rglob("*.png"))
    expected = classify(zero_shot, paths, progress=False).label.tolist()
    assert classify(zero_shot, map(Image.open, paths), progress=False).label.tolist() == expected
    assert zero_shot.predict([Image.open(path) for path in paths]) == expected
    listed = ListedImages(strange, [(path, i) for i, path in enumerate(paths)], classes=2)
    assert [zero_shot.class_names[i] for i in evaluate(zero_shot, listed).predicted] == expected
    folder = ImageFolder(strange, loader=Image.open)
    assert [zero_shot.class_names[i] for i in evaluate(zero_shot, folder).logits.argmax(1)] == expected
    own_loader = evaluate(zero_shot, ImageFolder(strange)).logits.argmax(1)
    assert zero_shot.class_names[own_loader[0]] == expected[0], "turned, but transparency is gone by then"
