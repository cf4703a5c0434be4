"""ImageNet and its shifts are read as their authors publish them; each trap that has bitten others has its test."""

import io
import json
import shutil
import tarfile
import warnings

import imagenet_tree
import numpy as np
import open_clip
import pytest
import torch
from imagenet_tree import CLASSES
from PIL import Image

from wiseft_nb import Predictions, WiseftError, load_benchmark
from wiseft_nb.benchmarks import images
from wiseft_nb.benchmarks.imagenet.classes import CLASS_NAMES, WNIDS
from wiseft_nb.engine.cache import fingerprint

ALL = ["*"]


def load(root, shifts=ALL, complete=False):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="[^;]*, the reference itself; ")  # a tree with shifts alone
        return load_benchmark("imagenet", root=root, shifts=shifts, complete=complete)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return imagenet_tree.write_all(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(scope="module")
def imagenet(tree):
    return load(tree)


def labels(images):
    return [label for _, label in images.files]


def test_every_part_has_its_count_classes_and_labels(imagenet):
    assert len(imagenet.class_names) == 1000 and len(imagenet.templates) == 80
    sizes = {name: len(images) for name, images in imagenet.test_sets.items()}
    video = {"vid-robust/pm-0": 2, "vid-robust/pm-10": 5, "ytbb-robust/pm-0": 2, "ytbb-robust/pm-10": 4}
    assert sizes == {"imagenet": 18, "v2": 18, "r": 6, "sketch": 18, "objectnet": 6, "a": 4} | video
    assert labels(imagenet.reference) == sorted([*CLASSES, *CLASSES]) == labels(imagenet.shifts["sketch"])
    image, label = imagenet.reference[3]
    assert image.size == (40, 30) and label == 1


def test_class_names_are_distinct_and_the_usual_pairs_are_told_apart():
    """Cranes and maillots stand twice in older lists; in open_clip's, missiles and sunglasses still do."""
    theirs = open_clip.IMAGENET_CLASSNAMES
    assert len(set(CLASS_NAMES)) == 1000 and sum(a != b for a, b in zip(CLASS_NAMES, theirs, strict=True)) == 2
    assert (CLASS_NAMES[134], CLASS_NAMES[517]) == ("crane bird", "construction crane")
    assert CLASS_NAMES[638] != CLASS_NAMES[639]
    assert (CLASS_NAMES[657], CLASS_NAMES[744]) == ("missile", "projectile")
    assert all(WNIDS[index] == wnid for index, wnid in CLASSES.items()) and list(WNIDS) == sorted(WNIDS)


def test_numbered_folders_are_labels_and_not_sorted_as_text(imagenet):
    """As text, 10 would come before 2, and the tenth class be taken for the second."""
    for path, label in imagenet.shifts["v2"].files:
        assert path.parent.name == str(label)
    assert sorted(set(labels(imagenet.shifts["v2"]))) == list(CLASSES)


def test_r_and_a_tell_only_their_classes_apart(imagenet):
    r, a = imagenet.shifts["r"], imagenet.shifts["a"]
    assert r.class_subset == (1, 2, 10) and a.class_subset == (409, 530)
    logits = torch.zeros(1, 1000)
    logits[0, 0], logits[0, 10] = 9, 1
    assert Predictions.on(r, logits, torch.tensor([10])).accuracy() == 1


def test_validation_is_held_out_of_training_and_not_the_test_set(imagenet):
    assert len(imagenet.train) == 171 and len(imagenet.val) == 9, "at least one of each class"
    whole = imagenet.train.whole().files
    train, val = ({whole[i][0] for i in part.indices} for part in (imagenet.train, imagenet.val))
    assert not train & val and len(train | val) == 180
    assert not {path for path, _ in imagenet.reference.files} & (train | val)
    image, label = imagenet.val[0]
    assert image.size == (40, 30) and label in CLASSES


def test_objectnet_follows_its_own_mapping_and_loses_its_border(imagenet):
    objectnet = imagenet.shifts["objectnet"]
    assert objectnet.class_groups == ((409, 530), (1,)), "an alarm clock is an analog or a digital clock"
    assert labels(objectnet) == [0, 0, 0, 1, 1, 1], "what ImageNet does not know is left out"
    image, _ = objectnet[0]
    assert image.size == (36, 26)
    pixels = np.asarray(image).astype(int)
    assert not ((pixels[0, :, 0] == 255) & (pixels[0, :, 1] == 0)).any(), "no red is left"
    logits = torch.zeros(2, 1000)
    logits[0, 530], logits[1, 1], logits[:, 700] = 5, 5, 9
    assert Predictions.on(objectnet, logits, torch.tensor([0, 1])).accuracy() == 1


def test_video_frames_are_judged_with_their_neighbours(imagenet):
    """Two anchors; the first is right alone but not with all its neighbours, the second accepts two labels."""
    pm_0, pm_10 = imagenet.shifts["vid-robust/pm-0"], imagenet.shifts["vid-robust/pm-10"]
    assert pm_10.class_groups == ((0, 1), (409,))
    assert [path.relative_to(pm_10.folder).as_posix() for path, _ in pm_10.files] == [
        "val/a/0.JPEG",
        "val/a/1.JPEG",
        "val/a/2.JPEG",
        "val/b/0.JPEG",
        "val/b/1.JPEG",
    ]
    said = torch.tensor([0, 0, 1, 0, 1])
    assert pm_10.metric(said, torch.tensor(labels(pm_10)))["accuracy"] == 0.5
    assert pm_0.metric(said[[1, 3]], torch.tensor(labels(pm_0))) == pm_0.metric(torch.tensor([0, 1]), said[:2])
    assert pm_0.metric(said[[1, 3]], said[:2])["accuracy"] == 1


def test_ytbb_frames_are_chosen_by_the_reviewers_notes(imagenet):
    """Unsure and bad anchors and pairs that are unlike are left out; an anchor accepts all labels noted for it."""
    pm_0, pm_10 = imagenet.shifts["ytbb-robust/pm-0"], imagenet.shifts["ytbb-robust/pm-10"]
    names = [path.relative_to(pm_10.folder).as_posix() for path, _ in pm_10.files]
    assert names == ["v_1/frame-4.jpg", "v_1/frame-5.jpg", "v_1/frame-7.jpg", "w_2/frame-1.jpg"]
    assert pm_10.class_groups == ((0, 1), (409,), ()), "ImageNet has no class for a person"
    logits = torch.zeros(4, 1000)
    logits[:3, 409], logits[3, 1] = 1, 1
    assert Predictions.on(pm_10, logits, torch.tensor(labels(pm_10))).row()["accuracy"] == 1, (
        "w_2 accepts fish and clock"
    )
    logits[2, 0] = 2
    assert Predictions.on(pm_10, logits, torch.tensor(labels(pm_10))).row() == pm_10.metric(
        torch.tensor([1, 1, 0, 0]), torch.tensor(labels(pm_10))
    )
    assert Predictions.on(pm_10, logits, torch.tensor(labels(pm_10))).row()["accuracy"] == 0.5
    assert Predictions.on(pm_0, logits[[1, 3]], torch.tensor(labels(pm_0))).row()["accuracy"] == 1


def test_counts_of_an_incomplete_download_are_named(tree):
    """ObjectNet with 23,700 of its 50,000 images once went into a comparison."""
    expected = {
        "imagenet": (r"val has 9 class folders, expected 1000", []),
        "imagenet-r": (r"imagenet-r has 3 class folders, expected 200", ["r"]),
        "objectnet-1.0": (r"maps 2 classes, expected 113", ["objectnet"]),
        "imagenet_vid_ytbb_robust": (r"2 images, expected 1,109", ["vid-robust/pm-0"]),
    }
    for name, (says, shifts) in expected.items():
        with pytest.raises(WiseftError, match=says):
            load(only(tree, name), shifts, complete=True)
    v2 = load(only(tree, "imagenetv2-matched-frequency-format-val"), ["v2"], complete=True).shifts["v2"]
    with pytest.raises(WiseftError, match=r"holds 18 images, expected 10,000: .* complete=False"):
        len(v2)


def only(tree, name):
    """A tree with one part of another."""
    folder = tree.parent / f"only-{name}"
    shutil.copytree(tree / name, folder / name, dirs_exist_ok=True)
    return folder


def test_what_is_missing_is_listed_with_where_it_comes_from(tmp_path):
    with pytest.warns(UserWarning, match="left out of the shifts: a, objectnet, r, sketch, v2"):
        benchmark = load_benchmark("imagenet", root=tmp_path)
    missing = benchmark.missing().set_index("part")
    assert list(missing.index) == [
        "train",
        "imagenet",
        "v2",
        "r",
        "sketch",
        "objectnet",
        "a",
        "vid-robust",
        "ytbb-robust",
    ]
    assert missing.download.to_dict() == {name: name in ("r", "a") for name in missing.index}
    with pytest.raises(WiseftError, match=r"train is not on disk, .* fetch it by hand from https://www.image-net.org"):
        len(benchmark.train)


def wrong_wnid(root):
    (root / "imagenet/val/n99999999").mkdir()


def flat_val(root):
    shutil.rmtree(root / "imagenet/val")
    imagenet_tree.save(root / "imagenet/val/ILSVRC2012_val_00000001.JPEG")


def wrong_number(root):
    (root / "imagenetv2-matched-frequency-format-val/1000").mkdir()


def wrong_r(root):
    (root / "imagenet-r/README").mkdir()


def wrong_mapping(root):
    (root / "objectnet-1.0/mappings/imagenet_to_label_2012_v2").write_text("tench\n")


def wrong_video(root):
    (root / "imagenet_vid_ytbb_robust/imagenet-vid-robust/metadata/pmsets.json").write_text(json.dumps({"x": 3}))


def wrong_notes(root):
    (root / "imagenet_vid_ytbb_robust/ytbb-robust/metadata/pmk_labels.json").write_text('{"labels": []}')


def lost_frame(root):
    (root / "imagenet_vid_ytbb_robust/imagenet-vid-robust/val/a/0.JPEG").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (wrong_wnid, r"val has folders \['n99999999'\], expected one folder a class, such as n01440764"),
        (flat_val, "val has no folders, expected one folder a class"),
        (wrong_number, "expected 0 to 999"),
        (wrong_r, r"imagenet-r has folders \['README'\]"),
        (wrong_mapping, "does not hold ObjectNet's mapping files"),
        (wrong_video, "does not hold ImageNet-Vid-Robust's metadata"),
        (wrong_notes, "does not hold YTBB-Robust's notes"),
        (lost_frame, "lacks 1 frames, first val/a/0.JPEG"),
    ],
)
def test_one_wrong_tree_of_each_format_is_refused_clearly(tmp_path, damage, says):
    imagenet_tree.write_all(tmp_path)
    damage(tmp_path)
    with pytest.raises(WiseftError, match=says):
        load(tmp_path)


