"""WILDS and the transfer sets are read in their official layouts, and judged as their authors judge them."""

import shutil
import socket
import sys
import threading
import types
import warnings

import further_trees as trees
import numpy as np
import pytest
import torch
from PIL import Image

from wiseft_nb import WiseftError, load_benchmark
from wiseft_nb.benchmarks.transfer import SETS
from wiseft_nb.benchmarks.wilds_sets import import_wilds
from wiseft_nb.engine.cache import fingerprint

TRANSFER = {
    "cifar100": (trees.write_cifar100, 20, 10, 30, ["apple", "aquarium fish"]),
    "cars": (trees.write_cars, 10, 2, 12, ["Audi A4", "BMW X3"]),
    "dtd": (trees.write_dtd, 22, 2, 12, ["banded", "dotted"]),
    "food101": (trees.write_food101, 18, 2, 20, ["apple pie", "waffles"]),
    "sun397": (trees.write_sun397, 18, 2, 20, ["abbey", "apartment building outdoor"]),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def load(name, root):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="not on disk")
        return load_benchmark(name, root=root, complete=False)


@pytest.mark.parametrize("name", SETS)
def test_a_transfer_set_has_its_count_classes_and_labels(tmp_path, name):
    write, n_train, n_val, n_test, names = TRANSFER[name]
    write(tmp_path)
    benchmark = load(name, tmp_path)
    assert (len(benchmark.train), len(benchmark.val), len(benchmark.reference)) == (n_train, n_val, n_test)
    assert list(benchmark.class_names)[:2] == names and not benchmark.shifts
    assert all("{}" in template for template in benchmark.templates)
    labels = [benchmark.reference[i][1] for i in range(n_test)]
    assert sorted(set(labels)) == list(range(len(benchmark.class_names)))
    for part in (benchmark.train, benchmark.val, benchmark.reference):
        image, label = part[0]
        assert image.mode == "RGB" and 0 <= label < len(benchmark.class_names)
    seen = {part[i][0].tobytes() for part in (benchmark.train, benchmark.val) for i in range(len(part))}
    assert len(seen) == n_train + n_val and not seen & {benchmark.reference[i][0].tobytes() for i in range(n_test)}


@pytest.mark.parametrize("name", SETS)
def test_an_incomplete_transfer_set_and_a_wrong_tree_are_refused(tmp_path, name):
    folder = TRANSFER[name][0](tmp_path)
    with pytest.raises(WiseftError, match=r"training set holds .* images, expected .* complete=False"):
        load_benchmark(name, root=tmp_path)
    victim = next(
        path for path in sorted(folder.rglob("*")) if path.suffix in ("", ".txt", ".json", ".mat") and path.is_file()
    )
    victim.write_bytes(b"\x80nonsense")
    with pytest.raises(WiseftError):
        load(name, tmp_path)


