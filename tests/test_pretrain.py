"""Pretraining: seeded, resumable, from captioned drawings of pretraining fonts alone."""

import random
import re

import open_clip
import pytest
import torch

from wiseft_nb import load_clip
from wiseft_nb.benchmarks.digits.draw import COLOURS, STYLES
from wiseft_nb.benchmarks.digits.glyphs import load_glyphs
from wiseft_nb.make import pretrain as room
from wiseft_nb.make.pretrain import Pairs, caption, pretrain, save_clip

STEPS = dict(steps=4, batch_size=8, lr=1e-3)


def same(model, other):
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_pairs_depend_on_seed_and_step_alone():
    first = Pairs(6, seed=0)
    torch.manual_seed(7)
    first(3)
    again = Pairs(6, seed=0)
    (images, captions), (images_again, captions_again) = first(5), again(5)
    assert torch.equal(images.images, images_again.images) and captions == captions_again
    assert not torch.equal(images.images, first(6)[0].images)
    assert not torch.equal(images.images, Pairs(6, seed=1)(5)[0].images)


def test_pairs_are_drawn_from_pretraining_fonts_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(room, "load_glyphs", lambda split: asked.append(split) or load_glyphs(split))
    Pairs(2, seed=0)(0)
    assert asked == ["pretraining"]


def test_a_caption_names_what_was_drawn_and_nothing_else():
    dice = random.Random(0)
    colours, styles = list(COLOURS), [word for words in room.STYLE_WORDS for word in words]
    assert len(room.STYLE_WORDS) == len(STYLES)
    for _ in range(300):
        text = caption("g", 2, "red", "blue", "bold", dice)
        assert not {c for c in colours if re.search(rf"\b{c}\b", text)} - {"red", "blue"}
        assert not {s for s in styles if re.search(rf"\b{s}\b", text)} - set(room.STYLE_WORDS[2])
        assert not re.search(r"\b(digit|number|zero|one|two)\b", text)


def test_the_same_seed_gives_the_same_weights_and_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    whole = pretrain(**STEPS, seed=0, folder=tmp_path / "a", save_every=2)
    forward, calls = open_clip.ClipLoss.forward, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, *arguments)

    monkeypatch.setattr(open_clip.ClipLoss, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretrain(**STEPS, seed=0, folder=tmp_path / "b", save_every=2)
    monkeypatch.undo()
    assert same(whole, pretrain(**STEPS, seed=0, folder=tmp_path / "b", save_every=2))
    with pytest.raises(SystemExit, match="belongs to a run"):
        pretrain(**STEPS, seed=1, folder=tmp_path / "b")


def test_what_is_saved_loads_as_a_clip(tmp_path):
    torch.manual_seed(0)
    model = room.new_model(seed=3)
    save_clip(model, tmp_path / "mine")
    loaded = load_clip(tmp_path / "mine").model
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)  # kept as float16
