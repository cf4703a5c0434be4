"""Detectors: scenes, proposals, regions, average precision and its interval, interpolation, and the tables that ship."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from wiseft_nb import WiseftError, interpolate_into, published, wise_ft
from wiseft_nb.analyse.tables import load_results
from wiseft_nb.benchmarks.digits.digits import mnist, to_masks
from wiseft_nb.benchmarks.digits.glyphs import DIGITS
from wiseft_nb.benchmarks.digits.grounds import GROUNDS, grounds
from wiseft_nb.benchmarks.digits.letter_scenes import letter_scenes
from wiseft_nb.benchmarks.digits.scene_sets import REFERENCE, SCENE_SETS, SEVERITY, make_sets, reference_scenes
from wiseft_nb.benchmarks.digits.scenes import INK, SIDE, Scenes, lay_out
from wiseft_nb.detect.detector import REGIONS, Detector, detect_along, judged_boxes, name_regions, recall_of
from wiseft_nb.detect.proposals import load_proposals, propose, train_proposals
from wiseft_nb.detect.regions import crop_regions, region_benchmark, region_classifier
from wiseft_nb.intervals import MEAN
from wiseft_nb.paths import ROOT

SHIFTS = [name for name in SCENE_SETS if name != REFERENCE]


@pytest.fixture(scope="module")
def scenes():
    return reference_scenes("train", 6, seed=3)


@pytest.fixture(scope="module")
def detector(clip):
    return Detector(load_proposals(), region_classifier(clip))


@pytest.fixture(scope="module")
def moved(detector):
    """The same detector after a push to every weight of the classifier; its proposals stay."""
    torch.manual_seed(0)
    end = copy.deepcopy(detector)
    with torch.no_grad():
        for weights in end.classifier.parameters():
            weights.add_(0.02 * weights.std(correction=0) * torch.randn_like(weights))
    return end


def said(boxes, labels, scores=None):
    scores = torch.ones(len(labels)) if scores is None else torch.tensor(scores)
    return {"boxes": torch.tensor(boxes).float().view(-1, 4), "labels": torch.tensor(labels), "scores": scores}


def perfect(scenes):
    pairs = zip(scenes.boxes, scenes.labels, strict=True)
    return [{"boxes": b, "labels": label, "scores": torch.ones(len(b))} for b, label in pairs]


# ------------------------------------------------------------------------------------------ scenes


def test_boxes_are_exact_whole_pixels_and_none_lies_over_another():
    digits = mnist()["train"].subset(np.arange(200))
    layers = lay_out(to_masks(digits), torch.from_numpy(digits.labels), 8, seed=1)
    for ink, boxes in zip(layers.ink, layers.boxes, strict=True):
        assert torch.equal(boxes, boxes.round()) and boxes.min() >= 0 and boxes.max() <= SIDE
        assert box_iou(boxes, boxes).fill_diagonal_(0).max() == 0
        outside = ink.clone()
        for x0, y0, x1, y1 in boxes.int().tolist():
            inside = ink[y0:y1, x0:x1] > INK
            rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
            edges = (rows[0], columns[0], y1 - y0 - 1 - rows[-1], x1 - x0 - 1 - columns[-1])
            assert max(int(edge) for edge in edges) <= 1  # the ink reaches every side, but for resampling
            outside[y0:y1, x0:x1] = 0
        assert not outside.any()


def test_the_same_seed_draws_the_same_scenes_and_another_others(scenes):
    again, other = reference_scenes("train", 6, seed=3), reference_scenes("train", 6, seed=4)
    assert torch.equal(scenes.images, again.images) and not torch.equal(scenes.images, other.images)
    some = scenes.subset([4, 1])
    assert torch.equal(some.images[1], scenes.images[1]) and torch.equal(some.boxes[0], scenes.boxes[4])


def test_letters_among_digits_get_no_box_and_sizes_are_as_said():
    made = make_sets(mnist()["train"], {"letters": 1.0, "small": 1.0, "large": 1.0}, 6, 2, "pretraining", "learned")
    assert set(made) == {REFERENCE, "letters", "small", "large"}
    longer = {name: torch.cat([(b[:, 2:] - b[:, :2]).amax(1) for b in s.boxes]) for name, s in made.items()}
    assert longer["small"].max() <= 17 < longer["large"].min() and 17 <= longer[REFERENCE].min()
    bright = {name: np.mean([(image.amax(0) > 150).float().mean() for image in s.images]) for name, s in made.items()}
    assert bright["letters"] > bright[REFERENCE]  # more ink than there are boxes
    assert torch.cat(made["letters"].labels).max() <= 9


def test_proposals_learn_on_letters_and_on_photographs_that_no_shift_shows():
    assert torch.cat(letter_scenes(10, seed=0).labels).min() >= len(DIGITS)
    assert not set(GROUNDS["learned"]) & set(GROUNDS["unseen"])
    with pytest.raises(WiseftError, match="unknown group of photographs 'all'"):
        grounds("all")
    for name in ("make/proposals.py", "benchmarks/digits/letter_scenes.py", "benchmarks/digits/scenes.py"):
        text = (ROOT / "wiseft_nb" / name).read_text(encoding="utf-8")
        assert "digits.digits" not in text and "mnist" not in text and "scene_sets" not in text


def test_scenes_that_do_not_fit_together_are_refused(scenes):
    with pytest.raises(WiseftError, match="6 images, 6 lists of boxes and 5 of labels"):
        Scenes(scenes.images, scenes.boxes, scenes.labels[:5])
    with pytest.raises(WiseftError, match="unknown part of MNIST 'training'"):
        reference_scenes("training", 1, 0)


# --------------------------------------------------------------------------- proposals and regions


def test_a_crop_of_a_true_box_shows_the_digit(scenes, detector):
    crops = crop_regions(scenes.images, scenes.boxes)
    assert crops.shape == (sum(map(len, scenes.boxes)), 32, 32, 3) and crops.dtype == np.uint8
    x0, y0, x1, y1 = scenes.boxes[0][0].int().tolist()
    patch = scenes.images[0, :, y0:y1, x0:x1].float()
    assert abs(float(crops[0].max()) - float(patch.max())) < 30  # the stroke is there
    from wiseft_nb.detect.detector import classify_regions

    right = classify_regions(detector.classifier, crops).argmax(1) == torch.cat(scenes.labels)
    assert right.float().mean() > 0.75


def test_proposals_find_digits_that_they_never_saw(scenes, detector):
    found = propose(detector.proposals, scenes.images)
    assert recall_of(found, scenes) > 0.85
    with pytest.raises(WiseftError, match=r"images are torch\.float32"):
        propose(detector.proposals, scenes.images.float())


def test_regions_are_labelled_by_overlap(scenes, detector):
    regions = region_benchmark(detector.proposals, scenes, scenes.subset([0]), seed=0)
    labels = regions.train.labels
    assert regions.class_names == REGIONS and set(np.unique(labels)) <= set(range(11))
    assert 0.1 < (labels == 10).mean() < 0.5
    assert {int(c) for label in scenes.labels for c in label} <= set(labels)  # true boxes are among them
    assert detector.proposals.detections_per_img == 15  # looser settings were given back


def test_batchnorm_of_the_proposals_is_frozen_while_they_train_on(scenes):
    network = load_proposals()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    assert [step for step, _ in train_proposals(network, scenes, optimizer, steps=3, batch_size=2)] == [1, 2, 3]
    after = network.state_dict()
    counted = [name for name in before if name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert counted and all(torch.equal(before[name], after[name]) for name in counted)
    assert not torch.equal(
        before["head.regression_head.bbox_reg.weight"], after["head.regression_head.bbox_reg.weight"]
    )
    free = load_proposals()
    list(train_proposals(free, scenes, torch.optim.SGD(free.parameters(), lr=1e-5), 1, train_batchnorm=True))
    assert any(not torch.equal(before[name], free.state_dict()[name]) for name in counted)


def test_a_training_that_was_interrupted_goes_on_alike(scenes):
    def trained(stops):
        network = load_proposals()
        optimizer, first = torch.optim.AdamW(network.parameters(), lr=1e-3), 0
        for stop in stops:
            for step, _ in train_proposals(network, scenes, optimizer, 4, first=first, batch_size=2):
                if step == stop:
                    break
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
            optimizer.load_state_dict(state)
            first = stop
        return network.state_dict()

    whole, parts = trained([4]), trained([2, 4])
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


# ------------------------------------------------------------------------------- average precision


def test_perfect_detections_have_an_average_precision_of_one(scenes):
    pytest.importorskip("pycocotools")
    from wiseft_nb.detect.average_precision import average_precision

    assert average_precision(perfect(scenes), scenes) == {"AP50": 1.0, "mAP": 1.0}
    assert average_precision(perfect(scenes), scenes, classes=False) == {"AP50": 1.0, "mAP": 1.0}
    wrong = [entry | {"labels": (entry["labels"] + 1) % 10} for entry in perfect(scenes)]
    assert average_precision(wrong, scenes)["AP50"] < 0.5
    assert average_precision(wrong, scenes, classes=False)["AP50"] == 1.0


def test_average_precision_is_what_it_is_by_hand():
    """Two boxes; the surest detection is false, the second right, the third overlaps the other box by 0.6."""
    pytest.importorskip("pycocotools")
    from wiseft_nb.detect.average_precision import average_precision

    scene = Scenes(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8),
        [torch.tensor([[0.0, 0, 10, 10], [30, 30, 40, 40]])],
        [torch.tensor([7, 7])],
    )
    found = [said([[50, 50, 60, 60], [0, 0, 10, 10], [30, 30, 40, 36]], [7, 7, 7], [0.9, 0.8, 0.7])]
    figures = average_precision(found, scene)
    assert figures["AP50"] == pytest.approx(2 / 3)  # precision 1/2 at half of the recalls, lifted to 2/3 by the third
    strict = 51 / 101 / 2  # from an overlap of 0.65 on the third is false too
    assert figures["mAP"] == pytest.approx((3 * 2 / 3 + 7 * strict) / 10, abs=1e-6)
    with pytest.raises(WiseftError, match="detections of 2 scenes, but there are 1"):
        average_precision([*found, *found], scene)
    with pytest.raises(WiseftError, match="no scene has a box"):
        average_precision(found, Scenes(scene.images, [torch.empty(0, 4)], [torch.empty(0, dtype=torch.long)]))


def test_the_bootstrap_counts_scenes_as_pycocotools_would(scenes, detector):
    """Weights of ones give the library's figure, and a scene counted twice is that scene given twice."""
    pytest.importorskip("pycocotools")
    from wiseft_nb.detect.average_precision import average_precision, judge
    from wiseft_nb.detect.intervals import precision_over

    found = detector(scenes.images)
    judged = judge(found, scenes)
    times = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 0, 3, 0]], dtype=np.float32)
    twice = [0, 0, 2, 4, 4, 4]
    again = average_precision([found[i] for i in twice], scenes.subset(twice))
    for row, figures in zip(precision_over(judged.matches, times), (judged.figures, again), strict=True):
        assert row == pytest.approx([figures["AP50"], figures["mAP"]], abs=2e-3)


