"""The cache answers from an entry only what would be computed again bit for bit."""

import copy
import dataclasses
import multiprocessing
import os
import sys
import warnings

import numpy as np
import pandas as pd
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
        honest = room.mix_into
        patch.setattr(room, "mix_into", lambda *ends: mixed.append(ends[3]) or honest(*ends))
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


# --- what decides a result is in its key


def test_frozen_layers_are_another_run(zero_shot, tiny, quick_config):
    """Frozen-layer ablations got the weights of the run in which everything was trained."""
    fine_tune(zero_shot, tiny, quick_config, progress=False, cache=True)
    frozen = copy.deepcopy(zero_shot)
    frozen.image_encoder.requires_grad_(False)
    tuned = fine_tune(frozen, tiny, quick_config, progress=False, cache=True)
    theirs = zero_shot.image_encoder.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in tuned.image_encoder.state_dict().items())


def test_two_augmentations_whose_text_is_the_same_are_two_runs(zero_shot, tiny, quick_config):
    tuned = []
    for turn in (0, 90):
        start = copy.deepcopy(zero_shot)
        start.augment = lambda image, turn=turn: zero_shot.preprocess(image.rotate(turn))
        tuned.append(fine_tune(start, tiny, quick_config, progress=False, cache=True))
    assert not torch.equal(*(model.classification_head.weight for model in tuned))


class Powers(torch.nn.Module):
    """What it does hangs on an attribute that is no weight, and its text does not show it."""

    def __init__(self, encoder, k):
        super().__init__()
        self.encoder, self.k = encoder, k

    def forward(self, images):
        return self.encoder(images) ** self.k


def test_attributes_outside_weights_and_text_are_another_model(zero_shot, tiny):
    for k in (1, 3):
        other = copy.deepcopy(zero_shot)
        other.image_encoder = Powers(other.image_encoder, k)
        expected = evaluate(other, tiny.val)
        assert torch.equal(evaluate(other, tiny.val, cache=True).logits, expected.logits)


def test_equal_settings_have_one_key(zero_shot, tiny, monkeypatch):
    from wiseft_nb import Compute
    from wiseft_nb.fine_tune import CrossEntropy, adamw, training_key

    def key(config=FineTuneConfig(), compute=Compute(), objective=CrossEntropy()):
        return training_key(zero_shot, tiny, config, objective, adamw, compute)

    assert key(FineTuneConfig(lr=np.float64(3e-3))) == key(FineTuneConfig(lr=3e-3)) == key()
    assert key(compute=Compute(checkpointing=True)) == key(), "the same result, so a run goes on without it"
    assert key(FineTuneConfig(lr=1e-3)) != key() != key(compute=Compute("bfloat16"))
    assert key(objective=CrossEntropy(0.1)) != key()
    before = key()
    monkeypatch.setattr(sys.modules["wiseft_nb.fine_tune"], "versions", lambda: {"torch": "0"})
    assert key() != before, "another version may compute other numbers"


def test_an_objective_of_ones_own_names_itself_or_is_not_cached(zero_shot, tiny, quick_config):
    def objective(network, inputs, labels):
        return torch.nn.functional.cross_entropy(network(inputs), labels)

    with pytest.raises(WiseftError, match=r"content of a function cannot be told.*content\(\)"):
        fine_tune(zero_shot, tiny, quick_config, progress=False, cache=True, objective=objective)
    objective.content = lambda: [b"cross-entropy"]
    fine_tune(zero_shot, tiny, quick_config, progress=False, cache=True, objective=objective)


@dataclasses.dataclass
class OfAFile:
    """A dataset that is a dataclass: its samples count, not its fields."""

    path: object

    def __len__(self):
        return 1

    def __getitem__(self, index):
        with Image.open(self.path) as image:
            return image.convert("RGB"), 0


def test_a_dataset_is_told_by_its_samples_even_if_it_is_a_dataclass(tmp_path):
    marks = set()
    for grey in (10, 11):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(tmp_path / "1.png")
        marks.add(fingerprint(OfAFile(tmp_path / "1.png")))
    assert len(marks) == 2


def test_palettes_and_types_of_cells_are_content():
    one, other = Image.new("P", (4, 4)), Image.new("P", (4, 4))
    one.putpalette([0, 0, 0] * 256)
    other.putpalette([255, 0, 0] * 256)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(pd.DataFrame({"a": ["1"]}, dtype=object)) != fingerprint(pd.DataFrame({"a": [1]}, dtype=object))
    assert fingerprint(np.array(["a", 1], dtype=object)) != fingerprint(np.array(["a", "1"], dtype=object))


def test_benchmarks_that_ask_for_different_things_are_two(tiny):
    other = copy.copy(tiny.reference)
    other.class_subset = tuple(range(10))
    assert fingerprint(tiny) != fingerprint(dataclasses.replace(tiny, reference=other))
    assert fingerprint(tiny) != fingerprint(dataclasses.replace(tiny, templates=("the digit {}",)))
    assert fingerprint(tiny) == fingerprint(dataclasses.replace(tiny))


def test_tied_weights_are_kept_and_read_as_equal():
    weight = torch.arange(6.0).view(2, 3)
    remember("tied", {"a": weight, "b": weight, "part": weight[0]})
    tensors, _ = recall("tied")
    assert (
        torch.equal(tensors["a"], weight)
        and torch.equal(tensors["b"], weight)
        and torch.equal(tensors["part"], weight[0])
    )


def test_the_folder_is_not_looked_through_at_every_entry(monkeypatch):
    """With 16,000 entries that took a quarter of a second each."""
    from wiseft_nb.engine import cache as room

    looks = []
    monkeypatch.setattr(room, "shrink", lambda keep: looks.append(keep))
    monkeypatch.setattr(room, "written", None)
    for i in range(50):
        remember(str(i), {"x": torch.zeros(10)})
    assert len(looks) == 1


def test_a_training_state_is_saved_less_often_where_saving_is_slow(zero_shot):
    from wiseft_nb import Compute
    from wiseft_nb.engine.training import CrossEntropy, Training

    network = copy.deepcopy(zero_shot)
    run = Training(network, torch.optim.SGD(network.parameters()), CrossEntropy(), Compute(), 1.0)
    run.saved -= 90  # seconds ago
    assert run.due()
    run.save_took = 3.0  # more than two in a hundred of the time
    assert not run.due()
