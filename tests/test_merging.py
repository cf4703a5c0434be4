"""Merged weights against closed forms on small tensors, and what may be looked at to make them."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wiseft_nb import ImageClassifier, evaluate, wise_ft
from wiseft_nb.analyse.fisher import fisher_diagonal, fisher_merge
from wiseft_nb.analyse.layers import blocks, lines, tpgm
from wiseft_nb.analyse.merging import (
    add_task_vectors,
    dare,
    greedy,
    greedy_soup,
    model_stock,
    task_vector,
    ties,
    uniform_soup,
)
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.open_clip_parts import build_image_encoder


def theta(*values, count=3):
    return {"w": torch.tensor(values), "n": torch.tensor(count)}


class Forbidden:
    """Data that nobody may look at."""

    def __len__(self):
        raise AssertionError("looked at")

    def __getitem__(self, index):
        raise AssertionError("looked at")


@pytest.fixture(scope="module")
def only_val(tiny):
    """The benchmark with validation data alone."""
    return hidden(tiny, "train", "reference")


def hidden(tiny, *parts):
    benchmark = dataclasses.replace(tiny)
    for part in parts:
        object.__setattr__(benchmark, part, Forbidden())
    object.__setattr__(benchmark, "shifts", {name: Forbidden() for name in tiny.shifts})
    return benchmark


def test_a_uniform_soup_is_the_mean_and_counts_are_carried_over():
    soup = uniform_soup([theta(1.0, 2.0), theta(3.0, 2.0, count=9), theta(5.0, -4.0)])
    assert soup["w"].tolist() == [3.0, 0.0] and soup["n"].item() == 3


def test_a_greedy_soup_sorts_and_keeps_what_makes_it_strictly_better():
    def score(state):  # best at 1
        return -abs(state["w"].item() - 1)

    pool = [theta(3.0), theta(0.5), theta(1.7), theta(0.5)]
    soup, kept = greedy(pool, score)
    # 0.5 (-.5) comes first, the equal second does not help, 1.7 brings the mean to 1.1, 3 takes it away again
    assert kept == [1, 2] and soup["w"].item() == pytest.approx(1.1)
    asked = []
    greedy(pool, lambda state: asked.append(state["w"].item()) or 0.0)
    assert asked[:4] == pytest.approx([3.0, 0.5, 1.7, 0.5]) and len(asked) == 7
    assert greedy(pool, lambda state: 0.0)[1] == [0], "a tie adds nothing"


def test_a_greedy_soup_looks_at_validation_data_alone(zero_shot, fine_tuned, only_val, tiny):
    pool = [zero_shot.state_dict(), fine_tuned.state_dict()]
    before = {name: t.clone() for name, t in zero_shot.state_dict().items()}
    soup, kept = greedy_soup(pool, zero_shot, only_val)
    best = max((0, 1), key=lambda i: evaluate((zero_shot, fine_tuned)[i], tiny.val, progress=False).accuracy())
    assert kept[0] == best and soup.keys() == before.keys()
    assert all(torch.equal(t, before[name]) for name, t in zero_shot.state_dict().items())


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.8, 1.0])
def test_model_stock_goes_as_far_as_the_angle_says(k, cosine):
    steps = math.sqrt(cosine) * torch.ones(k, 1) * torch.eye(k + 1)[k] + math.sqrt(1 - cosine) * torch.eye(k, k + 1)
    start = torch.arange(k + 1.0)
    merged, ratios = model_stock({"w": start}, [{"w": start + step} for step in steps])
    t = k * cosine / (1 + (k - 1) * cosine)
    assert ratios["w"] == pytest.approx(t, abs=1e-6)
    assert torch.allclose(merged["w"], start + t * steps.mean(0), atol=1e-5)


def test_model_stock_stays_where_runs_go_opposite_ways_or_nowhere():
    merged, ratios = model_stock(
        {"w": torch.zeros(2), "still": torch.ones(2)},
        [
            {"w": torch.tensor([1.0, 0.0]), "still": torch.ones(2)},
            {"w": torch.tensor([-3.0, 0.1]), "still": torch.ones(2)},
        ],
    )
    assert ratios == {"w": 0.0} and merged["w"].tolist() == [0, 0] and merged["still"].tolist() == [1, 1]
    with pytest.raises(WiseftError, match="give 3 or more"):
        model_stock({"w": torch.zeros(2)}, [{"w": torch.ones(2)}])


def test_task_vectors_are_added_and_forgotten():
    theta_0, taus = theta(1.0, 1.0), [theta(1.0, 0.0, count=0), theta(0.0, 4.0, count=0)]
    assert add_task_vectors(theta_0, taus, [1.0, -0.5])["w"].tolist() == [2.0, -1.0]
    assert add_task_vectors(theta_0, taus)["n"].item() == 3
    tau = task_vector(theta_0, theta(3.0, 0.0, count=8))
    assert tau["w"].tolist() == [2.0, -1.0] and tau["n"].item() == 0
    assert add_task_vectors(theta_0, [tau])["w"].tolist() == [3.0, 0.0]
    with pytest.raises(WiseftError, match="one each"):
        add_task_vectors(theta_0, taus, [1.0])


def test_ties_as_written_out_by_hand():
    taus = [theta(5.0, -4.0, 0.1, 3.0), theta(-2.0, -6.0, 0.2, 1.0), theta(-1.0, 0.3, 0.1, 9.0)]
    # keep half: (5, -4, 0, 0), (-2, -6, 0, 0), (-1, 0, 0, 9); signs elected: +, -, 0, +
    assert ties(taus, keep=0.5)["w"].tolist() == [5.0, -5.0, 0.0, 9.0]
    assert ties(taus[:1], keep=0.25)["w"].tolist() == [5.0, 0.0, 0.0, 0.0], "one alone is pruned"


def test_ties_trims_over_all_tensors_together():
    tau = {"large": torch.tensor([3.0, 4.0]), "small": torch.tensor([0.1, 0.2])}
    assert {name: t.tolist() for name, t in ties([tau], keep=0.5).items()} == {"large": [3, 4], "small": [0, 0]}


@pytest.mark.parametrize("seed", range(3))
def test_ties_is_that_of_peft(seed):
    """The independent computation; peft's is for one tensor."""
    merge_utils = pytest.importorskip("peft.utils.merge_utils")
    torch.manual_seed(seed)
    taus = torch.randn(4, 20, 10)
    expected = merge_utils.ties(list(taus), torch.ones(4), density=0.3)
    assert torch.allclose(ties([{"w": tau} for tau in taus], keep=0.3)["w"], expected, atol=1e-6)


