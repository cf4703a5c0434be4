"""LoRA with alpha: what is merged is what was trained, and what open_clip or peft would do silently is refused."""

import builtins
import copy

import pytest
import torch

from wiseft_nb import FineTuneConfig, evaluate, fine_tune, wise_ft
from wiseft_nb.analyse import lora
from wiseft_nb.errors import WiseftError

peft = pytest.importorskip("peft")
KINDS = {"LoRA": {}, "rsLoRA": {"use_rslora": True}, "DoRA": {"use_dora": True}}
ONE = "layer2.0.conv2"


@pytest.fixture(scope="module")
def images(zero_shot, tiny):
    return zero_shot.collate([tiny.val[i][0] for i in range(8)])


@pytest.fixture(scope="module", params=KINDS)
def stepped(request, zero_shot):
    """A classifier whose low-rank steps are not 0."""
    torch.manual_seed(0)
    made = lora.with_lora(zero_shot, r=3, scale=2.0, **KINDS[request.param])
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return request.param, made


def test_before_training_it_says_what_zero_shot_says(zero_shot, images):
    made = lora.with_lora(zero_shot)
    with torch.no_grad():
        assert torch.allclose(made(images), zero_shot(images), atol=1e-4)


def test_merged_says_what_the_adapted_says(stepped, zero_shot, images):
    _, made = stepped
    plain = lora.merged(made, zero_shot)
    with torch.no_grad():
        assert torch.allclose(plain(images), made(images), atol=2e-3)
        assert not torch.allclose(plain(images), zero_shot(images), atol=0.1), "the steps are seen"
    assert plain.state_dict().keys() == zero_shot.state_dict().keys()
    assert any("lora_B" in name for name, _ in made.named_parameters()), "the adapted one is left as it was"


def test_the_merged_step_is_scale_times_b_times_a(zero_shot):
    torch.manual_seed(1)
    for kind, config in {"LoRA": {}, "rsLoRA": {"use_rslora": True}}.items():
        made = lora.with_lora(zero_shot, r=4, scale=0.7, targets=[ONE], **config)
        layer = made.image_encoder.get_submodule(ONE)
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        torch.nn.init.normal_(b)
        product = torch.einsum("or,rihw->oihw", b[:, :, 0, 0], a)
        before, after = (m.image_encoder.get_submodule(ONE).weight for m in (zero_shot, lora.merged(made, zero_shot)))
        assert torch.allclose(after, before + 0.7 * product, atol=1e-4), kind


def test_interpolating_the_merged_is_scaling_the_step_but_not_for_dora(stepped, zero_shot, images):
    """peft #1940: peft's own helper is WiSE-FT for LoRA alone, so merge first."""
    from peft.helpers import rescale_adapter_scale

    kind, made = stepped
    half = wise_ft(zero_shot, lora.merged(made, zero_shot), 0.5)
    with torch.no_grad(), rescale_adapter_scale(made.image_encoder, multiplier=0.5):
        scaled = made(images)
    with torch.no_grad():
        same = torch.allclose(half(images), scaled, atol=2e-3)
    assert same == (kind != "DoRA")


def test_lora_alone_trains_and_the_head_if_asked(zero_shot, tiny):
    config = FineTuneConfig(epochs=1, batch_size=50)
    for head in (True, False):
        start = lora.with_lora(zero_shot, r=2, train_head=head)
        made = fine_tune(start, tiny, config, progress=False)
        moved = {n for n, p in made.named_parameters() if not torch.equal(p, start.get_parameter(n))}
        assert moved and all("lora_" in name or (head and name.startswith("classification_head")) for name in moved)
        assert any("lora_B" in name for name in moved)
        assert any(name.startswith("classification_head") for name in moved) == head
    assert lora.trained(start) < 0.1 * sum(p.numel() for p in zero_shot.parameters())
    assert (
        0 <= evaluate(wise_ft(zero_shot, lora.merged(made, zero_shot), 0.5), tiny.val, progress=False).accuracy() <= 1
    )


def test_open_clips_attention_pool_ignores_lora(clip, images):
    """The trap itself: should this fail, open_clip has mended it, and the refusal may go."""
    encoder = copy.deepcopy(clip.model.visual)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "k_proj", "v_proj", "c_proj"])
    peft.inject_adapter_in_model(config, encoder)
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    with torch.no_grad():
        assert torch.equal(encoder(images), clip.model.visual(images))


@pytest.mark.parametrize(
    "targets, said",
    [(["attnpool.q_proj"], "attention pool"), (["layer9.conv"], "no layer"), (["conv"], "no layer"), ([], "no layer")],
)
def test_layers_that_lora_cannot_reach_are_refused(zero_shot, targets, said):
    with pytest.raises(WiseftError, match=said):
        lora.with_lora(zero_shot, targets=targets)


def test_a_name_is_one_layer_and_not_an_ending(zero_shot):
    made = lora.with_lora(zero_shot, targets=["conv1"])
    assert [name for name, _ in lora.adapted(made)] == ["conv1"]


def test_other_mistakes_are_named(zero_shot):
    with pytest.raises(WiseftError, match="no low-rank step"):
        lora.merged(zero_shot, zero_shot)
    for wrong in ({"r": 0}, {"scale": 0}):
        with pytest.raises(WiseftError, match="1 or more"):
            lora.with_lora(zero_shot, **wrong)


def test_without_peft_it_says_what_to_install(zero_shot, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "peft":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WiseftError, match=r"pip install wiseft-nb\[lora\]"):
        lora.with_lora(zero_shot)


@pytest.mark.parametrize("kind", KINDS)
def test_pefts_weighted_adapters_are_no_average_of_rslora_and_dora(kind):
    """The trap: of the ways ``add_weighted_adapter`` has, ``cat`` is exact, but for plain LoRA alone (peft 0.21).

    Should this fail, peft has mended it; merging first is right in any case.
    """
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(6, 5, bias=False))
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["0"], **KINDS[kind])
    model = peft.get_peft_model(copy.deepcopy(plain), config, adapter_name="a")
    model.add_adapter("b", config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)

    def merged_weight(name):
        merged = copy.deepcopy(model)
        merged.set_adapter(name)
        return merged.merge_and_unload(adapter_names=[name])[0].weight.detach()

    average = (merged_weight("a") + merged_weight("b")) / 2
    model.add_weighted_adapter(["a", "b"], [0.5, 0.5], adapter_name="both", combination_type="cat")
    off = (merged_weight("both") - average).abs().max().item()
    assert off < 1e-5 if kind == "LoRA" else off > 0.05
