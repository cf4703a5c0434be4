"""A researcher's own network, head, features, texts, objective and optimizer go the whole way, or are refused."""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from wiseft_nb import (
    Benchmark,
    ClassificationHead,
    Compute,
    FineTuneConfig,
    ImageClassifier,
    WiseftError,
    classify,
    evaluate,
    fine_tune,
    import_classifier,
    interpolate,
    sweep,
    wise_ft,
    zero_shot_classifier,
)
from wiseft_nb.benchmarks.digits.digits import mnist
from wiseft_nb.engine.training import CrossEntropy
from wiseft_nb.intervals import mean_interval

NAMES = tuple("0123456789")
SMALL = Compose([Resize(32), ToTensor(), Normalize([0.5] * 3, [0.3] * 3)])


def largest_difference(one, other):
    theirs = other.state_dict()
    return max((t.float() - theirs[name].float()).abs().max().item() for name, t in one.state_dict().items())


def moved(one, other):
    theirs = other.state_dict()
    return {name for name, tensor in one.state_dict().items() if not torch.equal(tensor, theirs[name])}


@pytest.fixture(scope="module")
def few(tiny):
    return dataclasses.replace(tiny, train=tiny.train.subset(slice(30)), val=tiny.val.subset(slice(20)))


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10).eval()


# --- networks that are not CLIP


def test_a_torchvision_network_goes_the_whole_way(resnet, few):
    classifier = ImageClassifier.of(resnet, SMALL, NAMES)
    with torch.no_grad():
        images = classifier.collate([few.val[i][0] for i in range(3)])
        assert torch.equal(classifier(images), resnet(images))
    before = copy.deepcopy(resnet.state_dict())
    tuned = fine_tune(classifier, few, FineTuneConfig(epochs=1, batch_size=10), progress=False)
    table = sweep(classifier, tuned, few, [0, 0.5, 1], {"val": few.val}, progress=False)
    assert table.accuracy[2] == evaluate(tuned, few.val).accuracy()
    assert all(torch.equal(tensor, before[name]) for name, tensor in resnet.state_dict().items())


def test_a_network_that_does_not_end_in_its_linear_layer_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), nn.Linear(10, 10)

        def forward(self, x):
            return self.head(self.body(x)).softmax(dim=1)

    with pytest.raises(WiseftError, match="does not end"):
        ImageClassifier.of(Odd(), SMALL, NAMES)
    with pytest.raises(WiseftError, match="no linear layer"):
        ImageClassifier.of(nn.Flatten(), SMALL, NAMES)
    with pytest.raises(WiseftError, match="10 outputs, but there are 2"):
        ImageClassifier.of(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), SMALL, ["a", "b"])


def test_what_is_no_classifier_is_refused_with_the_way_to_one(clip, resnet, zero_shot, few):
    for run in (
        lambda: fine_tune(clip, few, progress=False),
        lambda: evaluate(resnet, few.val),
        lambda: sweep(resnet, resnet, few, [0.5], progress=False),
        lambda: classify(resnet, few.val, progress=False),
    ):
        with pytest.raises(WiseftError, match="ImageClassifier.of"):
            run()
    for alphas in (0.5, "0.5", []):
        with pytest.raises(WiseftError, match="alpha"):
            sweep(zero_shot, zero_shot, few, alphas, progress=False)


def test_names_and_templates_make_a_classifier_without_a_benchmark(clip, benchmark, zero_shot):
    same = zero_shot_classifier(clip, list(benchmark.class_names), benchmark.templates)
    assert torch.equal(same.classification_head.weight, zero_shot.classification_head.weight)
    other = zero_shot_classifier(clip, ["zero", "one"])
    assert other.class_names == ("zero", "one") and other.classification_head.weight.shape[0] == 2
    with pytest.raises(WiseftError, match="load_benchmark"):
        zero_shot_classifier(clip, "digits")