# Shards


@pytest.fixture
def sharded(tmp_path):
    return tmp_path, *imagenet_tree.write_shards(tmp_path / "imagenet/train")


def test_shards_give_the_images_and_labels_that_webdataset_wrote(sharded):
    root, images, written = sharded
    benchmark = load(root, [])
    whole = benchmark.train.whole()
    assert labels(whole) == written and len(benchmark.train) + len(benchmark.val) == 60
    for i in (0, 29, 30, 59):
        image, label = whole[i]
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(images[i])))) and label == written[i]


def test_shards_have_a_fingerprint_that_follows_their_content(sharded):
    root, *_ = sharded
    before = fingerprint(load(root, []).train.whole())
    assert before == fingerprint(load(root, []).train.whole())
    shutil.rmtree(root / "imagenet")
    imagenet_tree.write_shards(root / "imagenet/train")
    assert before != fingerprint(load(root, []).train.whole())


def test_a_truncated_shard_and_an_image_without_a_label_are_refused(sharded):
    root, *_ = sharded
    path = min((root / "imagenet/train").glob("*.tar"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 - 700])
    with pytest.raises(WiseftError, match=r"0000\.tar (is no whole shard|holds .* without its image or label)"):
        len(load(root, []).train)
    path.write_bytes(b"no tar at all")
    with pytest.raises(WiseftError, match="is no whole shard"):
        len(load(root, []).train)


