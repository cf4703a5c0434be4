"""Whatever random damage a file has suffered, it is read or refused with a WiseftError: nothing else comes out.

Each kind of file gets ``WISEFT_NB_FUZZ_SEEDS`` (60) seeded mutations, ten times as many where they are quick,
within limited memory.
"""

import hashlib
import json
import os
import random
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from wiseft_nb import WiseftError, keep, load_benchmark, load_classifier, load_clip, save_classifier
from wiseft_nb.benchmarks.images import read_image
from wiseft_nb.course import notebook
from wiseft_nb.paths import DATA
from wiseft_nb.weights.checkpoint import checksum
from wiseft_nb.weights.exchange import import_classifier

SEEDS = int(os.environ.get("WISEFT_NB_FUZZ_SEEDS", "60"))
STRANGE = (
    None,
    True,
    -1,
    0,
    3,
    1.5,
    float("nan"),
    "",
    "x",
    "\ud800",
    "a\0b",
    "../x",
    [],
    [[]],
    {},
    [1] * 4,
)
HEAD = 4096  # bytes at the start of a file that get half of the mutations: the header, not the pixels or weights


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A few random bit flips, cuts, insertions, deletions and repetitions."""
    data = bytearray(content)
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        end = min(len(data), HEAD) if dice.random() < 0.5 else len(data)
        here, length = dice.randrange(end + 1), dice.randrange(1, 9)
        match dice.randrange(5):
            case 0 if here < len(data):
                data[here] ^= 1 << dice.randrange(8)
            case 1:
                del data[here:]
            case 2:
                data[here:here] = dice.randbytes(length)
            case 3:
                del data[here : here + length]
            case _:
                data[here:here] = data[here : here + dice.choice([length, 1000])]
    return bytes(data)


def mutated_json(content: bytes, dice: random.Random) -> bytes:
    """Bytes mutated; or one value anywhere replaced, by a strange one or by another from the same file."""
    if dice.random() < 0.3:
        return mutated(content, dice)
    about = json.loads(content)
    places, values = [], []

    def walk(value):
        values.append(value)
        items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [])
        for key, inner in items:
            places.append((value, key))
            walk(inner)

    walk(about)
    for _ in range(dice.choice([1, 1, 2])):
        parent, key = dice.choice(places)
        if isinstance(parent, dict) and dice.random() < 0.2:
            parent.pop(key, None)
        elif isinstance(parent, dict) or key < len(parent):
            parent[key] = json.loads(json.dumps(dice.choice([*STRANGE, dice.choice(values)])))
    try:
        return json.dumps(about).encode()
    except ValueError:  # a value put inside itself
        return content


def with_hash(content: bytes, folder, dice: random.Random) -> bytes:
    """In half of the cases with the right hashes, so that more than the hashes is tried."""
    try:
        about = json.loads(content)
        weights = next(folder.glob("*.safetensors")).read_bytes()
        if dice.random() < 0.5:
            about["sha256"] = hashlib.sha256(weights).hexdigest()
            about["checksum"] = checksum(about)
        return json.dumps(about).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return content


@pytest.fixture(autouse=True)
def limited_memory():
    """Two gigabytes more than now: an absurd size must fail at once, not take the machine with it."""
    resource = pytest.importorskip("resource", reason="memory is limited with resource.setrlimit")
    status = Path("/proc/self/statm")
    now = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    if now:
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(name: str, attempt, seeds: int = SEEDS) -> None:
    """Call ``attempt(dice)`` for every seed: some damage is read over, some refused, nothing else happens."""
    outcomes = {"read": 0, "refused": 0}
    for seed in range(seeds):
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                attempt(random.Random(f"{name} {seed}"))
            outcomes["read"] += 1
        except WiseftError:
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"seed '{name} {seed}' let out {type(error).__name__}") from error
        assert time.monotonic() - started < 60, f"seed '{name} {seed}' took {time.monotonic() - started:.0f} seconds"
    assert all(outcomes.values()), f"{name}: {outcomes}"


@pytest.mark.parametrize("part", ["*.json", "*.safetensors"])
def test_classifier(fine_tuned, tmp_path, part):
    folder = save_classifier(fine_tuned, tmp_path / "saved")
    (path,) = folder.glob(part)
    original, about = path.read_bytes(), (folder / "classifier.json").read_bytes()

    def attempt(dice):
        path.write_bytes((mutated_json if part == "*.json" else mutated)(original, dice))
        description = path.read_bytes() if part == "*.json" else about
        (folder / "classifier.json").write_bytes(with_hash(description, folder, dice))
        load_classifier(folder)

    fuzz(f"classifier {part}", attempt)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_import(fine_tuned, clip, tiny, tmp_path, kind):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    if kind == "safetensors":
        save_file(fine_tuned.state_dict(), path)
    else:
        torch.save(fine_tuned.state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    original = path.read_bytes()

    def attempt(dice):
        path.write_bytes(mutated(original, dice))
        import_classifier(path, clip, tiny.class_names)

    fuzz(f"import {kind}", attempt)


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_clip(tmp_path, name):
    folder = shutil.copytree(DATA / "models" / "digits-rn", tmp_path / "clip", copy_function=shutil.copyfile)
    original = (folder / name).read_bytes()

    def attempt(dice):
        (folder / name).write_bytes((mutated_json if name.endswith(".json") else mutated)(original, dice))
        load_clip(folder)

    fuzz(f"clip {name}", attempt)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "webp"])
def test_image(tmp_path, ending):
    path = tmp_path / f"image.{ending}"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    exif = {"exif": exif_of_a_camera()} if ending in ("png", "jpg", "webp") else {}
    Image.fromarray(pixels).save(path, **exif)
    original = path.read_bytes()

    def attempt(dice):
        path.write_bytes(mutated(original, dice))
        image = read_image(path)
        assert image.mode == "RGB" and image.width and image.height

    fuzz(f"image {ending}", attempt, 10 * SEEDS)


def exif_of_a_camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    return exif


def test_kept_table(monkeypatch, tmp_path):
    """A table that was kept comes back as it was, or is made again: never with another figure in it."""
    monkeypatch.setattr(notebook, "BUILD", tmp_path)
    table = pd.DataFrame({"alpha": [0.0, 0.5, 1.0], "accuracy": [0.88, 0.98, 0.99], "dataset": "mnist"})
    keep("table", (), lambda: table)
    (path,) = tmp_path.rglob("*.table")
    original = path.read_bytes()

    def attempt(dice):
        path.write_bytes(mutated(original, dice))
        made = []
        assert keep("table", (), lambda: made.append(1) or table).equals(table)
        if made:
            raise WiseftError("it was damaged and made again")

    fuzz("kept table", attempt, 10 * SEEDS)


def test_benchmark(tmp_path):
    for i, part in enumerate(("train", "val", "test", "shifts/night")):
        for j, name in enumerate(("cat", "dog")):
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("RGB", (4, 4), (i, j, 0)).save(tmp_path / part / name / "0.png")  # no two alike
    about = json.dumps({"class_names": ["cat", "dog"], "templates": ["a photo of a {}.", "{}"]}).encode()

    def attempt(dice):
        (tmp_path / "benchmark.json").write_bytes(mutated_json(about, dice))
        load_benchmark(tmp_path)

    fuzz("benchmark", attempt, 10 * SEEDS)