def test_features_computed_beforehand_need_no_encoder(few, zero_shot):
    features = {
        part: list(
            zip(
                torch.randn(40, 16, generator=torch.Generator().manual_seed(0)),
                [i % 10 for i in range(40)],
                strict=True,
            )
        )
        for part in ("train", "val", "reference")
    }
    own = Benchmark("features", NAMES, (), **features, shifts={})
    start = ImageClassifier(nn.Identity(), nn.Linear(16, 10), class_names=NAMES)
    for method in ("linear", "end-to-end"):
        tuned = fine_tune(start, own, FineTuneConfig(method, epochs=2, lr=0.05), progress=False)
        table = sweep(start, tuned, own, torch.linspace(0, 1, 3), progress=False)
        assert table.alpha.tolist() == [0, 0.5, 1] and table.accuracy[2] == evaluate(tuned, own.reference).accuracy()


class Words(nn.Module):
    """A text encoder that takes a dict of tensors, as Hugging Face's do."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 8)

    def forward(self, batch):
        mask = batch["attention_mask"][..., None]
        return (self.embedding(batch["input_ids"]) * mask).sum(1) / mask.sum(1)


def tokenise(text):
    ids = [1 + ord(letter) % 49 for letter in text][:6]
    pad = 6 - len(ids)
    return {"input_ids": torch.tensor(ids + [0] * pad), "attention_mask": torch.tensor([1] * len(ids) + [0] * pad)}


def test_batches_may_be_dicts_of_tensors_as_text_models_take_them():
    rows = [{"text": text, "label": label} for label, text in enumerate(("good", "bad"))] * 15
    own = Benchmark("words", ["good", "bad"], (), rows, rows, rows, {"shift": rows[:4]})
    torch.manual_seed(0)
    start = ImageClassifier(Words(), nn.Linear(8, 2), tokenise, class_names=["good", "bad"])
    tuned = fine_tune(
        start, own, FineTuneConfig(epochs=4, lr=0.3, batch_size=8), progress=False, compute=Compute(micro_batch=3)
    )
    assert evaluate(tuned, rows).accuracy() == 1
    table = sweep(start, tuned, own, [0, 1], progress=False)
    assert table.query("alpha == 1").accuracy.tolist() == [1, 1]
    assert tuned.predict(["good", "bad"]) == ["good", "bad"]


def test_a_head_that_is_not_linear_is_never_taken_for_one(zero_shot, few):
    """Its logits are not linear in its weights: the shortcut gave 7 % where 16 is right."""

    class Cosine(nn.Linear):
        def forward(self, features):
            return nn.functional.linear(nn.functional.normalize(features), nn.functional.normalize(self.weight)) * 20

    for make in (lambda: nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)), lambda: Cosine(128, 10)):
        ends = [copy.deepcopy(zero_shot) for _ in range(2)]
        for seed, end in enumerate(ends):
            torch.manual_seed(seed)
            end.classification_head = make()
        found = sweep(*ends, few, [0.5], {"val": few.val}, progress=False).accuracy.item()
        assert found == evaluate(wise_ft(*ends, 0.5), few.val).accuracy()


def test_endpoints_that_see_images_differently_are_refused(zero_shot, fine_tuned, few):
    other = copy.deepcopy(fine_tuned)
    other.preprocess = SMALL
    with pytest.raises(WiseftError, match="preprocess"):
        sweep(zero_shot, other, few, [0.5], progress=False)
    ends = [copy.deepcopy(zero_shot), copy.deepcopy(fine_tuned)]
    for shift, end in enumerate(ends):  # two functions whose text is the same
        end.preprocess = lambda image, shift=shift: zero_shot.preprocess(image) + shift
    with pytest.raises(WiseftError, match="different inputs"):
        sweep(*ends, few, [0.5], progress=False)


def test_endpoints_may_differ_in_dropout_but_not_in_the_kind_of_head(zero_shot, fine_tuned):
    ends = [copy.deepcopy(zero_shot), copy.deepcopy(fine_tuned)]
    for p, end in enumerate(ends):
        end.image_encoder = nn.Sequential(end.image_encoder, nn.Dropout(p / 10))
    wise_ft(*ends, 0.5)
    plain = copy.deepcopy(fine_tuned)
    plain.classification_head = nn.Linear(128, 10)  # features are not made unit length
    with pytest.raises(WiseftError, match="different architectures"):
        wise_ft(zero_shot, plain, 0.5)


# --- weights


def test_layers_that_are_the_same_at_both_ends_stay_what_they_are(zero_shot):
    other = copy.deepcopy(zero_shot)
    other.classification_head.bias.data += 1
    mixed = wise_ft(zero_shot, other, 0.3)
    assert moved(mixed, zero_shot) == {"classification_head.bias"}


def test_complex_tensors_are_mixed():
    theta = interpolate({"w": torch.tensor([1 + 1j])}, {"w": torch.tensor([3 - 1j])}, 0.5)
    assert torch.equal(theta["w"], torch.tensor([2 + 0j]))


def test_any_two_networks_can_be_mixed_into_a_third_and_stay_as_they_were(resnet):
    other = copy.deepcopy(resnet)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    ends = [copy.deepcopy(model.state_dict()) for model in (resnet, other)]
    third = wise_ft(resnet, other, 0.5)
    third.load_state_dict(interpolate(resnet, other, 0.5))
    for model, state in zip((resnet, other), ends, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(third.fc.bias, 0.5 * resnet.fc.bias + 0.5 * other.fc.bias)


def test_a_mixture_was_not_fine_tuned_by_anybody(fine_tuned, zero_shot):
    assert fine_tuned.history and wise_ft(fine_tuned, zero_shot, 0.5).history == []


def test_evaluating_and_sweeping_leave_every_layer_in_the_mode_it_was_in(zero_shot, linear, fine_tuned, few):
    one, other = copy.deepcopy(zero_shot).train(), copy.deepcopy(linear).train()
    one.image_encoder.bn1.eval()
    before = [layer.training for layer in one.modules()]
    evaluate(one, few.val)
    one.predict([few.val[0][0]])
    sweep(one, other, few, [0.5], {"val": few.val}, progress=False)
    sweep(one, fine_tuned, few, [0.5], {"val": few.val}, progress=False)
    assert [layer.training for layer in one.modules()] == before and all(layer.training for layer in other.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_refused_in_one_sentence(zero_shot, few, dtype):
    half = copy.deepcopy(zero_shot).to(dtype)
    for run in (
        lambda: evaluate(half, few.val),
        lambda: fine_tune(half, few, progress=False),
        lambda: sweep(half, half, few, [0.5], progress=False),
        lambda: half.predict([few.val[0][0]]),
    ):
        with pytest.raises(WiseftError, match=re.escape(str(dtype)) + ".*call .float()"):
            run()


def test_the_ends_of_a_linear_sweep_in_bfloat16_are_what_evaluate_gives(zero_shot, linear, few):
    from wiseft_nb.sweep import head_path

    compute = Compute("bfloat16")
    images = zero_shot.collate([image for image, _ in few.val])
    for logits, end in zip(head_path(zero_shot, linear, compute)(images, [0.0, 1.0]), (zero_shot, linear), strict=True):
        assert torch.equal(logits, evaluate(end, few.val, compute=compute).logits)


def test_an_autocast_of_the_callers_stays_in_force():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    seen = []
    with torch.autocast("cpu", torch.bfloat16):
        Compute().prepare(layer)(torch.zeros(1, 2))
    assert seen == [torch.bfloat16]


def test_a_head_made_of_weights_on_a_gpu_lies_there_as_a_whole():
    """No GPU is needed to see it: fake tensors know their device."""
    with FakeTensorMode():
        head = ClassificationHead(torch.zeros(3, 4, device="cuda"))
        assert {parameter.device.type for parameter in head.parameters()} == {"cuda"}
        classifier = ImageClassifier(nn.Linear(5, 4, device="cuda"), head, class_names="abc")
        assert Compute().prepare(classifier)(torch.zeros(2, 5)).device.type == "cuda"


def test_an_imported_classifier_lies_where_its_clip_does(clip, zero_shot, tmp_path):
    elsewhere = dataclasses.replace(clip, model=copy.deepcopy(clip.model).to("meta"))  # stands for a GPU
    torch.save(zero_shot.state_dict(), tmp_path / "weights.pt")
    imported = import_classifier(tmp_path / "weights.pt", elsewhere, zero_shot.class_names)
    assert {tensor.device.type for tensor in imported.state_dict().values()} == {"meta"}


def test_endpoints_on_two_devices_are_compared_on_one():
    from wiseft_nb.sweep import same_encoder

    with FakeTensorMode(allow_non_fake_inputs=True):
        ends = [
            ImageClassifier(nn.Linear(5, 4, device=device), nn.Linear(4, 2), class_names="ab")
            for device in ("cpu", "cuda")
        ]
        with pytest.raises(Exception, match="aten.equal"):
            same_encoder(*ends)  # it comes as far as comparing numbers, which fake tensors have not


# --- fine-tuning with hooks


def test_the_default_objective_written_out_is_the_default(zero_shot, few):
    config = FineTuneConfig(epochs=1, batch_size=10, label_smoothing=0.1)
    default = fine_tune(zero_shot, few, config, progress=False)
    written = fine_tune(zero_shot, few, config, progress=False, objective=CrossEntropy(0.1))
    assert not moved(default, written)


def test_an_objective_of_ones_own_is_exact_in_pieces(zero_shot, few):
    """Distillation to the zero-shot model, and L2 to its weights: means and terms of the weights add up."""
    plain = copy.deepcopy(zero_shot)
    plain.augment = plain.preprocess
    start = {name: tensor.detach().clone() for name, tensor in zero_shot.named_parameters()}

    def objective(network, inputs, labels):
        with torch.no_grad():
            target = zero_shot(inputs).softmax(dim=1)
        distance = sum(((p - start[name]) ** 2).sum() for name, p in network.named_parameters())
        return nn.functional.cross_entropy(network(inputs), target) + 0.1 * distance

    def sgd(network, config):  # AdamW makes a whole step of a gradient that is nothing but rounding
        return torch.optim.SGD(network.parameters(), lr=config.lr)

    config = FineTuneConfig(epochs=1, batch_size=10, lr=1e-2)
    how = {"progress": False, "optimizer": sgd}
    whole, pieces = (
        fine_tune(plain, few, config, objective=objective, compute=Compute(micro_batch=size), **how)
        for size in (None, 4)
    )
    default = fine_tune(plain, few, config, **how)
    assert largest_difference(whole, pieces) < 1e-5 < largest_difference(whole, default)


def test_strong_decay_to_the_start_keeps_the_weights_there(zero_shot, few):
    start = {name: tensor.detach().clone() for name, tensor in zero_shot.named_parameters()}

    def pulled(network, inputs, labels):
        distance = sum(((p - start[name]) ** 2).sum() for name, p in network.named_parameters())
        return nn.functional.cross_entropy(network(inputs), labels) + 1e3 * distance

    config = FineTuneConfig(epochs=4, batch_size=10, lr=1e-4, weight_decay=0)
    free, held = (fine_tune(zero_shot, few, config, progress=False, objective=o) for o in (None, pulled))
    distances = [sum(((p - start[n]) ** 2).sum().item() for n, p in model.named_parameters()) for model in (free, held)]
    assert distances[1] < 0.5 * distances[0]


def test_parameter_groups_keep_their_own_learning_rate(zero_shot, few):
    """Layer-wise rates: the encoder's factor is 0, so it stays; the head's is 1, so it is as without groups."""
    rates = []

    def optimizer(network, config):
        groups = [
            {"params": list(network.image_encoder.parameters()), "lr": 0.0},
            {"params": list(network.classification_head.parameters()), "lr": config.lr},
        ]
        made = torch.optim.SGD(groups, momentum=0.9)
        made.register_step_pre_hook(lambda opt, *_: rates.append([group["lr"] for group in opt.param_groups]))
        return made

    tuned = fine_tune(zero_shot, few, FineTuneConfig(epochs=1, batch_size=10), progress=False, optimizer=optimizer)
    assert {name.split(".")[0] for name in moved(tuned, zero_shot)} == {"classification_head"}
    assert all(first == 0 for first, _ in rates) and len({second for _, second in rates}) == 3


def test_frozen_layers_stay_and_all_frozen_is_refused(zero_shot, few):
    frozen = copy.deepcopy(zero_shot)
    frozen.image_encoder.requires_grad_(False)
    tuned = fine_tune(frozen, few, FineTuneConfig(epochs=1, batch_size=10), progress=False)
    assert {name.split(".")[0] for name in moved(tuned, zero_shot)} == {"classification_head"}
    frozen.requires_grad_(False)
    with pytest.raises(WiseftError, match="every weight is frozen"):
        fine_tune(frozen, few, progress=False)


def test_nothing_to_train_on_is_refused_not_returned_as_the_zero_shot_model(zero_shot, few):
    with pytest.raises(WiseftError, match="empty"):
        fine_tune(zero_shot, dataclasses.replace(few, train=few.train.subset(slice(0))), progress=False)
    with pytest.raises(WiseftError, match="FineTuneConfig"):
        fine_tune(zero_shot, few, {"lr": 1e-3})


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(zero_shot, few):
    """Not over its batches: the last one may hold a single image."""
    odd = dataclasses.replace(few, train=few.train.subset(slice(11)))
    plain = copy.deepcopy(zero_shot)
    plain.augment = plain.preprocess
    tuned = fine_tune(plain, odd, FineTuneConfig(epochs=1, batch_size=10, lr=0), progress=False)
    found = evaluate(plain, odd.train)
    expected = nn.functional.cross_entropy(found.logits, found.labels).item()
    assert tuned.history[0]["loss"] == pytest.approx(expected, rel=1e-3)


def test_fine_tuning_that_does_harm_says_so(zero_shot, few, tmp_path, monkeypatch):
    monkeypatch.setenv("WISEFT_NB_CACHE", str(tmp_path))
    config = FineTuneConfig(epochs=1, batch_size=10, lr=0.03, weight_decay=0)
    for _ in range(2):  # from the cache, too
        with pytest.warns(UserWarning, match="validation accuracy worse"):
            fine_tune(zero_shot, few, config, progress=False, cache=True)


def test_images_in_memory_and_features_need_no_worker_processes(zero_shot, few, monkeypatch):
    """A pool of workers twice an epoch made linear fine-tuning three times as slow."""
    from wiseft_nb.engine import batches as room

    asked = []

    class Seen(room.DataLoader):
        def __init__(self, *args, num_workers, **more):
            asked.append(num_workers)
            super().__init__(*args, num_workers=num_workers, **more)

    monkeypatch.setattr(room, "DataLoader", Seen)
    fine_tune(zero_shot, few, FineTuneConfig("linear", epochs=3), progress=False)
    assert len(asked) >= 5 and not any(asked)


# --- the mean over shifts that share their images


def test_the_interval_of_a_mean_draws_images_of_one_source_together():
    """Five copies of one set are no surer than one; five independent sets are."""
    rng = np.random.default_rng(0)
    right = rng.random((400, 1)) < 0.8
    alone = mean_interval([right], [None])
    copies = mean_interval([right] * 5, [np.arange(400)] * 5)
    independent = mean_interval([right] * 5, [None] * 5)
    wide, same, narrow = (high - low for low, high in (alone, copies, independent))
    assert same == pytest.approx(wide, rel=0.1) and narrow == pytest.approx(wide / np.sqrt(5), rel=0.1)
    expected = 2 * 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert wide == pytest.approx(expected, rel=0.1)


def test_a_sweep_has_the_mean_of_a_group_with_its_own_interval(zero_shot, fine_tuned, benchmark):
    sets = {name: benchmark.shifts[name].subset(slice(60)) for name in ("pose", "stroke", "outline", "uci")}
    small = dataclasses.replace(benchmark, shifts=sets, groups={})
    groups = {"hand": ["pose", "stroke", "outline"], "all": list(sets)}
    table = sweep(zero_shot, fine_tuned, small, [0, 1], sets, progress=False, groups=groups)
    plain = table[table.dataset.isin(sets)]
    mean = plain[plain.dataset != "uci"].groupby("alpha").accuracy.mean()
    rows = table[table.dataset == "hand"].set_index("alpha")
    assert rows.accuracy.tolist() == pytest.approx(mean.tolist()) and rows.n.tolist() == [180, 180]
    assert (rows.low < rows.accuracy).all() and (rows.accuracy < rows.high).all()
    with pytest.raises(WiseftError, match="fog"):
        sweep(zero_shot, fine_tuned, small, [0], sets, progress=False, groups={"odd": ["fog"]})


def test_made_shifts_say_which_digits_they_are_made_of(benchmark):
    test = mnist()["test"].source
    assert all(np.array_equal(benchmark.shifts[name].source, test) for name in ("photo", "outline", "pose", "stroke"))
    assert set(benchmark.shifts["hard"].source) < set(test)
    printed = [benchmark.shifts[name].source for name in ("fonts", "posters", "scrawl", "clutter")]
    assert all(np.array_equal(source, printed[0]) for source in printed) and not set(printed[0]) & set(test)
    assert benchmark.shifts["uci"].source is None
