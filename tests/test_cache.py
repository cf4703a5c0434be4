"""The cache answers from an entry only what would be computed again bit for bit."""

import copy
import multiprocessing
import os
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from wiseft_nb import FineTuneConfig, ImageSet, WiseftError, clear_cache, evaluate, fine_tune, sweep
from wiseft_nb.benchmarks.own.folder import ImageFiles
from wiseft_nb.engine.cache import cache_folder, entry, fingerprint, recall, remember
from wiseft_nb.models.checks import fingerprint_input


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WISEFT_NB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def deaf(classifier):
    """The same classifier, but running it on more than an image is an error: what it answers comes from the cache."""

    def refuse(_, inputs):
        if len(inputs[0]) > 1:  # one at a time it is asked what it says, for the key
            raise AssertionError("the encoder ran")

    other = copy.deepcopy(classifier)
    other.image_encoder.register_forward_pre_hook(refuse)
    return other


def test_what_was_evaluated_is_not_evaluated_again(zero_shot, tiny):
    first = evaluate(zero_shot, tiny.reference, cache=True)
    again = evaluate(deaf(zero_shot), tiny.reference, cache=True)
    assert torch.equal(first.logits, again.logits) and torch.equal(first.labels, again.labels)
    with pytest.raises(AssertionError, match="the encoder ran"):
        evaluate(deaf(zero_shot), tiny.reference)


def test_a_sweep_computes_only_the_alphas_it_lacks(zero_shot, fine_tuned, tiny):
    datasets, mixed = {"val": tiny.val}, []
    sweep(zero_shot, fine_tuned, tiny, (0, 1), datasets, progress=False, cache=True)
    room = sys.modules["wiseft_nb.sweep"]  # the package's name is the function
    with pytest.MonkeyPatch.context() as patch:
        honest = room.interpolated
        patch.setattr(room, "interpolated", lambda *ends: mixed.append(ends[2]) or honest(*ends))
        table = sweep(zero_shot, fine_tuned, tiny, (0, 0.5, 1), datasets, progress=False, cache=True)
    assert mixed == [0.5]
    assert table.equals(sweep(zero_shot, fine_tuned, tiny, (0, 0.5, 1), datasets, progress=False))
    assert table.equals(sweep(deaf(zero_shot), fine_tuned, tiny, (0, 0.5, 1), datasets, progress=False, cache=True))


def changed_weights(classifier):
    classifier.classification_head.weight.data[0, 0] += 1e-6


def changed_statistics(classifier):
    classifier.image_encoder.bn1.running_var[0] += 1e-6


def changed_activation(classifier):
    """Weights as they were: this is how gelu stands in for quickgelu."""
    classifier.image_encoder.act3 = torch.nn.GELU()


def changed_transform(classifier):
    classifier.preprocess = Compose([Resize(32), ToTensor(), Normalize([0.5] * 3, [0.28] * 3)])


def changed_function(classifier):
    """A lambda's text says nothing of what it does; what it makes of the images does."""
    before = classifier.preprocess
    classifier.preprocess = lambda image: before(image) + 1e-3


@pytest.mark.parametrize(
    "change", [changed_weights, changed_statistics, changed_activation, changed_transform, changed_function]
)
def test_a_changed_classifier_is_never_answered_from_an_old_entry(zero_shot, tiny, change):
    evaluate(zero_shot, tiny.reference, cache=True)
    other = copy.deepcopy(zero_shot)
    change(other)
    expected = evaluate(other, tiny.reference)
    assert torch.equal(evaluate(other, tiny.reference, cache=True).logits, expected.logits)
    assert len(list(cache_folder().iterdir())) == 2


def test_two_functions_that_differ_only_in_what_they_do_are_told_apart(zero_shot, tiny):
    marks = set()
    for shift in (0.0, 0.1):
        other = copy.deepcopy(zero_shot)
        other.preprocess = lambda image, shift=shift: zero_shot.preprocess(image) + shift
        marks.add(fingerprint(other, fingerprint_input(other, tiny.val)))
    assert len(marks) == 2


def test_a_changed_image_or_label_or_order_is_another_dataset(zero_shot, tiny):
    images, labels = tiny.val.images.copy(), tiny.val.labels.copy()
    pixel = images.copy()
    pixel[50, 16, 16, 0] ^= 1
    label = labels.copy()
    label[50] = (label[50] + 1) % 10
    subset = ImageSet(images, labels)
    subset.class_subset = tuple(range(10))
    sets = [
        ImageSet(images, labels),
        ImageSet(pixel, labels),
        ImageSet(images, label),
        ImageSet(images[::-1], labels[::-1]),
        ImageSet(images[:-1], labels[:-1]),
        subset,
    ]
    assert len({fingerprint_input(zero_shot, data) for data in sets}) == len(sets)
    assert fingerprint_input(zero_shot, sets[0]) == fingerprint_input(zero_shot, tiny.val)


