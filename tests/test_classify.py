"""classify: from images to a table of labels and probabilities, equal to what evaluate says."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset

from wiseft_nb import ImageSet, WiseftError, classify, evaluate, load_benchmark, zero_shot_classifier
from wiseft_nb.benchmarks.images import read_image


@pytest.fixture(scope="module")
def folder(benchmark, tmp_path_factory):
    """Digits as somebody's PNG files, a folder a class."""
    folder = tmp_path_factory.mktemp("own")
    for i in range(40):
        image, label = benchmark.reference[i]
        (folder / "test" / benchmark.class_names[label]).mkdir(parents=True, exist_ok=True)
        image.save(folder / "test" / benchmark.class_names[label] / f"{i:02d}.png")
    return folder / "test"


def test_a_folder_gives_a_row_for_each_image_with_the_classes_evaluate_predicts(zero_shot, folder):
    table = classify(zero_shot, folder, progress=False)
    columns = [f"{column}{k}" for k in ("", "_2", "_3") for column in ("label", "probability")]
    assert list(table.columns) == ["image", *columns]
    paths = sorted(folder.rglob("*.png"))
    assert table.image.tolist() == [path.as_posix() for path in paths]
    predictions = evaluate(zero_shot, [(read_image(path), 0) for path in paths])
    assert table.label.tolist() == [zero_shot.class_names[i] for i in predictions.predicted]
    probabilities = predictions.logits.softmax(1).sort(descending=True).values
    for k, column in enumerate(("probability", "probability_2", "probability_3")):
        torch.testing.assert_close(torch.tensor(table[column].tolist()), probabilities[:, k])
    truth = [path.parent.name for path in paths]
    assert (table.label == truth).mean() > 0.8, "the bundled CLIP reads nine of ten digits"


def test_the_csv_reads_back_the_same(zero_shot, folder, tmp_path):
    table = classify(zero_shot, folder, progress=False)
    table.to_csv(tmp_path / "said.csv", index=False)
    back = pd.read_csv(tmp_path / "said.csv", dtype={name: str for name in table if name.startswith("label")})
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_images_in_memory_paths_and_datasets_are_said_alike(zero_shot, folder, benchmark):
    paths = sorted(folder.rglob("*.png"))[:5]
    tables = [
        classify(zero_shot, images, top=1, progress=False)
        for images in (paths, [str(path) for path in paths], [read_image(path) for path in paths])
    ]
    assert tables[0].equals(tables[1]) and tables[2].image.tolist() == [0, 1, 2, 3, 4]
    assert tables[0].label.tolist() == tables[2].label.tolist() and list(tables[0]) == ["image", "label", "probability"]
    one = classify(zero_shot, paths[0], top=99, progress=False)
    assert len(one) == 1 and one.shape[1] == 1 + 2 * 10, "at most as many as there are classes"
    few = classify(zero_shot, benchmark.reference.subset(range(4)), progress=False)
    assert few.label.tolist() == zero_shot.predict([benchmark.reference[i][0] for i in range(4)])


def test_grey_images_and_images_of_several_sizes_are_classified(zero_shot, folder):
    paths = sorted(folder.rglob("*.png"))[:3]
    grey = [read_image(path).convert("L").resize((50, 70)) for path in paths]
    assert len(classify(zero_shot, grey, progress=False)) == 3