def test_gains_are_paired_and_intervals_hold_the_figure(scenes, detector):
    pytest.importorskip("pycocotools")
    from wiseft_nb.detect.intervals import draw_scenes, gain_table, path_table

    sets = {REFERENCE: scenes, "one": scenes.subset([0, 1, 2]), "two": scenes.subset([3, 4, 5])}
    seen = {name: detector(s.images) for name, s in sets.items()}
    drawn = draw_scenes({(a, name): found for a in (0.0, 0.5, 1.0) for name, found in seen.items()}, sets, draws=20)
    table = path_table(drawn)
    assert (table.low <= table.value + 0.15).all() and (table.high >= table.low).all()
    wide = table.query("alpha == 0 and metric == 'AP50'").set_index("dataset").value
    assert wide[MEAN] == pytest.approx((wide["one"] + wide["two"]) / 2)
    gains = gain_table(drawn)
    assert (gains[["value", "low", "high"]] == 0).all(axis=None)  # the same detections on the same scenes
    with pytest.raises(WiseftError, match="at alpha 0.3"):
        gain_table(drawn, 0.3)


def test_the_surest_detection_of_a_box_is_right_and_a_second_one_is_wrong():
    scene = Scenes(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), [torch.tensor([[0.0, 0, 4, 4]])], [torch.tensor([3])])
    found = [said([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]], [3, 3, 5], [0.6, 0.9, 0.1])]
    (judged,) = judged_boxes(found, scene, least=0.5)
    assert judged["right"] == [True, False] and judged["names"] == ["3", "3"] and not len(judged["missed"])
    (nothing,) = judged_boxes(found, scene, least=0.95)
    assert nothing["right"] == [] and nothing["missed"].shape == (1, 4)


