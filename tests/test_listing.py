"""One rule says which files are images, for own folders, classify and ImageNet's reader; what is not taken is named."""

import imagenet_tree
import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from wiseft_nb import WiseftError, classify, load_benchmark
from wiseft_nb.benchmarks.listing import list_images

rng = np.random.default_rng(0)


def save(path, **arguments):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path, **arguments)
    return path


@pytest.fixture
def pets(tmp_path):
    """train and test of two classes; val is taken out of train."""
    for part, n in (("train", 10), ("test", 3)):
        for name in ("cat", "dog"):
            for i in range(n):
                save(tmp_path / "pets" / part / name / f"{i}.png")
    return tmp_path / "pets"


def as_file(name):
    """What a folder may hold besides: an image under another name, or something that looks like one."""

    def make(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".heic", ".dng", ".png?size=200", ".npy"):
            path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
        else:
            save(path, format="AVIF" if path.suffix == ".avif" else "JPEG")

    return make


TAKEN = ("x.jfif", "x.JPE", "x.avif", "x", "deeper/x.jpg", "deeper/still/x.jpg", "x.png/y.jpg")
NOT_TAKEN = ("x.heic", "x.dng", "x.png?size=200", "x.npy", "deeper/x.heic")
LEFT_BEHIND = ("._0.png", ".hidden/x.png", ".ipynb_checkpoints/0-checkpoint.png", "__MACOSX/x.png", "@eaDir/x.png")


def pets_of(pets, zero_shot, complete=True):
    return len(load_benchmark(pets, complete=complete).train) + len(load_benchmark(pets, complete=complete).val)


def classified(pets, zero_shot, complete=True):
    return len(classify(zero_shot, pets / "train", progress=False))


def in_imagenet(pets, zero_shot, complete=True):
    """The same files as ImageNet's."""
    folder = pets.parent / "imagenet/val"
    folder.mkdir(parents=True)
    for name, wnid in zip(("cat", "dog"), imagenet_tree.CLASSES.values(), strict=False):
        (pets / "train" / name).rename(folder / wnid)
    return len(load_benchmark("imagenet", root=pets.parent, shifts=[], complete=False).reference)


READERS = (pets_of, classified, in_imagenet)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.filterwarnings("ignore:not on disk")
def test_images_under_other_endings_and_at_other_depths_are_taken(pets, zero_shot, reader, name):
    as_file(name)(pets / "train/cat")
    assert reader(pets, zero_shot) == 21


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", LEFT_BEHIND)
@pytest.mark.filterwarnings("ignore:not on disk")
def test_what_systems_leave_behind_is_passed_over(pets, zero_shot, reader, name):
    path = pets / "train/cat" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\0\5\x16\7" + bytes(99))
    (pets / "train/Thumbs.db").write_bytes(bytes(99))
    (pets / "train/cat/.DS_Store").write_bytes(bytes(99))
    assert reader(pets, zero_shot) == 20


def test_folders_that_systems_leave_behind_are_no_classes_and_no_splits(pets):
    for folder in ("__MACOSX", "@eaDir", ".ipynb_checkpoints"):
        save(pets / folder / "x.png")
        save(pets / "train" / folder / "x.png")
        save(pets / "shifts/night" / folder / "cat/x.png")
    save(pets / "shifts/night/cat/0.png")
    mine = load_benchmark(pets)
    assert mine.class_names == ["cat", "dog"] and len(mine.shifts["night"]) == 1


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_looks_like_an_image_and_is_not_taken_is_named(pets, zero_shot, name):
    as_file(name)(pets / "train/cat")
    with pytest.raises(WiseftError, match=r"1 not taken as images, such as train/cat/(deeper/)?x\."):
        load_benchmark(pets)
    for read in (lambda: pets_of(pets, None, complete=False), lambda: classified(pets, zero_shot)):
        with pytest.warns(UserWarning, match="1 not taken as images"):
            assert read() == 20
    with pytest.warns(UserWarning, match="1 not taken as images"):
        assert in_imagenet(pets, zero_shot) == 20


def test_text_beside_images_is_no_image(pets):
    for name in ("notes.txt", "labels.csv", "LICENSE", "0.xml", "about.json"):
        (pets / "train/cat" / name).write_text("This is the cat of Zoë.\n")
    assert pets_of(pets, None) == 20


def test_links_are_followed_everywhere_and_never_round_in_circles(pets, zero_shot):
    real = pets.rename(pets.parent / "real")
    for part in ("train", "test"):
        (pets / part).mkdir(parents=True)
        for name in ("cat", "dog"):
            (pets / part / name).symlink_to(real / part / name)
    (real / "train/cat/round").symlink_to(real / "train/cat")
    (real / "train/cat/up").symlink_to(real / "train")
    (real / "train/cat/self").symlink_to(real / "train/cat/self")
    assert len(list_images(real / "train/cat")[0]) == 10
    (real / "train/cat/self").unlink()
    assert pets_of(pets, None) == classified(pets, zero_shot) == 20


def test_the_order_is_torchvisions(pets):
    for name in ("a/b/0.png", "a-b/0.png", "a/0.png", "Z.png", "10.png", "é.png"):
        save(pets / "train/cat" / name)
    (pets / "train/dog/few").mkdir()
    (pets / "train/dog/few/linked").symlink_to(pets / "test/dog")
    theirs = [str(path) for path, _ in ImageFolder(pets / "train").samples]
    ours = [str(path) for name in ("cat", "dog") for path in list_images(pets / "train" / name)[0]]
    assert ours == theirs and len(ours) == 29


def test_a_folder_that_holds_only_what_is_not_taken_says_so(tmp_path, zero_shot):
    as_file("x.heic")(tmp_path)
    with pytest.raises(WiseftError, match=r"holds no images: .* 1 not taken as images, such as .*x\.heic"):
        classify(zero_shot, tmp_path, progress=False)