def test_dare_keeps_the_expectation_and_follows_its_seed():
    tau = {"w": torch.ones(100_000), "n": torch.tensor(0)}
    found = dare(tau, drop=0.9, seed=1)["w"]
    assert set(found.tolist()) == {0.0, found.max().item()} and found.max().item() == pytest.approx(10)
    assert found.mean().item() == pytest.approx(1, abs=0.05) and (found == 0).float().mean() == pytest.approx(
        0.9, abs=0.01
    )
    assert torch.equal(found, dare(tau, 0.9, 1)["w"]) and not torch.equal(found, dare(tau, 0.9, 2)["w"])
    assert torch.equal(dare(tau, 0.0)["w"], tau["w"])
    for wrong in (1.0, -0.1, math.nan):
        with pytest.raises(WiseftError, match="fraction"):
            dare(tau, wrong)


@pytest.fixture(scope="module")
def softmax_regression(tiny):
    """A classifier whose Fisher information is known: softmax of a linear map of 3 pixels."""
    torch.manual_seed(0)

    def pixels(image):
        return torch.tensor([image.getpixel((x, 14))[0] / 255 for x in (8, 14, 20)])

    head = nn.Linear(3, 10)
    return ImageClassifier(nn.Identity(), head, pixels, class_names=tiny.class_names).eval()


def test_fishers_diagonal_is_that_of_softmax_regression(softmax_regression, tiny):
    few = hidden(dataclasses.replace(tiny, train=tiny.train.subset(slice(7))), "val", "reference")
    found = fisher_diagonal(softmax_regression, few, images=7)
    x = softmax_regression.collate([few.train[i][0] for i in range(7)])
    p = softmax_regression(x).softmax(1).detach()
    variance = p * (1 - p)  # of d log p(y) / d logit_k = [y = k] - p_k
    assert torch.allclose(found["classification_head.bias"], variance.mean(0), atol=1e-6)
    expected = torch.einsum("nk,nd->kd", variance, x**2) / 7
    assert torch.allclose(found["classification_head.weight"], expected, atol=1e-6)


def test_fisher_merging_is_the_weighted_mean():
    thetas, fishers = [theta(0.0, 0.0, 0.0), theta(4.0, 4.0, 4.0)], [{"w": torch.tensor([1.0, 0.0, 3.0])}, None]
    fishers[1] = {"w": torch.tensor([3.0, 0.0, 0.0])}
    assert torch.allclose(fisher_merge(thetas, fishers, 1e-9)["w"], torch.tensor([3.0, 2.0, 0.0]), atol=1e-5)
    statistics = [{"mean": torch.tensor([1.0])}, {"mean": torch.tensor([3.0])}]
    assert fisher_merge(statistics, [{}, {}])["mean"].item() == 2
    with pytest.raises(WiseftError, match="one each"):
        fisher_merge(thetas, fishers[:1])


