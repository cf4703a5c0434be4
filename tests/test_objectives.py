"""Objectives beyond cross-entropy: each against its formula, written out; and what fine_tune makes of them."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from wiseft_nb import FineTuneConfig, evaluate, fine_tune, wise_ft, zero_shot_classifier
from wiseft_nb.analyse.averages import beta_weights
from wiseft_nb.analyse.contrastive import Contrastive, TextHead, contrastive_classifier, targets_of, with_plain_head
from wiseft_nb.analyse.objectives import DistilToTrajectory, DistilToZeroShot, L2ToZeroShot, LipsumFT, lp_ft
from wiseft_nb.engine.training import CrossEntropy
from wiseft_nb.errors import WiseftError


@pytest.fixture(scope="module")
def batch(zero_shot, tiny):
    images, labels = zip(*(tiny.train[i] for i in range(12)), strict=True)
    return zero_shot.collate(images), torch.tensor(labels)


@pytest.fixture(scope="module")
def start(clip, tiny):
    return contrastive_classifier(clip, tiny)


def test_l2_is_the_squared_distance_of_all_trained_weights(zero_shot, fine_tuned, batch):
    plain = CrossEntropy()(fine_tuned, *batch)
    found = L2ToZeroShot(zero_shot.state_dict(), 0.3)(fine_tuned, *batch)
    pairs = zip(fine_tuned.parameters(), zero_shot.parameters(), strict=True)
    distance = sum(((a - b).double() ** 2).sum() for a, b in pairs).item()
    assert found.item() == pytest.approx(plain.item() + 0.3 * distance, rel=1e-5)
    assert L2ToZeroShot(zero_shot.state_dict(), 5.0)(zero_shot, *batch).item() == pytest.approx(
        CrossEntropy()(zero_shot, *batch).item()
    )


def test_l2_keeps_its_own_copy_and_refuses_another_networks_weights(zero_shot, batch):
    theta = {"w": torch.zeros(1)}
    kept = L2ToZeroShot(theta, 1.0)
    theta["w"].fill_(7)
    assert kept.theta_0["w"].item() == 0
    with pytest.raises(WiseftError, match="theta_0 lacks"):
        kept(zero_shot, *batch)


def test_distillation_is_kl_from_the_calibrated_teacher(zero_shot, fine_tuned, batch):
    with torch.no_grad():
        p_0, p = (zero_shot(batch[0]) / 2).softmax(1), fine_tuned(batch[0]).softmax(1)
    expected = (p_0 * (p_0.log() - p.log())).sum(1).mean().item()
    found = DistilToZeroShot(zero_shot, 3.0, 2.0)(fine_tuned, *batch) - CrossEntropy()(fine_tuned, *batch)
    assert found.item() == pytest.approx(3 * expected, rel=1e-4) and expected > 0


def test_a_teacher_does_not_learn(zero_shot, tiny, quick_config):
    objective = DistilToZeroShot(zero_shot, 1.0)
    before = {name: t.clone() for name, t in objective.zero_shot.state_dict().items()}
    fine_tune(zero_shot, tiny, quick_config, progress=False, objective=objective)
    assert all(torch.equal(t, before[name]) for name, t in objective.zero_shot.state_dict().items())


def test_lipsum_measures_the_change_on_random_texts(clip, zero_shot, fine_tuned, batch):
    objective = LipsumFT(clip, 0.7, texts=5, length=3)
    torch.manual_seed(4)
    found = objective(fine_tuned, *batch) - CrossEntropy()(fine_tuned, *batch)
    torch.manual_seed(4)
    tokens = objective.random_tokens()
    with torch.no_grad():
        texts = F.normalize(clip.model.encode_text(tokens), dim=1)
        after, before = (F.normalize(m.image_encoder(batch[0]), dim=1) for m in (fine_tuned, zero_shot))
        energies = [clip.model.logit_scale.exp() * f @ texts.T for f in (after, before)]
    expected = ((energies[0] - energies[1]) ** 2).sum(1).mean() / (2 * 5)
    assert found.item() == pytest.approx(0.7 * expected.item(), rel=1e-3, abs=1e-5)


def test_lipsums_texts_are_fresh_and_well_formed(clip):
    objective = LipsumFT(clip, texts=6, length=4)
    first, second = objective.random_tokens(), objective.random_tokens()
    start, end = clip.tokenizer([""])[0, :2]
    assert (first[:, 0] == start).all() and (first[:, 5] == end).all() and (first[:, 6:] == 0).all()
    assert (first[:, 1:5] < start).all() and not torch.equal(first, second)
    with pytest.raises(WiseftError, match="context's room"):
        LipsumFT(clip, length=15)


def test_the_trajectorys_teacher_is_the_beta_average_of_the_weights_so_far(zero_shot, tiny, quick_config):
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Spy(CrossEntropy):
        def __call__(self, network, inputs, labels):
            seen.append(network.network.classification_head.weight.detach().double().clone())
            return super().__call__(network, inputs, labels)

    objective = DistilToTrajectory(4, 1.0, b=0.5, objective=Spy())
    fine_tune(zero_shot, tiny, quick_config, progress=False, objective=objective)
    weights = beta_weights(4, 0.5)[:4]
    expected = sum(w * t for w, t in zip(weights, seen, strict=True)) / weights.sum()
    found = objective.teacher.classification_head.weight.double()
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(WiseftError, match="cache=False"):
        fine_tune(zero_shot, tiny, quick_config, progress=False, objective=objective, cache=True)


@pytest.mark.parametrize("make", [lambda m, lam: L2ToZeroShot(m.state_dict(), lam), DistilToZeroShot])
def test_without_weight_a_penalty_changes_nothing(zero_shot, tiny, quick_config, fine_tuned, make):
    made = fine_tune(zero_shot, tiny, quick_config, progress=False, objective=make(zero_shot, 0.0))
    assert torch.allclose(made.classification_head.weight, fine_tuned.classification_head.weight, atol=1e-6)


def test_a_heavy_penalty_keeps_the_weights_near_zero_shot(zero_shot, tiny, quick_config, fine_tuned):
    def away(model):
        pairs = zip(model.parameters(), zero_shot.parameters(), strict=True)
        return sum((a - b).square().sum() for a, b in pairs).sqrt().item()

    made = fine_tune(zero_shot, tiny, quick_config, progress=False, objective=L2ToZeroShot(zero_shot.state_dict(), 100))
    assert away(made) < 0.9 * away(fine_tuned)


@pytest.mark.parametrize("lam", [-1, math.nan, math.inf])
def test_weights_that_are_none_are_refused(zero_shot, clip, lam):
    makes = (lambda: L2ToZeroShot({}, lam), lambda: DistilToZeroShot(zero_shot, lam), lambda: LipsumFT(clip, lam))
    for make in (*makes, lambda: DistilToTrajectory(4, lam)):
        with pytest.raises(WiseftError, match="lam is"):
            make()


def test_the_text_head_says_what_the_zero_shot_head_says(clip, tiny, start, batch):
    plain = zero_shot_classifier(clip, tiny)
    with torch.no_grad():
        assert torch.allclose(start(batch[0]), plain(batch[0]), atol=1e-3)
    assert torch.allclose(
        with_plain_head(start).classification_head.weight, plain.classification_head.weight, atol=1e-4
    )
    with pytest.raises(WiseftError, match="no text tower"):
        with_plain_head(plain)


@pytest.mark.parametrize("positives", ["single", "multi"])
def test_flyp_is_clips_loss_with_a_random_prompt_of_each_class(clip, tiny, start, batch, positives):
    torch.manual_seed(3)
    found = Contrastive(positives)(start, *batch)
    torch.manual_seed(3)
    chosen = torch.randint(len(tiny.templates), (12,)).tolist()
    labels = batch[1].tolist()
    texts = [tiny.templates[t].replace("{}", tiny.class_names[c]) for t, c in zip(chosen, labels, strict=True)]
    with torch.no_grad():
        g = F.normalize(clip.model.encode_text(clip.tokenizer(texts)), dim=1)
        f = F.normalize(clip.model.visual(batch[0]), dim=1)
        p = clip.model.logit_scale.exp() * f @ g.T
    total = 0.0
    for logits in (p, p.T):
        for i in range(12):
            right = [j for j in range(12) if (j == i if positives == "single" else labels[j] == labels[i])]
            total -= sum(logits[i].log_softmax(0)[j].item() for j in right) / len(right)
    assert found.item() == pytest.approx(total / 24, rel=1e-4)
    assert len(set(labels)) < 12, "with every class once, the two are one"


def test_targets_are_alike_where_every_class_occurs_once():
    labels = torch.tensor([2, 0, 1])
    assert torch.equal(targets_of(labels, "single"), targets_of(labels, "multi"))
    assert targets_of(torch.tensor([1, 1, 0]), "multi").tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]


def test_flyp_trains_both_towers_and_interpolates(tiny, start, quick_config):
    made = fine_tune(start, tiny, quick_config, progress=False, objective=Contrastive())
    moved = {n for n, p in made.named_parameters() if not torch.equal(p, start.get_parameter(n))}
    assert "classification_head.tower.logit_scale" in moved and "classification_head.tower.text_projection" in moved
    assert any(name.startswith("image_encoder.") for name in moved)
    half = with_plain_head(wise_ft(start, made, 0.5))
    assert 0 <= evaluate(half, tiny.val, progress=False).accuracy() <= 1
    again = fine_tune(start, tiny, quick_config, progress=False, objective=Contrastive())
    assert torch.equal(again.classification_head.weights(), made.classification_head.weights()), "prompts by the seed"


def test_flyp_needs_a_text_tower(zero_shot, batch):
    with pytest.raises(WiseftError, match="contrastive_classifier"):
        Contrastive()(zero_shot, *batch)
    with pytest.raises(WiseftError, match="positives"):
        Contrastive("many")


def test_the_text_head_leaves_the_clip_as_it_was(clip, start):
    assert isinstance(start.classification_head, TextHead) and isinstance(clip.model.visual, torch.nn.Module)
    assert clip.model.visual is not start.image_encoder and len(list(clip.model.visual.parameters())) > 10


def test_lp_ft_is_the_head_and_then_everything(zero_shot, tiny, quick_config, linear):
    probe = dataclasses.replace(quick_config, method="linear")
    first, then = lp_ft(zero_shot, tiny, probe, quick_config)
    assert torch.equal(first.classification_head.weight, linear.classification_head.weight)
    expected = fine_tune(linear, tiny, quick_config, progress=False)
    assert all(torch.equal(t, expected.state_dict()[name]) for name, t in then.state_dict().items())
    with pytest.raises(WiseftError, match="linear, then end-to-end"):
        lp_ft(zero_shot, tiny, FineTuneConfig(), quick_config)