# ----------------------------------------------------------------------------------- interpolation


def test_the_ends_of_the_path_are_the_ends_bit_for_bit(scenes, detector, moved):
    few = {"some": scenes.subset([0, 1])}
    path = detect_along(detector, moved, few, (0.0, 0.5, 1.0))
    for alpha, end in ((0.0, detector), (1.0, moved)):
        for found, wanted in zip(path[alpha, "some"], end(few["some"].images), strict=True):
            assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    scores = [torch.cat([found["scores"] for found in path[alpha, "some"]]) for alpha in (0.0, 0.5)]
    assert len(scores[0]) != len(scores[1]) or not torch.equal(*scores)
    mixed = wise_ft(detector, moved, 0.5)
    assert all(torch.equal(t, detector.proposals.state_dict()[k]) for k, t in mixed.proposals.state_dict().items())


def test_proposals_that_moved_look_again_at_each_alpha(scenes, detector):
    other = copy.deepcopy(detector)
    with torch.no_grad():
        other.proposals.head.regression_head.bbox_reg.bias.add_(0.5)
    few = {"some": scenes.subset([0])}
    path = detect_along(detector, other, few, (0.0, 1.0))
    assert not torch.equal(path[0.0, "some"][0]["boxes"], path[1.0, "some"][0]["boxes"])