@pytest.mark.parametrize("name", [*SETS, "wilds-fmow", "wilds-iwildcam"])
def test_what_is_not_on_disk_is_said_and_nothing_is_fetched(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        benchmark = load_benchmark(name, root=tmp_path / "nothing")
    assert len(benchmark.missing()) == 1 and not (tmp_path / "nothing").exists()
    with pytest.raises(WiseftError, match="is not on disk"):
        len(benchmark.train)


def test_labels_of_sun397_are_its_places_although_names_have_several_parts(tmp_path):
    trees.write_sun397(tmp_path)
    reference = load("sun397", tmp_path).reference
    assert all(("abbey" in path.as_posix()) == (label == 0) for path, label in reference.files)


@pytest.fixture(scope="module")
def fmow(tmp_path_factory):
    root = tmp_path_factory.mktemp("fmow")
    trees.write_fmow(root)
    return root


@pytest.fixture(scope="module")
def iwildcam(tmp_path_factory):
    root = tmp_path_factory.mktemp("iwildcam")
    trees.write_iwildcam(root)
    return root


@pytest.fixture
def scatter(monkeypatch):
    """The one function of torch_scatter that wilds' metrics call; the package itself must be compiled."""

    def scatter(src, index, dim_size, reduce):
        return torch.zeros(dim_size, dtype=src.dtype).scatter_reduce(0, index, src, reduce, include_self=False)

    monkeypatch.setitem(sys.modules, "torch_scatter", types.SimpleNamespace(scatter=scatter))


def judged_by_wilds(images, said):
    part = images.part
    return part.eval(said, part.y_array, part.metadata_array)[0]


def test_fmow_is_judged_by_its_worst_region_as_wilds_does(fmow, scatter):
    benchmark = load("wilds-fmow", fmow)
    ood = benchmark.shifts["ood"]
    assert len(benchmark.class_names) == 62 and benchmark.class_names[1] == "airport hangar"
    assert min(map(len, (benchmark.train, benchmark.val, benchmark.reference, ood))) > 3
    labels = torch.tensor([ood[i][1] for i in range(len(ood))])
    assert torch.equal(labels, ood.part.y_array)
    rng = np.random.default_rng(0)
    for _ in range(5):
        said = torch.where(torch.tensor(rng.random(len(labels)) < 0.6), labels, (labels + 1) % 62)
        row = ood.metric(said, labels)
        assert row["accuracy"] == pytest.approx(judged_by_wilds(ood, said)["acc_worst_region"])
        assert row["low"] <= row["accuracy"] <= row["high"] and row["n"] < len(labels)
    assert benchmark.reference.metric is None, "in distribution the plain accuracy counts"


def test_iwildcam_is_judged_by_macro_f1_as_wilds_does(iwildcam):
    benchmark = load("wilds-iwildcam", iwildcam)
    assert benchmark.class_names == ["empty", "puma concolor", "unknown", "unknown (2)"], "left out ones are gone"
    for images in (benchmark.reference, benchmark.shifts["ood"]):
        labels = torch.tensor([images[i][1] for i in range(len(images))])
        said = (labels + torch.arange(len(labels)) % 3 // 2) % 4
        assert images.metric(said, labels)["accuracy"] == pytest.approx(judged_by_wilds(images, said)["F1-macro_all"])
    assert (len(benchmark.train), len(benchmark.val), len(benchmark.reference)) == (10, 10, 10)
    assert len(benchmark.shifts["ood"]) == 20


def test_an_incomplete_or_wrong_wilds_tree_is_refused(fmow, iwildcam, tmp_path):
    with pytest.raises(WiseftError, match=r"split train holds .* images, expected 76,863"):
        load_benchmark("wilds-fmow", root=fmow)
    with pytest.raises(WiseftError, match=r"split train holds 10 images, expected 129,809"):
        load_benchmark("wilds-iwildcam", root=iwildcam)
    for tree, name, file in ((fmow, "wilds-fmow", "rgb_metadata.csv"), (iwildcam, "wilds-iwildcam", "categories.csv")):
        root = tmp_path / name
        shutil.copytree(tree, root)
        next(root.rglob(file)).write_text("a,b\n1,2\n")
        with pytest.raises(WiseftError, match="fetch"):
            load(name, root)


def test_images_are_those_that_wilds_itself_gives(fmow, iwildcam):
    for name, root in (("wilds-fmow", fmow), ("wilds-iwildcam", iwildcam)):
        benchmark = load(name, root)
        for images in (benchmark.train, benchmark.val, benchmark.reference, benchmark.shifts["ood"]):
            for i in (0, len(images) - 1):
                (ours, label), (theirs, their_label, _) = images[i], images.part[i]
                assert label == int(their_label) and np.array_equal(np.asarray(ours), np.asarray(theirs))
            assert getattr(images, "class_subset", None) is None, "all classes are told apart, whichever occur"


@pytest.mark.parametrize("name", ["cars", "dtd", "food101", "sun397", "wilds-fmow", "wilds-iwildcam"])
def test_a_fingerprint_reads_files_and_decodes_none(tmp_path, fmow, iwildcam, monkeypatch, name):
    roots = {"wilds-fmow": fmow, "wilds-iwildcam": iwildcam}
    if name in TRANSFER:
        TRANSFER[name][0](tmp_path)
    benchmark = load(name, roots.get(name, tmp_path))
    monkeypatch.setattr(Image, "open", lambda *args, **options: pytest.fail("an image was decoded"))
    assert len({fingerprint(part) for part in (benchmark.train, benchmark.val, benchmark.reference)}) == 3
    path, label = benchmark.val.files[0]
    before = fingerprint(benchmark.val)
    benchmark.val.files[0] = (path, label + 1)
    assert fingerprint(benchmark.val) != before


def test_wilds_is_imported_without_asking_for_newer_versions(monkeypatch):
    """A package index would be asked in a thread of its own, at every import."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("wilds", "outdated")]:
        monkeypatch.delitem(sys.modules, name)
    asked = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: asked.append(thread))
    before = sys.modules.get("outdated")
    import_wilds("fmow_dataset")
    assert sys.modules["wilds.version"].check_outdated is None and not asked
    assert sys.modules.get("outdated") is before and "outdated" not in sys.modules


def test_the_metric_of_regions_follows_a_subset(fmow):
    ood = load("wilds-fmow", fmow).shifts["ood"]
    assert ood.subset([3, 0]).metric.groups == [ood.metric.groups[3], ood.metric.groups[0]]
