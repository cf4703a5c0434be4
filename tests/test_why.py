"""make/why.py: what notebook 06 states of three seeds is measured as it says."""

import numpy as np
import pandas as pd
import pytest
import torch

from wiseft_nb.make import ancestry, why


def test_two_halves_hold_each_training_image_once(tiny):
    halves = [why.on_half(tiny, seed=3, half=half).train for half in (0, 1)]
    images = np.concatenate([half.images for half in halves]).reshape(len(tiny.train), -1)
    assert sorted(map(bytes, images)) == sorted(map(bytes, tiny.train.images.reshape(len(tiny.train), -1)))
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    other = why.on_half(tiny, seed=4, half=0).train
    assert not np.array_equal(other.images, halves[0].images), "which half, the seed decides"


def test_every_tensor_belongs_to_one_of_the_parts(zero_shot):
    parts = [why.part_of(name) for name in zero_shot.state_dict()]
    assert set(parts) == set(why.PARTS)
    assert why.part_of("image_encoder.layer3.0.conv1.weight") == "layer3"
    assert why.part_of("image_encoder.bn1.running_mean") == why.part_of("image_encoder.conv3.weight") == "stem"


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(ancestry, "STEPS", 6)
    rng = torch.Generator().manual_seed(0)
    return torch.randn(60, 3, 32, 32, generator=rng), torch.randint(10, (60,), generator=rng)


def test_ends_share_what_their_row_says(few_steps, monkeypatch):
    """The common steps, or the beginning, or nothing."""
    made = []
    monkeypatch.setattr(ancestry, "trained", lambda network, *a, **k: made.append((network, k)) or network)
    monkeypatch.setattr(ancestry, "started", lambda seed: Beginning(seed))
    for common, expected in ((None, [5, 105]), (0, [5, 5]), (4, ["root", 5, 5])):
        made.clear()
        list(ancestry.branch(few_steps, few_steps, 5, common))
        seeds = [network.seed for network, _ in made]
        assert seeds == ([5] * 3 if expected[0] == "root" else expected)
    stops = [k.get("stop") for _, k in made]
    assert stops == [4, None, None] and [k["start"] for _, k in made] == [0, 4, 4]
    orders = [k["order"] for _, k in made]
    assert len(set(orders)) == 3, "each sees its own order of images"


class Beginning(torch.nn.Linear):
    """A network that knows its seed."""

    def __init__(self, seed):
        super().__init__(3 * 32 * 32, 10)
        self.seed = seed

    def forward(self, x):
        return super().forward(x.flatten(1))


def test_the_same_seed_gives_the_same_pair(few_steps):
    first, second = (list(ancestry.branch(few_steps, few_steps, 0, None)) for _ in range(2))
    assert first == second and [row["alpha"] for row in first] == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("name", [name for name in why.TABLES if name != "landscape"])
def test_the_committed_tables_hold_three_seeds(name):
    table = pd.read_csv(why.WHY / f"{name}.csv")
    assert set(table.seed) == set(why.SEEDS) and table.groupby("seed").size().nunique() == 1
    assert not table.isna().any(axis=None)
