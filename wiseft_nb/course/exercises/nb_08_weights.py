"""Further exercises of notebook 08_break_it: BatchNorm's statistics anew, and a backbone under a kept head.

Explained in notebook 08_break_it.
"""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from wiseft_nb.course.exercises.exercise import Exercise


def mix_backbone(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    """The encoder interpolated, the head of theta_1 as it is; integer tensors of theta_0."""
    mixed = {}
    for name, tensor in theta_0.items():
        if name.startswith(head):
            mixed[name] = theta_1[name].clone()
        elif tensor.is_floating_point():
            mixed[name] = (1 - alpha) * tensor + alpha * theta_1[name]
        else:
            mixed[name] = tensor.clone()
    return mixed


def two_states() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Encoder, a layer in it whose name holds the head's, a count of batches, and a head."""
    rng = torch.Generator().manual_seed(8)
    shapes = {
        "image_encoder.conv.weight": (4, 3),
        "image_encoder.classification_head.norm": (4,),
        "classification_head.weight": (10, 4),
        "classification_head.bias": (10,),
    }
    states = [{name: torch.randn(*shape, generator=rng) for name, shape in shapes.items()} for _ in range(2)]
    for state, count in zip(states, (7, 100), strict=True):
        state["image_encoder.bn.num_batches_tracked"] = torch.tensor(count)
    return states[0], states[1]


def examine_mix_backbone(answer: Callable) -> None:
    theta_0, theta_1 = two_states()
    before = [{name: tensor.clone() for name, tensor in theta.items()} for theta in (theta_0, theta_1)]
    found, expected = answer(theta_0, theta_1, 0.25), mix_backbone(theta_0, theta_1, 0.25)
    for was, theta in zip(before, (theta_0, theta_1), strict=True):
        assert all(torch.equal(was[name], tensor) for name, tensor in theta.items()), (
            "a state dict you were given changed"
        )
    assert isinstance(found, Mapping) and set(found) == set(expected), (
        f"expected a dict with the keys {sorted(expected)}"
    )
    head, inner = found["classification_head.weight"], "image_encoder.classification_head.norm"
    assert not torch.allclose(head, theta_0["classification_head.weight"]), (
        "this is the head of theta_0: keep the trained one"
    )
    assert torch.equal(head, theta_1["classification_head.weight"]), "the head is mixed: it must be theta_1's as it is"
    assert not torch.equal(found[inner], theta_1[inner]), (
        f"{inner} belongs to the encoder: a head's names *start* with {'classification_head.'!r}"
    )
    count = found["image_encoder.bn.num_batches_tracked"]
    assert not count.is_floating_point(), "a count of batches is a whole number: carry it over from theta_0"
    for name, tensor in expected.items():
        assert torch.allclose(found[name].float(), tensor.float()), f"{name} has other values at alpha 0.25"
    assert torch.allclose(
        answer(theta_0, theta_1, 0.0)["classification_head.weight"], theta_1["classification_head.weight"]
    ), "the trained head stays at alpha 0 too"
    assert found["classification_head.bias"].data_ptr() != theta_1["classification_head.bias"].data_ptr(), (
        "the head shares its memory with theta_1: clone it, or loading one changes the other"
    )


def mix_everything(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    return {
        name: (1 - alpha) * tensor + alpha * theta_1[name] if tensor.is_floating_point() else tensor.clone()
        for name, tensor in theta_0.items()
    }


def mix_under_old_head(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    return mix_everything(theta_0, theta_1, alpha) | {n: t.clone() for n, t in theta_0.items() if n.startswith(head)}


def mix_by_any_name(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    return mix_everything(theta_0, theta_1, alpha) | {n: t.clone() for n, t in theta_1.items() if head in n}


def mix_counts(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    mixed = {name: (1 - alpha) * tensor + alpha * theta_1[name] for name, tensor in theta_0.items()}
    return mixed | {n: t.clone() for n, t in theta_1.items() if n.startswith(head)}


def mix_shared(theta_0: dict, theta_1: dict, alpha: float, head: str = "classification_head.") -> dict:
    return mix_everything(theta_0, theta_1, alpha) | {n: t for n, t in theta_1.items() if n.startswith(head)}


def estimate_again(network: nn.Module, batches: list) -> nn.Module:
    """A copy in evaluation mode whose BatchNorm statistics are the means over these batches."""
    network = copy.deepcopy(network).eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
        layer.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    return network.eval()


def small_network() -> tuple[nn.Module, list[Tensor]]:
    """A convolution, BatchNorm with wrong statistics, and dropout; and batches."""
    rng = torch.Generator().manual_seed(5)
    convolution, norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    with torch.no_grad():
        convolution.weight.copy_(torch.randn(2, 1, 3, 3, generator=rng))
        convolution.bias.copy_(torch.tensor([3.0, -2.0]))
        norm.running_mean.copy_(torch.tensor([50.0, 50.0]))
    network = nn.Sequential(nn.Dropout(0.5), convolution, norm).eval()
    return network, [1 + torch.randn(20, 1, 6, 6, generator=rng) for _ in range(4)]


def examine_estimate_again(answer: Callable) -> None:
    network, batches = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = answer(network, batches)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items()), (
        "the network you were given has changed: work on a copy"
    )
    assert isinstance(found, nn.Module), f"expected a network, got {type(found).__name__}"
    assert not any(module.training for module in found.modules()), "it is in training mode still: finish with .eval()"
    seen = [found[1](batch) for batch in batches]
    mean = torch.stack([out.mean(dim=(0, 2, 3)) for out in seen]).mean(dim=0)
    variance = torch.stack([out.var(dim=(0, 2, 3)) for out in seen]).mean(dim=0)
    met = found[2].running_mean
    assert not torch.equal(met, before["2.running_mean"]), (
        "the statistics are the old ones: BatchNorm learns in training mode"
    )
    assert (met - mean).abs().max() < 5, (
        "the old statistics are part of the new ones: reset them before the first batch"
    )
    if not torch.allclose(met, mean, atol=1e-3):
        last = torch.zeros(2)
        for out in seen:
            last = 0.9 * last + 0.1 * out.detach().mean(dim=(0, 2, 3))
        assert not torch.allclose(met, last, atol=1e-3), (
            "with momentum 0.1 the last batches count most and the start lingers: momentum = None is a plain mean"
        )
    assert torch.allclose(met, mean, atol=1e-3), (
        "the means are not those of the batches: only BatchNorm goes into training mode, dropout stays off"
    )
    assert torch.allclose(found[2].running_var, variance, atol=1e-3), "the variances are not the means over the batches"
    assert all(torch.equal(before[name], found.state_dict()[name]) for name in ("1.weight", "1.bias", "2.weight")), (
        "the weights have changed: only running_mean and running_var are estimated"
    )


def estimated_in_training_mode(network: nn.Module, batches: list) -> nn.Module:
    network = copy.deepcopy(network).train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    for batch in batches:
        network(batch)
    return network.eval()


def estimated_without_reset(network: nn.Module, batches: list) -> nn.Module:
    network = copy.deepcopy(network).eval()
    network[2].train()
    for batch in batches:
        network(batch)
    return network.eval()


def estimated_with_momentum(network: nn.Module, batches: list) -> nn.Module:
    network = copy.deepcopy(network).eval()
    network[2].reset_running_stats()
    network[2].train()
    for batch in batches:
        network(batch)
    return network.eval()


def estimated_in_evaluation_mode(network: nn.Module, batches: list) -> nn.Module:
    network = copy.deepcopy(network).eval()
    for batch in batches:
        network(batch)
    return network


def estimated_in_place(network: nn.Module, batches: list) -> nn.Module:
    network.load_state_dict(estimate_again(network, batches).state_dict())
    return network


EXERCISES: dict[str, Exercise] = {
    "08.2": Exercise(
        title="BatchNorm's statistics, estimated again",
        minutes=15,
        difficulty=3,
        task=(
            "Write `estimate_again(network, batches)`: a copy of the network, in evaluation mode, in which `running_mean` and "
            "`running_var` of every `nn.BatchNorm2d` are plain means over these batches of what the layer sees. Weights stay as "
            "they are; dropout stays off; the network you were given does not change."
        ),
        hints=(
            "`layer.reset_running_stats()` forgets the old statistics; `layer.momentum = None` makes a plain mean of the new.",
            "Put the whole copy into evaluation mode, then BatchNorm's layers alone into training mode.",
        ),
        reference=estimate_again,
        why=(
            "`torch.optim.swa_utils.update_bn` does this with the whole network in training mode, dropout included. Statistics "
            "are no weights: their mean is what neither end, nor the model between them, sees."
        ),
        test=examine_estimate_again,
        wrong=(
            (estimated_in_training_mode, "dropout stays off"),
            (estimated_without_reset, "reset them"),
            (estimated_with_momentum, "momentum = None"),
            (estimated_in_evaluation_mode, "learns in training mode"),
            (estimated_in_place, "has changed"),
        ),
    ),
    "08.3": Exercise(
        title="interpolate the backbone, keep the head",
        minutes=10,
        difficulty=2,
        task=(
            'Write `mix_backbone(theta_0, theta_1, alpha, head="classification_head.")`, for two state dicts: tensors whose '
            "name starts with `head` are copies of theta_1's; of all others, floating-point tensors are interpolated, and the "
            "rest, such as counts of batches, are copied from theta_0. Change nothing that was given."
        ),
        hints=("`name.startswith(head)` asks for the head, `tensor.is_floating_point()` for what can be mixed.",),
        reference=mix_backbone,
        why=(
            "At alpha 0 this is not the zero-shot classifier but its encoder under a trained head: a linear classifier that was "
            "trained for other features. The curve ends where it should, and begins where nobody would stay."
        ),
        test=examine_mix_backbone,
        wrong=(
            (mix_everything, "head is mixed"),
            (mix_under_old_head, "head of theta_0"),
            (mix_by_any_name, "belongs to the encoder"),
            (mix_counts, "whole number"),
            (mix_shared, "shares its memory"),
        ),
    ),
}