def test_an_incomplete_set_of_shards_and_labels_that_are_no_class_are_refused(sharded):
    root, *_ = sharded
    with pytest.raises(WiseftError, match=r"shards, holds 60 images, expected 1,281,167: .* complete=False"):
        len(load(root, [], complete=True).train)
    for label in (1000, -1):
        with tarfile.open(root / "imagenet/train/a.tar", "w") as tar:
            for name, content in (("0.jpg", b"image"), ("0.cls", str(label).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        with pytest.raises(WiseftError, match=rf"labels '\./0' {label}, expected 0 to 999"):
            len(load(root, []).train)


def test_what_macos_puts_into_a_shard_is_passed_over(sharded):
    root, *_ = sharded
    path = min((root / "imagenet/train").glob("*.tar"))
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("s0/._0000.png")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"finds"))
    path.with_name("._a.tar").write_bytes(b"no tar")
    assert len(load(root, []).train.whole()) == 60


def test_imagenets_own_tars_are_no_shards(tree, tmp_path):
    """Unpacked as its page says, they stay beside the folders; alone they want unpacking, not fetching."""
    root = only(tree, "imagenet")
    shutil.copytree(root / "imagenet", tmp_path / "imagenet")
    train = tmp_path / "imagenet/train"
    for wnid in CLASSES.values():
        with tarfile.open(train / f"{wnid}.tar", "w") as tar:
            tar.add(train / wnid, arcname=".")
    benchmark = load(tmp_path, [])
    assert len(benchmark.train) + len(benchmark.val) == 180
    for wnid in CLASSES.values():
        shutil.rmtree(train / wnid)
    with pytest.raises(WiseftError, match=r"own archives \(n01440764\.tar …\) .*: unpack each into a folder"):
        len(load(tmp_path, []).train)
    for path in train.iterdir():
        path.unlink()
    (train / "ILSVRC2012_img_train.tar").write_bytes(b"many tars")
    with pytest.raises(WiseftError, match="unpack each"):
        len(load(tmp_path, []).train)


