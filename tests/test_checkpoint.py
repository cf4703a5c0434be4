"""save_classifier and load_classifier: what comes back is what went in, and nothing is ever half-written."""

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from wiseft_nb import ClassificationHead, ImageClassifier, WiseftError, evaluate, load_classifier, save_classifier
from wiseft_nb.weights.checkpoint import build_classifier, build_image_encoder, checksum


def same_state(classifier, other):
    theirs = other.state_dict()
    return classifier.state_dict().keys() == theirs.keys() and all(
        torch.equal(tensor, theirs[name]) for name, tensor in classifier.state_dict().items()
    )


@pytest.fixture
def folder(fine_tuned, tmp_path):
    return save_classifier(fine_tuned, tmp_path / "saved" / "deep")


def weights_of(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def test_what_comes_back_is_what_went_in(fine_tuned, folder, tiny):
    """Weights and predictions bit for bit, class names, history, preprocessing, configuration."""
    loaded = load_classifier(folder)
    assert same_state(loaded, fine_tuned) and not loaded.training
    assert torch.equal(evaluate(loaded, tiny.reference).logits, evaluate(fine_tuned, tiny.reference).logits)
    assert loaded.class_names == fine_tuned.class_names
    assert loaded.history == fine_tuned.history and len(loaded.history) == 2
    assert repr(loaded.preprocess) == repr(fine_tuned.preprocess)
    assert repr(loaded.augment) == repr(fine_tuned.augment)


def test_a_loaded_classifier_can_be_saved_again(folder, tmp_path):
    again = save_classifier(load_classifier(folder), tmp_path / "again")
    assert same_state(load_classifier(again), load_classifier(folder))


def test_a_transformer_comes_back_too(tmp_path):
    """Not only the bundled ResNet."""
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    cfg, preprocess_cfg = {"embed_dim": 16, "vision_cfg": vision, "quick_gelu": True}, {"size": 32}
    transform = image_transform_v2(PreprocessCfg(**preprocess_cfg), is_train=False)
    encoder, head = build_image_encoder(cfg), ClassificationHead(torch.randn(2, 16))
    config = {"model_cfg": cfg, "preprocess_cfg": preprocess_cfg}
    classifier = ImageClassifier(encoder, head, transform, transform, ["cat", "dog"], config)
    assert same_state(load_classifier(save_classifier(classifier, tmp_path)), classifier)


def test_the_encoder_is_open_clips_own(clip):
    """A tower built from the configuration alone takes the pretrained weights and gives the same features."""
    encoder = build_image_encoder(clip.config["model_cfg"]).eval()
    encoder.load_state_dict(clip.model.visual.state_dict())
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(encoder(images), clip.model.visual(images))
    assert isinstance(clip.model, open_clip.CLIP)


def test_nothing_on_disk_is_a_pickle(folder):
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert json.loads(next(folder.glob("*.json")).read_text())["class_names"] == list("0123456789")


def changed(classifier):
    """Another classifier of the same kind."""
    other = copy.deepcopy(classifier)
    with torch.no_grad():
        other.classification_head.bias.add_(1)
    other.history = []
    return other


@pytest.mark.parametrize("survived", [0, 1])
def test_a_crash_while_moving_files_loses_nothing(fine_tuned, folder, monkeypatch, survived):
    """Whichever move is the last one that happens, the folder still holds the classifier that was there."""
    moves, new = [], changed(fine_tuned)
    replace = os.replace

    def crash(source, target):
        if len(moves) == survived:
            raise OSError("the disk is full")
        moves.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(WiseftError, match="disk is full"):
        save_classifier(new, folder)
    monkeypatch.undo()
    loaded = load_classifier(folder)
    assert same_state(loaded, fine_tuned) and loaded.history == fine_tuned.history
    assert not list(folder.glob("*.tmp"))
    save_classifier(new, folder)
    assert same_state(load_classifier(folder), new) and len(list(folder.iterdir())) == 2


SAVE_WITH_A_QUOTA = """
import resource, sys
import torch
from wiseft_nb import WiseftError, load_classifier, save_classifier
classifier = load_classifier(sys.argv[1])
with torch.no_grad():
    classifier.classification_head.bias.add_(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    save_classifier(classifier, sys.argv[1])
except WiseftError as error:
    print(error)
"""


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def save_elsewhere(folder, *command):
    run = subprocess.run(
        [*command, sys.executable, "-c", SAVE_WITH_A_QUOTA, str(folder), "100000"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout


@pytest.mark.skipif(os.name != "posix", reason="quotas are set with resource.setrlimit")
def test_a_quota_met_while_writing_loses_nothing(fine_tuned, folder):
    """A real failure of a real write, half-way: the earlier save is untouched and nothing lies beside it."""
    before = files_of(folder)
    assert "cannot be written (File too large)" in save_elsewhere(folder)
    assert files_of(folder) == before and same_state(load_classifier(folder), fine_tuned)


def test_a_full_disk_loses_nothing(folder, tmp_path):
    """On a disk with room for one classifier but not for a second."""
    disk, size = tmp_path / "disk", sum(map(len, files_of(folder).values()))
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size={size + 1_000_000} tmpfs "$1" || exit 77
        cp "$2"/* "$1"
        OUT=$("$3" -c "$4" "$1" 1000000000) || exit 1
        echo "$OUT"
        (cd "$1" && sha256sum * )
    """
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(disk), str(folder), sys.executable, SAVE_WITH_A_QUOTA]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {run.stderr}")
    assert run.returncode == 0, run.stderr
    said, *hashes = run.stdout.splitlines()
    assert "cannot be written (No space left on device)" in said
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in files_of(folder).items()}
    assert dict(reversed(line.split()) for line in hashes) == expected


def test_two_processes_may_save_into_one_folder(fine_tuned, folder, monkeypatch):
    """Two notebooks that keep the same thing: neither takes away the file the other is about to move."""
    replace, nested = os.replace, []

    def interrupted(source, target):
        if not nested:
            nested.append(True)
            monkeypatch.setattr(os, "getpid", lambda: 99_999)
            save_classifier(fine_tuned, folder)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    save_classifier(fine_tuned, folder)
    monkeypatch.undo()
    assert same_state(load_classifier(folder), fine_tuned)


@pytest.mark.parametrize("pattern", ["*.safetensors", "*.json"])
def test_a_missing_file_is_named(folder, pattern):
    (path,) = folder.glob(pattern)
    path.unlink()
    with pytest.raises(WiseftError, match="lacks|missing") as error:
        load_classifier(folder)
    assert path.name in str(error.value)


def test_a_folder_that_holds_nothing_says_so(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(WiseftError, match="holds no classifier"):
            load_classifier(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    path = weights_of(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WiseftError, match="truncated"):
        load_classifier(folder)


def test_weights_with_a_changed_byte_are_refused(folder):
    path = weights_of(folder)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WiseftError, match=path.name):
        load_classifier(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {}}'])
def test_a_damaged_description_is_refused_by_name(folder, text):
    (path,) = folder.glob("*.json")
    path.write_text(text)
    with pytest.raises(WiseftError, match=path.name):
        load_classifier(folder)


def test_a_description_of_another_architecture_is_refused(folder):
    (path,) = folder.glob("*.json")
    about = json.loads(path.read_text())
    about["config"]["model_cfg"]["vision_cfg"]["width"] = 64
    path.write_text(json.dumps(about | {"checksum": checksum(about)}))
    with pytest.raises(WiseftError, match="does not fit"):
        load_classifier(folder)


def test_every_byte_of_the_description_counts(folder):
    """A changed mean or class name would load, and give other answers."""
    (path,) = folder.glob("*.json")
    text = path.read_text()
    for old, new in (('"mean": [\n', '"mean": [\n0.4,'), ('"9"', '"8"'), ('"width": 32', '"width": 33')):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(WiseftError, match=r"classifier\.json is damaged"):
            load_classifier(folder)


@pytest.mark.parametrize("kind", ["nan", "half"])
def test_what_could_not_be_loaded_again_is_not_saved(fine_tuned, folder, kind):
    new, before = changed(fine_tuned), files_of(folder)
    if kind == "half":
        new.half()
    else:
        new.classification_head.weight.data[3, 5] = float("nan")
    with pytest.raises(WiseftError, match="float32" if kind == "half" else "classification_head.weight .* NaN"):
        save_classifier(new, folder)
    assert files_of(folder) == before


def test_an_absurd_configuration_is_refused_before_it_costs_memory_or_time(fine_tuned):
    """Ten terabytes of weights, a million layers: told by shapes, without building either."""
    for change in ({"width": 100_000}, {"layers": [1, 1, 1, 1_000_000]}):
        config = copy.deepcopy(fine_tuned.config)
        config["model_cfg"]["vision_cfg"] |= change
        start = time.monotonic()
        with pytest.raises(WiseftError):
            build_classifier(config, list(fine_tuned.class_names), fine_tuned.state_dict())
        assert time.monotonic() - start < 5
