"""Stand-ins are read as the real thing would be, and are refused as the real thing where images are missing."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from wiseft_nb import WiseftError, load_benchmark, load_clip
from wiseft_nb.benchmarks.cifar.stand_in import pictures, write_stand_in
from wiseft_nb.benchmarks.own.write import write_folder
from wiseft_nb.models.stand_in import Letters, tokenise, write_tiny_clip


def test_what_was_written_is_what_is_read(tmp_path):
    write_stand_in(tmp_path, train=50, test=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parts there is no stand-in for
        benchmark = load_benchmark("cifar10", root=tmp_path, complete=False)
    assert len(benchmark.train) + len(benchmark.val) == 50 and benchmark.class_names[0] == "airplane"
    for name, seed, dim in (("cifar10", 6, 1.0), ("cifar10.1-v6", 7, 0.6), ("cifar10.2", 8, 0.4)):
        images, labels = pictures(20, seed, dim)
        read = [benchmark.test_sets[name][i] for i in range(20)]
        assert [label for _, label in read] == labels.tolist()
        assert all(np.array_equal(np.asarray(image), want) for (image, _), want in zip(read, images, strict=True))
    with pytest.raises(WiseftError, match="expected 50,000"):
        load_benchmark("cifar10", root=tmp_path)


def test_shifts_are_darker_and_classes_differ():
    bright, labels = pictures(200, 0)
    assert pictures(200, 0, 0.4)[0].mean() < 0.7 * bright.mean() and np.bincount(labels).tolist() == [20] * 10
    means = np.stack([bright[labels == k].mean(axis=(0, 1, 2)) for k in range(10)])
    assert min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]) > 20


def test_the_tiny_clip_is_its_seeds_and_leaves_torchs_generator_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    folders = [write_tiny_clip(tmp_path / name, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert torch.equal(torch.rand(1), expected)
    a, b, c = ((folder / "open_clip_model.safetensors").read_bytes() for folder in folders)
    assert a == b != c
    clip = load_clip(folders[0])
    assert clip.preprocess(Image.new("RGB", (50, 40))).shape == (3, 32, 32) and clip.encode_texts(["a"]).shape == (
        1,
        64,
    )


def test_the_text_model_is_called_as_those_of_hugging_face():
    batch = {name: torch.stack([tokenise(t)[name] for t in ("one", "a longer text")]) for name in tokenise("one")}
    assert list(batch) == ["input_ids", "attention_mask"] and batch["input_ids"].shape == (2, 40)
    assert batch["attention_mask"].sum(1).tolist() == [1, 11] and not batch["input_ids"][0, 1:].any()
    assert Letters()(**batch).last_hidden_state.shape == (2, 40, 32)
    assert torch.equal(tokenise("same")["input_ids"], tokenise("same")["input_ids"])


def test_a_folder_written_is_the_benchmark_read_and_nothing_else_is_deleted(tmp_path, benchmark):
    parts = {"train": benchmark.train, "test": benchmark.reference, "shifts/poster": benchmark.shifts["posters"]}
    for count in (70, 60):  # the second time over the first
        folder = write_folder(tmp_path / "own", parts, benchmark.class_names, images=count)
    own = load_benchmark(folder)
    assert len(own.train) + len(own.val) == len(own.reference) == len(own.shifts["poster"]) == 60
    read = {np.asarray(image).tobytes(): own.class_names[label] for image, label in own.reference}
    first = [benchmark.reference[i] for i in range(60)]
    assert read == {np.asarray(image).tobytes(): benchmark.class_names[label] for image, label in first}
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(WiseftError, match="notes.txt"):
        write_folder(folder, parts, benchmark.class_names)
    assert (folder / "notes.txt").exists() and len(list(folder.rglob("*.png"))) == 180