def test_the_bundled_networks_blocks(zero_shot):
    found = blocks(zero_shot.state_dict())
    names = {0: "conv1.weight", 1: "layer1.0.conv1.weight", 4: "layer4.0.bn3.running_var", 5: "attnpool.c_proj.weight"}
    assert all(found[f"image_encoder.{name}"] == place for place, name in names.items())
    assert found["image_encoder.bn3.weight"] == 0 and found["classification_head.weight"] == 6 == max(found.values())
    assert found["image_encoder.layer2.0.downsample.0.weight"] == 2


def test_a_vits_blocks():
    config = {"embed_dim": 16, "vision_cfg": dict(image_size=32, layers=3, width=32, head_width=16, patch_size=16)}
    found = blocks(build_image_encoder(config).state_dict())
    assert found["conv1.weight"] == found["class_embedding"] == found["ln_pre.weight"] == 0
    assert [found[f"transformer.resblocks.{i}.mlp.c_fc.weight"] for i in range(3)] == [1, 2, 3]
    assert found["ln_post.weight"] == found["proj"] == 4


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_timms_blocks(name):
    timm = pytest.importorskip("timm")
    found = blocks(timm.create_model(name, num_classes=0).state_dict())
    assert min(found.values()) == 0 and max(found.values()) == (4 if name == "resnet18" else 13)


def test_what_has_no_known_block_is_refused():
    with pytest.raises(WiseftError, match="no block"):
        blocks({"layer1.0.w": torch.ones(1), "strange.weight": torch.ones(1)})
    with pytest.raises(WiseftError, match="no depth"):
        blocks({"conv1.weight": torch.ones(1)})


def test_lines_is_a_ramp_over_the_blocks(zero_shot, fine_tuned):
    theta_0, theta_1 = zero_shot.state_dict(), fine_tuned.state_dict()
    found = lines(theta_0, theta_1, 0.4)
    shares = {"image_encoder.conv1.weight": 0.4, "image_encoder.layer3.0.conv2.weight": 0.7}
    for name, share in (shares | {"classification_head.weight": 1.0}).items():
        expected = theta_0[name] + share * (theta_1[name] - theta_0[name])
        assert torch.allclose(found[name], expected, atol=1e-6)
    assert all(torch.equal(t, theta_1[name]) for name, t in lines(theta_0, theta_1, 1.0).items())
    with pytest.raises(WiseftError, match="in \\[0, 1\\]"):
        lines(theta_0, theta_1, 1.2)


def test_tpgm_makes_held_out_cross_entropy_smaller_and_sees_nothing_else(zero_shot, fine_tuned, only_val, tiny):
    made, c = tpgm(zero_shot, fine_tuned, only_val, epochs=4, batch_size=50)

    def loss(model):
        said = evaluate(model, tiny.val, progress=False)
        return F.cross_entropy(said.logits, said.labels).item()

    theta_0, theta_1 = zero_shot.state_dict(), fine_tuned.state_dict()
    middle = wise_ft(zero_shot, fine_tuned, 0.5)
    assert loss(made) < loss(middle) and all(0 <= share <= 1 for share in c.values()) and len(set(c.values())) > 5
    for name in ("image_encoder.layer1.0.conv2.weight", "classification_head.bias"):
        expected = theta_0[name] + c[name] * (theta_1[name] - theta_0[name])
        assert torch.allclose(made.state_dict()[name], expected, atol=1e-6)
    assert all(parameter.requires_grad for parameter in made.parameters())


def test_tpgm_finds_the_best_coefficient_of_one_tensor(tiny):
    """With one tensor it is a line search, which a grid does too."""
    torch.manual_seed(1)

    def pixels(image):
        return torch.tensor([image.getpixel((x, y))[0] / 255 for x in (8, 14, 20) for y in (8, 14, 20)])

    def classifier(weights):
        head = nn.Linear(9, 10, bias=False)
        head.weight = nn.Parameter(weights)
        return ImageClassifier(nn.Identity(), head, pixels, class_names=tiny.class_names).eval()

    x = torch.stack([pixels(tiny.val[i][0]) for i in range(len(tiny.val))])
    y = torch.tensor([tiny.val[i][1] for i in range(len(tiny.val))])
    fit = torch.zeros(10, 9, requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(F.cross_entropy(x @ fit.T, y), fit)
        fit = (fit - 0.5 * gradient).detach().requires_grad_()
    ends = torch.zeros(10, 9), 4 * fit.detach()
    grid = torch.linspace(0, 1, 201)
    best = grid[torch.stack([F.cross_entropy(x @ (c * ends[1]).T, y) for c in grid]).argmin()].item()
    _, c = tpgm(classifier(ends[0]), classifier(ends[1]), tiny, lr=0.01, epochs=200, batch_size=len(tiny.val))
    assert 0.05 < best < 0.95 and c["classification_head.weight"] == pytest.approx(best, abs=0.02)
