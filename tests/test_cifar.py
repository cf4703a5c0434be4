"""CIFAR-10 and its shifts are read as their authors publish them, and nothing in them is executed."""

import pickle
import warnings

import cifar_tree
import numpy as np
import pytest
from cifar_tree import NAMES, STL_NAMES, pictures

from wiseft_nb import WiseftError, load_benchmark
from wiseft_nb.benchmarks.cifar.files import read_arrays, read_pickle
from wiseft_nb.benchmarks.splits import held_out


def load(root, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is there is read without a word
        warnings.filterwarnings("ignore", message="[^;]*, the reference itself; ")  # a tree with shifts alone
        return load_benchmark("cifar10", root=root, complete=False, **arguments)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return cifar_tree.write_all(tmp_path_factory.mktemp("cifar"))


@pytest.fixture(scope="module")
def cifar10(tree):
    return load(tree, shifts=["cifar10.*", "stl10", "cifar10-c/fog/*", "cifar10-c/snow/5"])


def test_every_part_has_its_count_classes_and_labels(cifar10):
    assert list(cifar10.class_names) == NAMES and len(cifar10.templates) == 18
    sizes = {name: len(images) for name, images in cifar10.test_sets.items()}
    fog = {f"cifar10-c/fog/{severity}": 20 for severity in range(1, 6)}
    shifts = {"cifar10.1-v6": 30, "cifar10.1-v4": 30, "cifar10.2": 30, "stl10": 18, "cifar10-c/snow/5": 20}
    assert sizes == {"cifar10": 20} | shifts | fog
    for name in ("cifar10", "cifar10.1-v4", "cifar10.1-v6", "cifar10.2"):
        assert cifar10.test_sets[name].labels.tolist() == [i % 10 for i in range(sizes[name])]


@pytest.mark.parametrize("write", [cifar_tree.write_python_version, cifar_tree.write_binary_version])
def test_both_versions_give_the_same_pixels_and_labels(write, tmp_path):
    write(tmp_path)
    benchmark = load(tmp_path, shifts=[])
    images, labels = pictures(20, seed=5)
    assert np.array_equal(benchmark.reference.images, images) and benchmark.reference.labels.tolist() == labels.tolist()
    picture, label = benchmark.reference[3]
    assert np.array_equal(np.asarray(picture), images[3]) and label == 3


def test_the_validation_split_is_a_tenth_of_training_and_no_test_data(cifar10):
    train, val, test = (
        {image.tobytes() for image in part.images} for part in (cifar10.train, cifar10.val, cifar10.reference)
    )
    assert (len(train), len(val)) == (90, 10) and not train & val and not (train | val) & test
    assert sorted(cifar10.val.labels) == list(range(10)), "a like share of each class"


def test_the_split_of_the_whole_training_set_is_stratified_and_always_the_same():
    labels = np.random.default_rng(0).permutation(np.arange(50_000) % 10)
    (train, val), again = held_out(labels, 0.1), held_out(labels, 0.1)
    assert (np.bincount(labels[val]) == 500).all() and sorted([*train, *val]) == list(range(50_000))
    assert np.array_equal(val, again[1])


def test_severities_are_fifths_of_a_file_in_order(cifar10):
    for severity in range(1, 6):
        assert (cifar10.shifts[f"cifar10-c/fog/{severity}"].images == severity).all()


def test_stl10_is_relabelled_and_its_monkeys_left_out(cifar10):
    """Its classes stand in another order, say car for automobile, and lack frogs."""
    images, labels = pictures(20, seed=20, size=96)
    kept = [i for i, label in enumerate(labels) if STL_NAMES[label] != "monkey"]
    stl10 = cifar10.shifts["stl10"]
    assert np.array_equal(stl10.images, images[kept])
    said = [NAMES[label].replace("automobile", "car") for label in stl10.labels]
    assert said == [STL_NAMES[labels[i]] for i in kept]
    assert stl10.class_subset == (0, 1, 2, 3, 4, 5, 7, 8, 9)


def test_the_folders_that_wise_ft_itself_reads_are_read_too(tmp_path):
    """CIFAR-10.1 without the repository's folder, CIFAR-10.2 as a pickled dict, with more in it than is needed."""
    images, labels = pictures(30, seed=10)
    cifar_tree.write_cifar10_1(tmp_path, folder="CIFAR-10.1")
    (tmp_path / "CIFAR-10.2").mkdir()
    content = {"images": images, "labels": labels, "keywords": ["cat"] * 30, "ti_indices": [np.int64(7)] * 30}
    np.save(tmp_path / "CIFAR-10.2/cifar102_test.npy", content, allow_pickle=True)
    benchmark = load(tmp_path, shifts=["cifar10.1-v6", "cifar10.2"])
    for shift in benchmark.shifts.values():
        assert np.array_equal(shift.images, images) and shift.labels.tolist() == labels.tolist()
    assert not {"cifar10.1-v6", "cifar10.2"} & set(benchmark.missing().part)


def test_who_keeps_only_some_corruptions_has_those(tree):
    """And may ask for one of the four that are not usually reported."""
    with pytest.warns(
        UserWarning, match="left out of the shifts: cifar10-c/brightness/3, cifar10-c/contrast/3"
    ) as said:
        benchmark = load_benchmark("cifar10", root=tree, complete=False)
    usual = {name for name in benchmark.shifts if name.startswith("cifar10-c")}
    assert len(said) == 1 and usual == {"cifar10-c/fog/3", "cifar10-c/snow/3"}
    assert set(benchmark.about) >= set(benchmark.test_sets)
    lacks = benchmark.missing().set_index("part").lacks["cifar10-c"]
    assert "CIFAR-10-C/frost.npy" in lacks and "fog.npy" not in lacks
    with pytest.warns(UserWarning, match="left out of the shifts: cifar10-c;"):
        load_benchmark("cifar10", root=tree, complete=False, shifts=["cifar10-c/spatter/1"])


def test_cifar10_2s_shift_is_its_test_split(cifar10):
    images, _ = pictures(30, seed=30)
    assert np.array_equal(cifar10.shifts["cifar10.2"].images, images)


def test_parts_that_are_not_on_disk_are_left_out_with_one_warning_and_listed(tmp_path):
    cifar_tree.write_cifar10_1(tmp_path)
    with pytest.warns(
        UserWarning, match=r"left out of the shifts: cifar10-c, cifar10\.1-v4, cifar10\.2, stl10"
    ) as said:
        benchmark = load_benchmark("cifar10", root=tmp_path, complete=False)
    assert len(said) == 1 and set(benchmark.shifts) == {"cifar10.1-v6"}
    missing = benchmark.missing().set_index("part")
    assert set(missing.index) == {"cifar10", "cifar10.1-v4", "cifar10.2", "cifar10-c", "stl10"}
    assert missing.bytes["cifar10-c"] == 2_918_471_680 and missing.licence["cifar10.1-v4"] == "MIT"
    assert missing.download.all() and missing.page.str.startswith("http").all()
    for use in (len, lambda images: images[0]):
        with pytest.raises(WiseftError, match=r"cifar10 is not on disk, .* call benchmark\.download\(\)"):
            use(benchmark.train)


@pytest.mark.filterwarnings("ignore:not on disk")
def test_whether_files_are_the_official_ones_is_said(tree, tmp_path):
    table = load(tree, shifts=[]).official()
    assert (~table.official).sum() == 7 + 4 + 1 + 2, "these are stand-ins"
    unknown = set(table.file[table.official.isna()])
    assert unknown == {f"CIFAR-10-C/{n}.npy" for n in ("labels", "fog", "snow")} | {"stl10_binary/class_names.txt"}
    missing = load_benchmark("cifar10", root=tmp_path, shifts=[]).official()
    assert len(missing) == 0


def test_an_official_file_is_recognised(tmp_path, monkeypatch):
    """By its checksum: here the checksum of the stand-in is declared the official one."""
    from hashlib import md5

    from wiseft_nb.benchmarks.cifar import parts as cifar_parts

    batch = cifar_tree.write_python_version(tmp_path) / "test_batch"
    digest = f"md5:{md5(batch.read_bytes()).hexdigest()}"
    monkeypatch.setitem(cifar_parts.CIFAR10.digests, "cifar-10-batches-py/test_batch", digest)
    table = load(tmp_path, shifts=[]).official().set_index("file").official
    assert table["cifar-10-batches-py/test_batch"] and table.sum() == 1


def test_an_incomplete_set_is_refused_with_counts_and_a_way_out(tree):
    with pytest.raises(WiseftError, match=r"holds 100 images, expected 50,000: .* complete=False"):
        load_benchmark("cifar10", root=tree, shifts=[])


@pytest.mark.parametrize(
    ("shift", "counts"),
    [
        ("cifar10.1-v4", "30 images, expected 2,021"),
        ("cifar10.1-v6", "30 images, expected 2,000"),
        ("cifar10.2", "30 images, expected 2,000"),
        ("cifar10-c/fog/1", "100 images, expected 50,000"),
        ("stl10", "20 images, expected 8,000"),
    ],
)
def test_an_incomplete_shift_is_refused_with_counts(tmp_path, shift, counts):
    cifar_tree.write_all(tmp_path)
    for path in (tmp_path / "cifar-10-batches-py").iterdir():
        path.unlink()  # so that it is the shift that is read first
    with pytest.raises(WiseftError, match=counts):
        load_benchmark("cifar10", root=tmp_path, shifts=[shift])


def test_an_unknown_shift_is_refused_by_name(tree):
    with pytest.raises(WiseftError, match=r"unknown shift 'cifar10.3' \(did you mean 'cifar10.2'\?\): expected one of"):
        load(tree, shifts=["cifar10.3"])


class Runs:
    """What a pickle can do: here it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("name", ["test_batch", "batches.meta"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, name):
    folder = cifar_tree.write_python_version(tmp_path)
    ran = tmp_path / "ran"
    (folder / name).write_bytes(pickle.dumps({"data": Runs(ran)}))
    with pytest.raises(WiseftError, match=r"no pickle of arrays.*builtins\.exec"):
        load(tmp_path, shifts=[])
    assert not ran.exists()
    pickle.loads((folder / name).read_bytes())  # what a careless reader does
    assert ran.exists(), "the trap works"


def test_a_pickled_npy_is_read_without_running_it(tmp_path):
    """CIFAR-10.2 is also published as a dict pickled into a .npy."""
    images, labels = pictures(5)
    np.save(tmp_path / "good.npy", {"images": images, "labels": labels}, allow_pickle=True)
    found = read_arrays(tmp_path / "good.npy", ("images", "labels"))
    assert np.array_equal(found["images"], images) and np.array_equal(found["labels"], labels)
    np.save(tmp_path / "bad.npy", {"images": Runs(tmp_path / "ran")}, allow_pickle=True)
    with pytest.raises(WiseftError, match="no pickle of arrays"):
        read_arrays(tmp_path / "bad.npy", ("images", "labels"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_is_read(tmp_path, protocol):
    images, _ = pictures(3)
    content = {b"data": cifar_tree.rows(images), b"labels": [np.int64(3), 1, 2], "names": [b"a", "b"]}
    (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickle(tmp_path / "batch")
    assert np.array_equal(found["data"], cifar_tree.rows(images)) and list(found["labels"]) == [3, 1, 2]


def test_labels_in_another_order_are_refused(tmp_path):
    cifar_tree.write_python_version(tmp_path, names=sorted(NAMES, reverse=True))
    with pytest.raises(WiseftError, match=r"names the classes \['truck'.*expected \['airplane'"):
        load(tmp_path, shifts=[])


def break_batch(root):
    path = root / "cifar-10-batches-py/test_batch"
    path.write_bytes(path.read_bytes()[:-2000])


def break_labels(root):
    """Two batches wrong that would be right together."""
    for file, n in (("data_batch_1", 19), ("data_batch_2", 21)):
        batch = {"labels": [i % 10 for i in range(n)], "data": cifar_tree.rows(pictures(20)[0])}
        (root / "cifar-10-batches-py" / file).write_bytes(cifar_tree.as_python_2_pickled(batch))


def break_binary(root):
    for path in (root / "cifar-10-batches-py").iterdir():
        path.unlink()
    path = cifar_tree.write_binary_version(root) / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])


def break_cifar10_1(root):
    np.save(root / "CIFAR-10.1/datasets/cifar10.1_v6_labels.npy", np.arange(29) % 10)


def break_cifar10_2(root):
    np.savez(root / "cifar-10.2/cifar102_test.npz", images=pictures(3)[0])


def break_cifar10_c(root):
    path = root / "CIFAR-10-C/fog.npy"
    path.write_bytes(path.read_bytes()[:5000])


def break_stl10(root):
    (root / "stl10_binary/test_y.bin").write_bytes(bytes(20))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (break_batch, "test_batch is no pickle"),
        (break_labels, "data_batch_1 holds 20 images but 19 labels"),
        (break_binary, "test_batch.bin does not hold rows of 3,073 bytes"),
        (break_cifar10_1, "30 images but 29 labels"),
        (break_cifar10_2, r"cifar102_test\.npz holds \['images'\], expected images and labels"),
        (break_cifar10_c, "fog.npy is no plain .npy file, or truncated"),
        (break_stl10, "20 labels from 1 to 10 expected"),
    ],
)
def test_one_wrong_tree_of_each_format_is_refused_clearly(tmp_path, damage, says):
    cifar_tree.write_all(tmp_path)
    damage(tmp_path)
    with pytest.raises(WiseftError, match=says):
        load(tmp_path, shifts=["cifar10.1-v6", "cifar10.2", "cifar10-c/fog/2", "stl10"])


def test_with_nothing_on_disk_the_reference_itself_is_named(tmp_path):
    with pytest.warns(UserWarning, match="cifar10, the reference itself; left out of the shifts: ") as said:
        load_benchmark("cifar10", root=tmp_path)
    assert len(said) == 1


def test_a_root_that_is_too_deep_is_pointed_out(tmp_path):
    root = cifar_tree.write_python_version(tmp_path)
    hint = f"root is too deep, pass root={str(tmp_path.resolve())!r}"
    with pytest.warns(UserWarning, match="the reference itself") as said:
        benchmark = load_benchmark("cifar10", root=root, complete=False, shifts=[])
    assert hint in str(said[0].message)
    with pytest.raises(WiseftError) as error:
        len(benchmark.train)
    assert hint in str(error.value) and "download" not in str(error.value)


def test_one_shift_may_be_given_as_a_text(tree):
    assert list(load(tree, shifts="cifar10.1-v6").shifts) == ["cifar10.1-v6"]


def test_copies_are_held_out_together(tmp_path):
    """Of a batch in which every image stands twice, none is in train and in val."""
    folder = cifar_tree.write_python_version(tmp_path)
    pictures_, labels = pictures(10, seed=9)
    twice = {"labels": [*labels, *labels], "data": np.tile(cifar_tree.rows(pictures_), (2, 1))}
    (folder / "data_batch_1").write_bytes(cifar_tree.as_python_2_pickled(twice))
    benchmark = load(tmp_path, shifts=[])
    train, val = ({image.tobytes() for image in part.images} for part in (benchmark.train, benchmark.val))
    assert len(benchmark.train) + len(benchmark.val) == 100 and not train & val


def test_its_shifts_come_in_two_groups(cifar10):
    """Photographs collected anew, and test images that code corrupted: their means say different things."""
    assert set(cifar10.groups) == {"natural", "corrupted"}
    assert all("/" in name for name in cifar10.groups["corrupted"])
    assert sorted(name for group in cifar10.groups.values() for name in group) == sorted(cifar10.shifts)