def test_a_detector_wants_the_classes_of_regions(detector, zero_shot):
    with pytest.raises(WiseftError, match="as region_classifier has"):
        Detector(detector.proposals, zero_shot)
    with pytest.raises(WiseftError, match="0 proposals but probabilities of 2"):
        name_regions([said([], [])], torch.ones(2, 11))


def test_a_live_state_dict_is_refused_where_interpolate_cannot_see_it():
    torch.manual_seed(0)
    zero_shot, fine_tuned, third = (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(3))
    before = copy.deepcopy(zero_shot.state_dict())
    for alpha in (0.2, 0.7):  # the second one would be wrong if the first had moved an end
        assert interpolate_into(third, zero_shot, fine_tuned, alpha) is third
        wanted = (1 - alpha) * zero_shot[0].weight + alpha * fine_tuned[0].weight
        assert torch.allclose(third[0].weight, wanted)
    assert all(torch.equal(tensor, before[name]) for name, tensor in zero_shot.state_dict().items())
    for end in (zero_shot, fine_tuned):
        with pytest.raises(WiseftError, match="shares weights with the .* one, first 0.weight"):
            interpolate_into(end, zero_shot, fine_tuned, 0.5)
    tied = nn.Sequential(zero_shot[0], nn.BatchNorm1d(2))  # a new network around an old layer
    with pytest.raises(WiseftError, match="give a third network"):
        interpolate_into(tied, zero_shot, fine_tuned, 0.5)
    with pytest.raises(WiseftError, match="use one architecture"):
        interpolate_into(nn.Linear(3, 2), zero_shot, fine_tuned, 0.5)


def test_detectors_of_torchvision_interpolate_but_not_with_another_head():
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    def made(classes, seed):
        torch.manual_seed(seed)
        return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes).eval()

    old, new = made(3, 0), made(3, 1)
    mixed = wise_ft(old, new, 0.25)
    name = "backbone.features.0.0.0.weight"
    wanted = 0.75 * old.state_dict()[name] + 0.25 * new.state_dict()[name]
    assert torch.allclose(mixed.state_dict()[name], wanted)
    assert set(mixed([torch.rand(3, 64, 64)])[0]) == {"boxes", "scores", "labels"}
    with pytest.raises(WiseftError, match="shape of 12 tensors.*class list"):
        wise_ft(old, made(4, 0), 0.5)


def test_detectors_of_transformers_interpolate():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text, vision = (
        small | {"vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2},
        small | {"image_size": 32, "patch_size": 16},
    )
    config = transformers.Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    ends = [transformers.Owlv2ForObjectDetection(config).eval() for _ in range(2)]
    mixed = wise_ft(*ends, 0.5)
    first, second, between = (end.state_dict() for end in (*ends, mixed))
    for name, tensor in between.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (first[name] + second[name]) / 2, atol=1e-6), name
    ids = torch.randint(1, 49, (2, 8))
    told = mixed(input_ids=ids, pixel_values=torch.rand(1, 3, 32, 32), attention_mask=torch.ones_like(ids))
    assert isinstance(told.logits, torch.Tensor) and told.logits.shape[-1] == 2


# ------------------------------------------------------------------------------ what the tables say


def test_severities_are_those_that_the_rule_chose_on_training_digits():
    table = load_results("detection", "severities")
    made = table[table["shift"] != REFERENCE]
    strongest = made[made.recall >= 0.85].groupby("shift").severity.max().to_dict()
    assert strongest == made[made.chosen].set_index("shift").severity.to_dict() == SEVERITY