def test_all_unreadable_files_are_named_at_once(zero_shot, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.jpg").write_bytes(b"")
    with pytest.raises(WiseftError, match=r"(?s)a\.png is no readable image.*b\.jpg is no readable image"):
        classify(zero_shot, tmp_path, progress=False)
    with pytest.raises(WiseftError, match=r"gone\.png is no readable image"):
        classify(zero_shot, tmp_path / "gone.png", progress=False)


@pytest.mark.parametrize(
    ("images", "says"), [([], "no image to classify"), ([1, 2], "of the kind int: expected a path")]
)
def test_what_is_no_image_is_refused(zero_shot, images, says):
    with pytest.raises(WiseftError, match=says):
        classify(zero_shot, images, progress=False)


def test_a_folder_without_images_and_a_top_of_none_are_refused(zero_shot, tmp_path):
    with pytest.raises(WiseftError, match="holds no images"):
        classify(zero_shot, tmp_path)
    with pytest.raises(WiseftError, match="top is 0"):
        classify(zero_shot, tmp_path, top=0)


def test_from_a_folder_of_ones_own_to_predictions(clip, folder):
    """Load, build, classify: three lines."""
    mine = load_benchmark(folder.parent / "test", complete=False)
    table = classify(zero_shot_classifier(clip, mine), folder, progress=False)
    assert set(table.label) <= set(mine.class_names) and (table.probability >= table.probability_2).all()


@pytest.mark.parametrize("complete_labels", [True, False])
def test_a_dataset_with_some_of_the_classes_is_named_as_evaluate_predicts(zero_shot, benchmark, complete_labels):
    """Others cannot occur there; the labels themselves, unknown perhaps, do not matter."""
    keep = np.flatnonzero(np.isin(benchmark.reference.labels, (3, 5)))
    some = ImageSet(benchmark.reference.images[keep], benchmark.reference.labels[keep], (3, 5))
    said = [zero_shot.class_names[i] for i in evaluate(zero_shot, some).predicted]
    if not complete_labels:
        some.labels = np.full(len(some), -1)
    table = classify(zero_shot, some, progress=False)
    assert table.label.tolist() == said and set(table.label) == {"3", "5"}
    assert np.allclose(table.probability + table.probability_2, 1, atol=1e-5) and "label_3" not in table


def test_a_dataset_whose_labels_stand_for_several_classes_is_named_as_evaluate_predicts(zero_shot, benchmark):
    few = benchmark.reference.subset(range(40))
    few.class_groups = ((0, 1), (), (2, 3, 4), (9,))
    named = {0: "0 or 1", 2: "2 or 3 or 4", 3: "9"}
    few.labels = few.labels * 0
    said = [named[int(i)] for i in evaluate(zero_shot, few).predicted]
    table = classify(zero_shot, few, progress=False)
    assert table.label.tolist() == said and len(set(said)) > 1 and set(table.label_3) <= set(named.values())


class WithoutLabels(Dataset):
    """Inputs alone, as competitions give them out."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def test_one_image_a_generator_a_glob_and_a_dataset_without_labels_are_taken(zero_shot, folder):
    paths = sorted(folder.rglob("*.png"))[:3]
    images = [read_image(path) for path in paths]
    expected = classify(zero_shot, images, progress=False)
    for given in (iter(images), (image for image in images), WithoutLabels(images), tuple(images)):
        assert classify(zero_shot, given, progress=False).equals(expected)
    assert classify(zero_shot, images[0], progress=False).label.tolist() == expected.label[:1].tolist()
    found = classify(zero_shot, folder.rglob("*.png"), progress=False)
    assert len(found) == 40
    with pytest.raises(WiseftError, match="no image to classify"):
        classify(zero_shot, folder.glob("*.gif"), progress=False)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((2, 9, 9, 3), np.uint8), "of the kind ndarray: .*Image.fromarray"),
        ([np.zeros((9, 9, 3), np.uint8)], "of the kind ndarray: .*Image.fromarray"),
        ([torch.zeros(3, 9, 9)], "of the kind Tensor"),
        (["a.png", Image.new("RGB", (9, 9))], "of the kind PIL image and path"),
        (7, "of the kind int"),
        (None, "of the kind NoneType"),
    ],
)
def test_what_is_neither_is_refused_by_its_kind(zero_shot, images, says):
    with pytest.raises(WiseftError, match=says):
        classify(zero_shot, images, progress=False)


def test_images_in_memory_need_no_workers(zero_shot, benchmark, folder, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.utils.data.DataLoader, "__init__", spy_on_workers(asked))
    few = benchmark.reference.subset(range(4))
    for images in (few, [image for image, _ in few], Subset(few, [1, 2])):
        classify(zero_shot, images, progress=False)
    assert asked == [0, 0, 0]


def spy_on_workers(asked):
    init = torch.utils.data.DataLoader.__init__

    def spied(self, *args, **arguments):
        asked.append(arguments["num_workers"])
        init(self, *args, **arguments)

    return spied


def test_a_part_of_a_dataset_is_named_as_the_whole(zero_shot, benchmark):
    few = benchmark.reference.subset(range(20))
    few.class_subset = (3, 5)
    whole, part = (classify(zero_shot, images, progress=False) for images in (few, Subset(few, range(10, 20))))
    assert part.label.tolist() == whole.label.tolist()[10:] and set(part.label) <= {"3", "5"}


def test_the_classifier_is_left_in_the_mode_it_was_in(zero_shot, benchmark):
    zero_shot.train()
    before = classify(zero_shot, benchmark.reference.subset(range(3)), progress=False)
    assert zero_shot.training and zero_shot.image_encoder.training
    zero_shot.eval()
    assert classify(zero_shot, benchmark.reference.subset(range(3)), progress=False).equals(before)
