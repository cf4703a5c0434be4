"""save_classifier and load_classifier: what comes back is what went in, and nothing is ever half-written."""

import copy
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings

import open_clip
import pytest
import torch
from torchvision.transforms import Compose

from wiseft_nb import ClassificationHead, ImageClassifier, WiseftError, evaluate, load_classifier, save_classifier
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.engine.files import independent, write_whole
from wiseft_nb.models.open_clip_parts import build_image_encoder, build_transforms
from wiseft_nb.weights import checkpoint
from wiseft_nb.weights.checkpoint import checksum
from wiseft_nb.weights.rebuild import build_classifier


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
    classifier = small_classifier(0.5)
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


def test_no_file_but_its_own_former_weights_is_ever_deleted(fine_tuned, folder):
    """Somebody's classifier-best.safetensors lies in the same folder, and stays."""
    former = weights_of(folder).name
    others = {"classifier-best.safetensors", "classifier-0123456789ab.safetensors", "model.pt"}
    for name in others:
        (folder / name).write_bytes(b"mine")
    save_classifier(changed(fine_tuned), folder)
    names = {path.name for path in folder.iterdir()}
    assert others < names and former not in names and len(names) == len(others) + 2
    (folder / "classifier.json").write_text("{}")  # then nothing in the folder is known to be ours
    before = {path.name for path in folder.glob("*.safetensors")}
    save_classifier(fine_tuned, folder)
    assert before < {path.name for path in folder.glob("*.safetensors")}


def small_classifier(bias):
    cfg = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    }
    config = {"model_cfg": cfg, "preprocess_cfg": {"size": 32}}
    head = ClassificationHead(torch.full((2, 16), bias))
    torch.manual_seed(0)
    return ImageClassifier(build_image_encoder(cfg), head, *build_transforms({"size": 32}), ["cat", "dog"], config)


class Turns:
    """Saves in two threads that stop before each access to the folder and go on one at a time."""

    def __init__(self, monkeypatch, folder):
        self.folder, self.gates, self.stopped = folder, {}, threading.Semaphore(0)
        unlink = type(folder).unlink
        monkeypatch.setattr(checkpoint, "write_whole", self.stopping(write_whole))
        monkeypatch.setattr(checkpoint, "read_about", self.stopping(checkpoint.read_about))
        ours = self.stopping(unlink)
        monkeypatch.setattr(
            type(folder), "unlink", lambda path, **k: (unlink if path.suffix == ".tmp" else ours)(path, **k)
        )

    def stopping(self, function):
        def stops(*args, **kwargs):
            if gate := self.gates.get(threading.current_thread().name):
                self.stopped.release()
                assert gate.acquire(timeout=20)
            return function(*args, **kwargs)

        return stops

    def save(self, classifier):
        try:
            save_classifier(classifier, self.folder)
        finally:
            self.stopped.release()

    def run(self, order, classifiers):
        self.gates = {name: threading.Semaphore(0) for name in classifiers}
        for name, classifier in classifiers.items():
            threading.Thread(target=self.save, args=(classifier,), name=name, daemon=True).start()
            assert self.stopped.acquire(timeout=20)
        for name in order:
            self.gates[name].release()
            assert self.stopped.acquire(timeout=20)
        self.gates = {}


def test_saves_of_two_processes_interleaved_in_any_way_leave_one_of_the_two(tmp_path, monkeypatch):
    """Each reads the description, writes weights, writes the description, deletes: 70 orders of the eight steps."""
    classifiers = {"one": small_classifier(1.0), "two": small_classifier(2.0)}
    save_classifier(small_classifier(0.0), tmp_path)
    turns = Turns(monkeypatch, tmp_path)
    for first in itertools.combinations(range(8), 4):
        turns.run(["one" if step in first else "two" for step in range(8)], classifiers)
        loaded = load_classifier(tmp_path)
        assert any(same_state(loaded, classifier) for classifier in classifiers.values()), first


def test_a_reader_beside_a_writer_gets_a_whole_classifier(fine_tuned, folder, monkeypatch):
    """The weights that a description names are gone when they are opened: the next description is read."""
    new, read = changed(fine_tuned), checkpoint.read_about
    about = read(folder / "classifier.json")
    save_classifier(new, folder)
    answers = iter([about])
    monkeypatch.setattr(checkpoint, "read_about", lambda path: next(answers, None) or read(path))
    assert same_state(load_classifier(folder), new)


def test_weights_deleted_while_they_are_read_are_not_missed(fine_tuned, folder, monkeypatch):
    """Between the hash and the loading, another process saved: then its classifier is read."""
    new, load = changed(fine_tuned), checkpoint.load_file
    later = iter([lambda: save_classifier(new, folder)])

    def deleted(path):
        next(later, lambda: None)()
        return load(path)

    monkeypatch.setattr(checkpoint, "load_file", deleted)
    assert same_state(load_classifier(folder), new)


def test_former_weights_that_cannot_be_deleted_do_not_undo_a_save(fine_tuned, folder, monkeypatch):
    """Windows does not delete what another program has open."""
    unlink, new, former = type(folder).unlink, changed(fine_tuned), weights_of(folder)

    def locked(path, *args, **kwargs):
        if path == former:
            raise PermissionError(13, "used by another process", str(path))
        unlink(path, *args, **kwargs)

    monkeypatch.setattr(type(folder), "unlink", locked)
    with pytest.warns(UserWarning, match=f"{former.name} could not be deleted .used by another process.*yourself"):
        save_classifier(new, folder)
    assert same_state(load_classifier(folder), new)