def test_a_fingerprint_reads_files_and_decodes_none(imagenet, sharded, monkeypatch):
    """1.3 million images are not decoded before the first step of a cached run."""
    shards = load(sharded[0], [])

    def refuse(*args):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(images, "decode", refuse)
    monkeypatch.setattr(images, "read_image", refuse)
    parts = (imagenet.train, imagenet.val, imagenet.reference, shards.train, shards.val)
    assert len({fingerprint(part) for part in parts}) == 5
    objectnet = imagenet.shifts["objectnet"]
    before = fingerprint(objectnet)
    monkeypatch.setattr(objectnet, "border", 0)
    assert fingerprint(objectnet) != before, "other pixels are seen"


def test_parts_of_imagenet_have_subsets(imagenet, sharded):
    for part in (imagenet.train, imagenet.reference, imagenet.shifts["objectnet"], load(sharded[0], []).val):
        few = part.subset([2, 0])
        assert len(few) == 2 and few[1][1] == part[0][1]
        assert np.array_equal(np.asarray(few[0][0]), np.asarray(part[2][0]))
    assert imagenet.shifts["objectnet"].subset([0]).class_groups == imagenet.shifts["objectnet"].class_groups
    with pytest.raises(WiseftError, match="judged together with their neighbours"):
        imagenet.shifts["vid-robust/pm-10"].subset([0])


def test_descriptions_with_a_byte_order_mark_are_read(tmp_path):
    imagenet_tree.write_all(tmp_path)
    texts = [path for path in tmp_path.rglob("*") if path.suffix == ".json" or path.name == "imagenet_to_label_2012_v2"]
    assert len(texts) > 8
    for path in texts:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(load(tmp_path).shifts) == 9