def test_a_file_that_was_changed_in_place_is_another_dataset(tmp_path):
    """Size and time of change tell nothing: the bytes do."""
    path = tmp_path / "cat" / "1.bmp"
    path.parent.mkdir()
    marks = set()
    for grey in (10, 11):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(path)
        os.utime(path, (0, 0))
        marks.add(fingerprint(ImageFiles(tmp_path, ["cat"])))
    assert len(marks) == 2


def test_any_dataset_can_be_told_by_its_samples(tiny):
    class Plain(list):
        pass

    samples = [tiny.val[i] for i in range(5)]
    assert fingerprint(Plain(samples)) == fingerprint(Plain(samples))
    assert fingerprint(Plain(samples)) != fingerprint(Plain(samples[:4]))
    with pytest.raises(WiseftError, match="object cannot be told"):
        fingerprint([(object(), 1)])


def test_pieces_are_kept_apart():
    marks = [
        fingerprint(*parts) for parts in [("ab", "c"), ("a", "bc"), ("abc",), (["ab", "c"],), (1,), (1.0,), ("1",)]
    ]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_computed_again_and_said_so(zero_shot, tiny, damage):
    expected = evaluate(zero_shot, tiny.reference, cache=True)
    (path,) = cache_folder().iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "cut": content[:-10], "empty": b""}[damage])
    with pytest.warns(UserWarning, match="damaged.*computed again"):
        again = evaluate(zero_shot, tiny.reference, cache=True)
    assert torch.equal(expected.logits, again.logits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and now it is whole
        evaluate(deaf(zero_shot), tiny.reference, cache=True)


def test_the_least_recently_used_entries_go_first(monkeypatch):
    monkeypatch.setenv("WISEFT_NB_CACHE_GB", "1e-5")  # 10 kB
    tensor = {"x": torch.zeros(1000)}  # 4 kB
    for key in ("a", "b"):
        remember(key, tensor)
        os.utime(entry(key), (1, 1 if key == "a" else 2))
    assert recall("a") is not None  # used just now
    remember("c", tensor)
    assert recall("b") is None and recall("a") is not None and recall("c") is not None


def test_an_entry_larger_than_the_limit_is_kept_alone(monkeypatch):
    monkeypatch.setenv("WISEFT_NB_CACHE_GB", "1e-6")
    remember("small", {"x": torch.zeros(10)})
    remember("large", {"x": torch.zeros(10_000)})
    assert recall("small") is None and torch.equal(recall("large")[0]["x"], torch.zeros(10_000))


def test_a_limit_that_is_no_number_is_said_and_costs_no_work(monkeypatch):
    monkeypatch.setenv("WISEFT_NB_CACHE_GB", "much")
    with pytest.warns(UserWarning, match="WISEFT_NB_CACHE_GB is 'much'"):
        remember("x", {})


def test_clearing_deletes_entries_and_nothing_else(folder):
    remember("x", {})
    (folder / "mine.txt").write_text("stays")
    assert clear_cache() == 1 and recall("x") is None and (folder / "mine.txt").exists()


def test_a_cache_that_cannot_be_written_is_no_obstacle(zero_shot, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("WISEFT_NB_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cache stays as it was"):
        predictions = evaluate(zero_shot, tiny.val, cache=True)
    assert predictions.n == 100


def write_often(folder, number):
    os.environ["WISEFT_NB_CACHE"], os.environ["WISEFT_NB_CACHE_GB"] = folder, "1e-4"
    for i in range(60):
        key = f"shared-{i % 7}"
        remember(key, {"x": torch.full((3000,), float(i % 7))})
        found = recall(f"shared-{(i + number) % 7}")
        assert found is None or (found[0]["x"] == (i + number) % 7).all()


def test_two_processes_may_share_it(folder):
    """Both write the same keys, and delete what is over the limit, again and again."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_often, args=(str(folder), i)) for i in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert not list(folder.glob("*.tmp"))


def test_fine_tuning_that_finished_is_not_run_again(zero_shot, tiny, quick_config):
    first = fine_tune(zero_shot, tiny, quick_config, progress=False, cache=True)
    again = fine_tune(deaf(zero_shot), tiny, quick_config, progress=False, cache=True)
    plain = fine_tune(zero_shot, tiny, quick_config, progress=False)
    for other in (again, plain):
        assert first.history == other.history
        assert all(torch.equal(t, other.state_dict()[name]) for name, t in first.state_dict().items())


def test_another_recipe_is_another_run(zero_shot, tiny):
    for seed in (0, 1):
        fine_tune(zero_shot, tiny, FineTuneConfig(epochs=1, batch_size=100, seed=seed), progress=False, cache=True)
    assert len(list(cache_folder().iterdir())) == 2


def test_arrays_and_tensors_of_every_kind_have_a_fingerprint():
    kinds = [torch.zeros(3, dtype=t) for t in (torch.float32, torch.bfloat16, torch.int64, torch.bool)]
    kinds += [torch.zeros(()), torch.zeros(0), torch.zeros(3, 1), np.zeros(3), np.zeros(3, "float32"), np.zeros((3, 1))]
    assert len({fingerprint(kind) for kind in kinds}) == len(kinds)
    assert fingerprint(torch.zeros(4, 4).T) == fingerprint(torch.zeros(4, 4))