def test_a_home_folder_is_found(fine_tuned, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert save_classifier(fine_tuned, "~/mine") == tmp_path / "mine"
    assert same_state(load_classifier("~/mine"), fine_tuned)


# What no configuration describes


class Turned(torch.nn.Module):
    """An encoder of one's own around another."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        return self.encoder(images.flip(-1))


def upside_down(image):
    return image.rotate(180)


def with_own(part, classifier):
    """A copy with one part that open_clip's configuration does not describe."""
    own = copy.deepcopy(classifier)
    if part == "encoder or head":
        own.image_encoder = Turned(own.image_encoder)
    elif part == "head":
        own.classification_head = torch.nn.Sequential(own.classification_head, torch.nn.Tanh())
    elif part == "config":
        own.config = {}
    else:
        setattr(own, part, Compose([upside_down, getattr(own, part)]))
    return own


@pytest.mark.parametrize("part", ["encoder or head", "head", "preprocess", "augment", "config"])
def test_what_no_configuration_describes_is_saved_and_loaded_like_another(part, fine_tuned, zero_shot, tiny, tmp_path):
    """Never does another classifier come back than was saved, and no training is lost."""
    own, like = with_own(part, fine_tuned), with_own(part, zero_shot)
    with pytest.warns(UserWarning, match=r"cannot be built from its config: .* load_classifier\(folder, like=") as seen:
        save_classifier(own, tmp_path)
    named = "encoder or head" if part == "head" else "preprocess" if part == "config" else part
    assert named in str(seen[0].message)
    with pytest.raises(WiseftError, match="pass like=, a classifier that has the same"):
        load_classifier(tmp_path)
    before = evaluate(like, tiny.reference).logits
    loaded = load_classifier(tmp_path, like=like)
    assert same_state(loaded, own) and loaded.history == own.history and loaded.class_names == own.class_names
    assert torch.equal(evaluate(loaded, tiny.reference).logits, evaluate(own, tiny.reference).logits)
    assert torch.equal(evaluate(like, tiny.reference).logits, before), "like is not changed"
    if part != "config":
        with pytest.raises(WiseftError, match="does not fit like"):
            load_classifier(tmp_path, like=zero_shot)


def test_like_must_have_the_same_classes_and_transforms(fine_tuned, zero_shot, folder):
    assert same_state(load_classifier(folder, like=zero_shot), fine_tuned)
    turned = copy.deepcopy(zero_shot)
    turned.class_names = tuple(reversed(turned.class_names))
    with pytest.raises(WiseftError, match="class names differ, or their order"):
        load_classifier(folder, like=turned)
    with pytest.raises(WiseftError, match="the preprocess of what was saved is .*, that of like is"):
        load_classifier(folder, like=with_own("preprocess", zero_shot))


@pytest.mark.parametrize("kind", [tuple, list])
def test_means_may_be_tuples_as_open_clip_has_them(zero_shot, tmp_path, kind):
    """JSON makes lists of them: what is loaded says the same of itself, so that cached results are found."""
    classifier, config = copy.deepcopy(zero_shot), copy.deepcopy(zero_shot.config)
    config["preprocess_cfg"] |= {"mean": kind([0.4, 0.5, 0.6]), "std": kind([0.2, 0.3, 0.4])}
    classifier.config = config
    classifier.preprocess, classifier.augment = build_transforms(config["preprocess_cfg"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is described by its config
        loaded = load_classifier(save_classifier(classifier, tmp_path))
    assert repr(loaded.preprocess) == repr(classifier.preprocess) and "(0.4, 0.5, 0.6)" in repr(loaded.preprocess)
    assert fingerprint(loaded) == fingerprint(classifier)


def test_tied_weights_are_saved(fine_tuned, zero_shot, tiny, tmp_path):
    """safetensors itself refuses tensors that share memory."""

    def tied(classifier):
        own = copy.deepcopy(classifier)
        second = torch.nn.Linear(128, 128)
        own.image_encoder = torch.nn.Sequential(own.image_encoder, second, torch.nn.Linear(128, 128))
        own.image_encoder[2].weight = second.weight
        return own

    own = tied(fine_tuned)
    with pytest.warns(UserWarning, match="encoder or head"):
        save_classifier(own, tmp_path)
    loaded = load_classifier(tmp_path, like=tied(zero_shot))
    assert same_state(loaded, own) and loaded.image_encoder[2].weight is loaded.image_encoder[1].weight


def test_independent_tensors_share_no_memory():
    whole = torch.arange(6.0).view(2, 3)
    own = independent({"a": whole, "b": whole, "row": whole[1], "turned": whole.T, "alone": torch.ones(2)})
    assert len({tensor.data_ptr() for tensor in own.values()}) == 5
    assert all(tensor.is_contiguous() for tensor in own.values()) and torch.equal(own["turned"], whole.T)
    assert own["a"] is not whole and own["a"].data_ptr() == whole.data_ptr(), "copied only where it must be"


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


def test_an_absurd_configuration_is_refused_before_it_costs_memory(fine_tuned):
    """Ten terabytes of weights: told by shapes, without making any."""
    config = copy.deepcopy(fine_tuned.config)
    config["model_cfg"]["vision_cfg"]["width"] = 100_000
    with pytest.raises(WiseftError, match="conv1"):
        build_classifier({"config": config, "class_names": list(fine_tuned.class_names)}, fine_tuned.state_dict())
