"""Stand-ins are read as the real thing would be, and are refused as the real thing where images are missing."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from wiseft_nb import WiseftError, load_benchmark, load_clip
from wiseft_nb.benchmarks.cifar.stand_in import pictures, write_stand_in
from wiseft_nb.models.stand_in import write_tiny_clip


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