def test_the_background_row_and_the_mix_are_those_that_training_digits_chose():
    from wiseft_nb.detect.detector import MIX

    table = load_results("detection", "choices")
    best = table.groupby(["background", "mix"]).mAP.mean().idxmax()
    assert best == ("a character", MIX) == tuple(table[table.chosen][["background", "mix"]].iloc[0])


def test_paths_and_gains_agree_and_hold_what_notebook_14_says():
    paths, gains = load_results("detection", "path"), load_results("detection", "gains")
    key = ["act", "seed", "metric", "dataset"]
    assert not paths.duplicated([*key, "alpha"]).any() and not gains.duplicated([*key, "over"]).any()
    assert set(paths.dataset) == {*SCENE_SETS, MEAN} and paths.value.between(0, 1).all()
    assert (paths.groupby("act").seed.nunique() == 3).all() and paths.act.nunique() == 2
    assert (paths.low <= paths.high).all() and (gains.low <= gains.high).all()
    wide = paths.pivot(index=key, columns="alpha", values="value")
    for end, alpha in (("zero-shot", 0.0), ("fine-tuned", 1.0)):
        told = gains[gains.over == end].set_index(key).value
        assert np.allclose(told, (wide[0.5] - wide[alpha]).loc[told.index], atol=3e-5)
    means = paths[paths.dataset.isin(SHIFTS)].groupby(["act", "seed", "metric", "alpha"]).value.mean()
    told = paths[paths.dataset == MEAN].set_index(["act", "seed", "metric", "alpha"]).value
    assert np.allclose(means, told.loc[means.index], atol=3e-5)
    ends = wide.xs("AP50", level="metric").xs("classifier", level="act")
    assert (ends.xs(MEAN, level="dataset")[0.5] > ends.xs(MEAN, level="dataset")[[0.0, 1.0]].max(axis=1) + 0.01).all()
    for name in ("letters", "posters", "fonts"):
        assert (ends.xs(name, level="dataset")[1.0] < ends.xs(name, level="dataset")[0.0]).all()
    assert (ends.xs("letters", level="dataset")[0.5] < ends.xs("letters", level="dataset")[0.0]).all()  # not won back


def test_the_whole_detector_gains_more_and_its_boxes_forget_how_large_digits_are():
    wide = load_results("detection", "path").pivot(
        index=["act", "metric", "dataset", "seed"], columns="alpha", values="value"
    )
    whole, classifier = (wide.loc[act, "mAP", MEAN] for act in ("whole detector", "classifier"))
    assert np.allclose(whole[0.0], classifier[0.0], atol=1e-5)  # the same zero-shot detector
    assert (whole[0.5] > classifier[0.5] + 0.03).all() and (whole[0.5] > whole[1.0]).all()
    boxes = load_results("detection", "proposals")
    assert not boxes.duplicated(["seed", "dataset", "alpha"]).any() and boxes.seed.nunique() == 3
    large = boxes[boxes.dataset == "large"].pivot(index="seed", columns="alpha", values="mAP")
    assert (large[1.0] < large[0.0] - 0.03).all() and (large[0.5] > large[1.0] + 0.03).all()


def test_published_detectors_have_their_sources_and_their_traps():
    table = published("detection", details=True)
    assert len(table) == 204 and table.n.isna().all() and table.accuracy.between(0, 1).all()
    contrast = table[table.dataset == "LLVIP-C, contrast (AP50)"].set_index("method").accuracy
    assert (contrast["fine-tuned"], contrast["WiSE-FT"], contrast["zero-shot"]) == (0.0, 0.1057, 0.4748)
    assert table[table.method.isin(["WiSE-FT", "weight ensemble"])].alpha.isna().all()
    wise = table.source.str.contains("wiseod")
    means = table[wise & table.dataset.str.contains("mean of")]
    for row in means.itertuples():
        same = wise & (table.method == row.method) & table.dataset.str.startswith(row.dataset.split(",")[0])
        parts = table[same & ~table.dataset.str.contains("mean of")]
        assert len(parts) == 14 and 0 <= parts.accuracy.mean() - row.accuracy < 2e-4  # printed means are cut
    assert table.sd[wise & ~table.dataset.str.contains("mean of")].notna().all()


def test_a_missing_package_says_what_to_install(monkeypatch, scenes):
    import sys

    from wiseft_nb.detect.average_precision import average_precision

    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(WiseftError, match=r'pip install -e "\.\[detect\]"'):
        average_precision(perfect(scenes), scenes)
