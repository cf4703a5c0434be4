"""What is refused: each fault by one clear sentence that names the file or key, and nothing on disk is changed.

``FAULTS`` is the whole list.
"""

import copy
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from test_exchange import IMPORT_FAULTS, layout_of, vision_transformer
from test_images import IMAGE_FAULTS

from wiseft_nb import (
    WiseftError,
    fine_tune,
    interpolate,
    load_classifier,
    save_classifier,
    sweep,
    wise_ft,
    zero_shot_classifier,
)
from wiseft_nb.benchmarks.images import read_image
from wiseft_nb.engine.files import write_whole
from wiseft_nb.weights.checkpoint import checksum
from wiseft_nb.weights.exchange import export_to_open_clip, import_classifier

ABOUT = "classifier.json"


def weights_of(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def rewrite(change: Callable[[bytes], bytes], pattern: str = "*.safetensors"):
    """A damage that changes the bytes of a file."""

    def damage(folder):
        (path,) = folder.glob(pattern)
        path.write_bytes(change(path.read_bytes()))

    return damage


def describe(*keys: str, value: object):
    """A damage that changes a field of the description, checksum included, as a careful editor would."""

    def damage(folder):
        about = json.loads((folder / ABOUT).read_text())
        inner = about
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (folder / ABOUT).write_text(json.dumps(about | {"checksum": checksum(about)}))

    return damage


def reweigh(change: Callable[[dict], object]):
    """A damage to the tensors, hash and checksum included."""

    def damage(folder):
        state = load_file(weights_of(folder))
        change(state)
        weights = save(state)
        weights_of(folder).write_bytes(weights)
        describe("sha256", value=hashlib.sha256(weights).hexdigest())(folder)

    return damage


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def remove(pattern: str):
    return lambda folder: next(folder.glob(pattern)).unlink()


def replace_all_by(name: str):
    """A damage that leaves a pickle where the classifier was."""

    def damage(folder):
        for path in folder.iterdir():
            path.unlink()
        torch.save(torch.nn.Linear(2, 2), folder / name)

    return damage


CLASSIFIER_FAULTS = {
    "the description is missing": (remove(ABOUT), ABOUT),
    "the weights are missing": (remove("*.safetensors"), "lacks the weights"),
    "the description is empty": (rewrite(lambda _: b"", ABOUT), ABOUT),
    "the description is truncated": (rewrite(lambda c: c[: len(c) // 2], ABOUT), ABOUT),
    "the description has a flipped bit": (rewrite(flip, ABOUT), ABOUT),
    "the description is not UTF-8": (rewrite(lambda c: b"\xff\xfe" + c, ABOUT), ABOUT),
    "the description is nested without end": (rewrite(lambda _: b"[" * 200_000, ABOUT), ABOUT),
    "the description is a list": (rewrite(lambda _: b"[]", ABOUT), ABOUT),
    "the description is a number of 5000 digits": (rewrite(lambda _: b"7" * 5000, ABOUT), ABOUT),
    "the weights are empty": (rewrite(lambda _: b""), "truncated"),
    "the weights are truncated": (rewrite(lambda c: c[:-1]), "truncated"),
    "the weights have a flipped bit": (rewrite(flip), "not the file that was saved"),
    "the weights have a further byte": (rewrite(lambda c: c + b"\0"), "not the file that was saved"),
    "the configuration is no dictionary": (describe("config", value=[]), "config of the wrong kind"),
    "the configuration is empty": (describe("config", value={}), "model_cfg"),
    "the class names are one text": (describe("class_names", value="0123456789"), "class_names of the wrong kind"),
    "the class names are numbers": (describe("class_names", value=list(range(10))), "class_names"),
    "a class name stands twice": (describe("class_names", 3, value="4"), r"\['4'\] stand more than once"),
    "a class name is empty": (describe("class_names", 3, value=" "), "class names must not be empty"),
    "there is a class name too few": (describe("class_names", value=["a", "b"]), "classification_head.weight"),
    "the history is no list": (describe("history", value={}), "history of the wrong kind"),
    "the history holds numbers": (describe("history", value=[1]), "history"),
    "the hash is no text": (describe("sha256", value=5), "sha256 of the wrong kind"),
    "the weights' name is no text": (describe("weights", value=None), "weights of the wrong kind"),
    "the weights' name is a folder": (describe("weights", value=".."), "lacks the weights"),
    "the weights' name is endless": (describe("weights", value="a" * 5000), "lacks the weights"),
    "the weights' name holds NUL": (describe("weights", value="a\0b"), "lacks the weights"),
    "the architecture is unknown": (describe("config", "model_cfg", "vision_cfg", value={"colour": 3}), "colour"),
    "the network has another width": (describe("config", "model_cfg", "vision_cfg", "width", value=64), "conv1.weight"),
    "the network has an absurd width": (describe("config", "model_cfg", "vision_cfg", "width", value=10**7), "conv1"),
    "the width is a text": (describe("config", "model_cfg", "vision_cfg", "width", value="32"), "does not fit"),
    "the preprocessing is unknown": (describe("config", "preprocess_cfg", value={"mode": "CMYK"}), "does not fit"),
    "a tensor is missing": (reweigh(lambda state: state.pop("classification_head.bias")), "lack classification_head"),
    "a tensor is unknown": (reweigh(lambda state: state.update(extra=torch.zeros(1))), "also hold extra"),
    "a tensor has another shape": (
        reweigh(lambda state: state.update({"image_encoder.bn1.bias": torch.zeros(3)})),
        "image_encoder.bn1.bias",
    ),
    "a tensor has half precision": (
        reweigh(lambda state: state.update({"image_encoder.bn1.bias": torch.zeros(16).half()})),
        r"image_encoder\.bn1\.bias of .* is torch\.float16",
    ),
    "a weight is NaN": (
        reweigh(lambda state: state["image_encoder.bn1.bias"].__setitem__(2, torch.nan)),
        "bn1.bias .* NaN",
    ),
    "a weight is infinite": (
        reweigh(lambda state: state["image_encoder.bn1.bias"].__setitem__(2, -torch.inf)),
        "bn1.bias .* NaN or infinity",
    ),
    "there is a pickle instead": (replace_all_by("finetuned.pt"), r"finetuned\.pt .* torch\.save\(model\.state_dict"),
    "there is another pickle instead": (replace_all_by("model.pkl"), r"model\.pkl .* torch\.save\(model\.state_dict"),
}


def renamed(state):
    return {name.replace("bn1", "norm1"): tensor for name, tensor in state.items()}


def narrowed(state):
    return {name: tensor[:1] if tensor.ndim else tensor for name, tensor in state.items()}


def halved(state):
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


ENDPOINT_FAULTS = {
    "the keys of another architecture": (renamed, r"image_encoder\.bn1"),
    "the shapes of another architecture": (narrowed, r"shape .* image_encoder\.conv1"),
    "another precision": (halved, r"dtype .* image_encoder\.conv1"),
}
FAULTS = {
    **{f"classifier: {fault}": match for fault, (_, match) in CLASSIFIER_FAULTS.items()},
    **{f"import: {fault}": r"weights\.pt" for fault in IMPORT_FAULTS},
    **{f"endpoints: {fault}": match for fault, (_, match) in ENDPOINT_FAULTS.items()},
    **{f"image: {fault}": fault.replace(".", r"\.") for fault in IMAGE_FAULTS},
    "write: the folder is a file": "in-the-way",
    "export: the folder is a file": "in-the-way",
}


@pytest.fixture(scope="module")
def saved(fine_tuned, tmp_path_factory):
    return save_classifier(fine_tuned, tmp_path_factory.mktemp("saved") / "classifier")


@pytest.fixture
def attempt(saved, fine_tuned, clip, tiny, tmp_path):
    """Makes a fault on disk and returns what must then be refused."""

    def prepare(what):
        kind, fault = what.split(": ", 1)
        if kind == "classifier":
            folder = shutil.copytree(saved, tmp_path / "classifier", copy_function=shutil.copyfile)
            CLASSIFIER_FAULTS[fault][0](folder)
            return lambda: load_classifier(folder)
        if kind == "import":
            state = layout_of(fine_tuned, clip, "reference")
            IMPORT_FAULTS[fault][0](state)
            torch.save(state, tmp_path / "weights.pt")
            return lambda: import_classifier(tmp_path / "weights.pt", clip, tiny.class_names)
        if kind == "endpoints":
            state = fine_tuned.state_dict()
            return lambda: interpolate(state, ENDPOINT_FAULTS[fault][0](state), 0.5)
        if kind == "image":
            IMAGE_FAULTS[fault](tmp_path / fault)
            return lambda: read_image(tmp_path / fault)
        (tmp_path / "in-the-way").write_text("precious")
        if kind == "write":
            return lambda: write_whole(tmp_path / "in-the-way" / "file", b"content")
        return lambda: export_to_open_clip(fine_tuned, clip, tmp_path / "in-the-way")

    return prepare


def everything_in(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("what", FAULTS)
def test_it_is_refused_in_one_sentence_and_nothing_is_changed(attempt, tmp_path, what):
    refused = attempt(what)
    before = everything_in(tmp_path)
    with pytest.raises(WiseftError, match=FAULTS[what]) as error:
        refused()
    sentence = str(error.value)
    assert "\n" not in sentence and ". " not in sentence and ": " in sentence and len(sentence) < 900
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("use", [lambda a, b, _: wise_ft(a, b, 0.5), lambda a, b, on: sweep(a, b, on, [0.5])])
def test_endpoints_that_mean_something_else_are_refused(use, fine_tuned, zero_shot, tiny):
    """Their weights have the same names and shapes; only class names, layers or numbers tell them apart."""
    turned = copy.deepcopy(fine_tuned)
    turned.class_names = tuple(reversed(turned.class_names))
    with pytest.raises(WiseftError, match="class names differ .*same order"):
        use(zero_shot, turned, tiny)
    quick, plain = (zero_shot_classifier(vision_transformer(quick), tiny) for quick in (True, False))
    with pytest.raises(WiseftError, match="QuickGELU.*same activation"):
        use(quick, plain, tiny)
    broken = copy.deepcopy(fine_tuned)
    broken.image_encoder.conv1.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(WiseftError, match="conv1.* of the fine-tuned endpoint"):
        use(zero_shot, broken, tiny)


def test_a_benchmark_whose_classes_stand_in_another_order_is_refused(zero_shot, fine_tuned, tiny):
    turned = dataclasses.replace(tiny, class_names=(*tiny.class_names[:3], "4", "3", *tiny.class_names[5:]))
    for use in (lambda: sweep(zero_shot, fine_tuned, turned, [0.5]), lambda: fine_tune(zero_shot, turned)):
        with pytest.raises(WiseftError, match="another order, first at number 3"):
            use()
