"""Exercises of notebook 03: interpolate, walk along alpha, look below the chord."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wiseft_nb.course.exercises.exercise import Answer, Exercise

StateDict = dict[str, Tensor]


def interpolate(theta_0: dict, theta_1: dict, alpha: float) -> dict:
    """New state dict: (1 - alpha) theta_0 + alpha theta_1 where tensors are floating-point, theta_0's elsewhere."""
    theta = {}
    for name, tensor in theta_0.items():
        if tensor.is_floating_point():
            theta[name] = (1 - alpha) * tensor + alpha * theta_1[name]
        else:
            theta[name] = tensor.clone()
    return theta


def two_ends() -> tuple[StateDict, StateDict]:
    """Two sets of weights, a count and a mask among them, made anew for every question."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        {
            "w": torch.randn(3, 2, generator=generator),
            "n": torch.tensor([count, 40]),
            "mask": torch.tensor([True, False]),
        }
        for count in (1500, 1725)
    )


def examine_interpolate(answer: Answer) -> None:
    for alpha in (0.0, 0.3, 1.0):
        theta_0, theta_1 = two_ends()
        kept = [dict(theta) for theta in (theta_0, theta_1)]  # the very tensors
        given = answer(theta_0, theta_1, alpha)
        for name, theta, tensors, fresh in zip(
            ("theta_0", "theta_1"), (theta_0, theta_1), kept, two_ends(), strict=True
        ):
            same = theta.keys() == fresh.keys() and all(theta[k] is tensors[k] for k in fresh)
            assert same and all(torch.equal(theta[k], fresh[k]) for k in fresh), (
                f"{name} was changed: its model would be another one afterwards; make new tensors in a new dict"
            )
        examine_mixed(given, alpha)


def examine_mixed(given: StateDict, alpha: float) -> None:
    (theta_0, theta_1), expected = two_ends(), interpolate(*two_ends(), alpha)
    assert given.keys() == expected.keys(), f"the result should have the keys {set(expected)}, not {set(given)}"
    for name in ("n", "mask"):
        assert given[name].dtype == expected[name].dtype, (
            f"{name} became {given[name].dtype}: carry tensors that are not floating-point over with their type, "
            f"{expected[name].dtype}"
        )
        assert any(torch.equal(given[name], theta[name]) for theta in (theta_0, theta_1)), (
            f"{name} is {given[name].tolist()}, a value that neither end has: carry it over as it is"
        )
    assert given["w"].dtype == expected["w"].dtype, f"w should stay {expected['w'].dtype}, not {given['w'].dtype}"
    assert torch.allclose(given["w"], expected["w"], atol=1e-6), (
        f"at alpha {alpha}, w should be {expected['w'].tolist()}, not {given['w'].tolist()}; alpha 0 is theta_0"
    )


def swapped(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return interpolate(theta_1, theta_0, alpha)


def mixes_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return {name: (1 - alpha) * theta_0[name] + alpha * theta_1[name] for name in theta_0}


def into_theta_0(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    for name, tensor in theta_0.items():
        if tensor.is_floating_point():
            tensor.mul_(1 - alpha).add_(alpha * theta_1[name])
    return theta_0


def into_theta_1(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    for name, tensor in theta_1.items():
        if tensor.is_floating_point():
            tensor.mul_(alpha).add_((1 - alpha) * theta_0[name])
    return theta_1


def rebinds_theta_1(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    theta_1.update(interpolate(theta_0, theta_1, alpha))
    return theta_1


def zeroes_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return {k: t if t.is_floating_point() else 0 * t.int() for k, t in interpolate(theta_0, theta_1, alpha).items()}


def adds_to_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    mixed = interpolate(theta_0, theta_1, alpha)
    return mixed | {"n": mixed["n"] + 7}


def casts_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    mixed = interpolate(theta_0, theta_1, alpha)
    return mixed | {"n": mixed["n"].int()}


def rounds_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return {name: t.round().to(theta_0[name].dtype) if name != "w" else t for name, t in
            mixes_counts(theta_0, theta_1, alpha).items()}  # fmt: skip


def drops_counts(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return {name: t for name, t in interpolate(theta_0, theta_1, alpha).items() if t.is_floating_point()}


def always_half_way(theta_0: StateDict, theta_1: StateDict, alpha: float) -> StateDict:
    return interpolate(theta_0, theta_1, 0.5)


def accuracies(
    model: torch.nn.Module, theta_0: dict, theta_1: dict, alphas: list, inputs: torch.Tensor, labels: torch.Tensor
) -> list:
    """Accuracy of ``model`` with the interpolated weights for every alpha, in order; ``model`` stays as it was."""
    mixed, found = copy.deepcopy(model).eval(), []
    for alpha in alphas:
        mixed.load_state_dict(interpolate(theta_0, theta_1, alpha))
        with torch.no_grad():
            found.append((mixed(inputs).argmax(dim=1) == labels).float().mean().item())
    return found


def toy() -> tuple[nn.Module, StateDict, StateDict, Tensor, Tensor]:
    """A small network that holds theta_1, both sets of weights as they are in two models, inputs and labels."""
    generator = torch.Generator().manual_seed(1)
    ends = [nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2)]
    for end in ends:
        for parameter in end.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        end.eval()
    inputs = torch.randn(200, 4, generator=generator)
    labels = ends[0](inputs).argmax(dim=1)
    return ends[1], ends[0].state_dict(), ends[1].state_dict(), inputs, labels


def examine_accuracies(answer: Answer) -> None:
    alphas = [0.8, 0.0, 0.5, 1.0]  # not in order: what is left of the last alpha would show
    model, theta_0, theta_1, inputs, labels = toy()
    before = copy.deepcopy((theta_0, theta_1))
    given = answer(model, theta_0, theta_1, alphas, inputs, labels)
    again = toy()
    expected = accuracies(again[0], again[1], again[2], alphas, again[3], again[4])
    assert len(given) == len(alphas), f"one accuracy for each alpha is expected, {len(alphas)}, not {len(given)}"
    assert given[1] == 1.0 or given[3] != 1.0, "alpha 0 should give theta_0 and alpha 1 theta_1: yours are swapped"
    for theta, fresh in zip((theta_0, theta_1), before, strict=True):
        assert all(torch.equal(theta[name], fresh[name]) for name in fresh), (
            "a set of weights was changed on the way: a state dict is a view of its model's weights, so load into a copy "
            "of the model (mistake 3)"
        )
    assert all(0 <= float(value) <= 1 for value in given), f"accuracies are fractions between 0 and 1, not {given}"
    assert all(abs(a - b) < 1e-6 for a, b in zip(given, expected, strict=True)), (
        f"for alphas {alphas} the accuracies are {expected}, not {given}: is each alpha mixed anew, in evaluation mode?"
    )


def in_the_model_itself(
    model: nn.Module, theta_0: StateDict, theta_1: StateDict, alphas: Sequence[float], inputs: Tensor, labels: Tensor
) -> list[float]:
    found = []
    for alpha in alphas:
        model.load_state_dict(interpolate(theta_0, theta_1, alpha))
        found.append((model(inputs).argmax(dim=1) == labels).float().mean().item())
    return found


def in_training_mode(
    model: nn.Module, theta_0: StateDict, theta_1: StateDict, alphas: Sequence[float], inputs: Tensor, labels: Tensor
) -> list[float]:
    mixed, found = copy.deepcopy(model).train(), []
    for alpha in alphas:
        mixed.load_state_dict(interpolate(theta_0, theta_1, alpha))
        found.append((mixed(inputs).argmax(dim=1) == labels).float().mean().item())
    return found


def ends_swapped(
    model: nn.Module, theta_0: StateDict, theta_1: StateDict, alphas: Sequence[float], *data: Tensor
) -> list[float]:
    return accuracies(model, theta_1, theta_0, alphas, *data)


def counts_right(
    model: nn.Module, theta_0: StateDict, theta_1: StateDict, alphas: Sequence[float], *data: Tensor
) -> list[float]:
    return [200 * value for value in accuracies(model, theta_0, theta_1, alphas, *data)]


def sag(alphas: list, accuracy: list) -> float:
    """How far the lowest point lies below the chord between alpha 0 and 1, a fraction; 0 where none does."""
    start, end = accuracy[alphas.index(0.0)], accuracy[alphas.index(1.0)]
    chord = [(1 - alpha) * start + alpha * end for alpha in alphas]
    return max(0.0, max(c - a for c, a in zip(chord, accuracy, strict=True)))


def examine_sag(answer: Answer) -> None:
    below = ([0.0, 0.25, 0.5, 1.0], [0.6, 0.5, 0.75, 0.8])
    above = ([0.0, 0.5, 1.0], [0.6, 0.9, 0.8])
    shuffled = ([1.0, 0.5, 0.0], [0.8, 0.65, 0.6])
    high_end = ([0.0, 0.5, 1.0], [0.6, 0.68, 0.8])  # above both? no: below the chord, above the lower end
    given = float(answer(*above))
    assert given >= 0, f"a path above its chord has a sag of 0, not {given:.3f}"
    for alphas, accuracy in (below, above, shuffled, high_end):
        given, expected = float(answer(list(alphas), list(accuracy))), sag(alphas, accuracy)
        assert abs(given - expected) < 1e-9, (
            f"for alphas {alphas} and accuracies {accuracy} the sag is {expected:.3f}, not {given:.3f}: measure from the "
            "chord at each alpha, which runs from the accuracy at alpha 0 to that at alpha 1"
        )


def below_the_lower_end(alphas: list, accuracy: list) -> float:
    return max(0.0, min(accuracy[alphas.index(0.0)], accuracy[alphas.index(1.0)]) - min(accuracy))


def negative_above(alphas: list, accuracy: list) -> float:
    start, end = accuracy[alphas.index(0.0)], accuracy[alphas.index(1.0)]
    inner = [(1 - x) * start + x * end - a for x, a in zip(alphas, accuracy, strict=True) if 0 < x < 1]
    return max(inner)


def takes_first_and_last(alphas: list, accuracy: list) -> float:
    chord = [(1 - alpha) * accuracy[0] + alpha * accuracy[-1] for alpha in alphas]
    return max(0.0, max(c - a for c, a in zip(chord, accuracy, strict=True)))


def below_the_mean(alphas: list, accuracy: list) -> float:
    return max(0.0, (accuracy[alphas.index(0.0)] + accuracy[alphas.index(1.0)]) / 2 - min(accuracy))


EXERCISES = {
    "03.1": Exercise(
        title="interpolate, without the mistakes",
        minutes=10,
        difficulty=2,
        task="Write `interpolate(theta_0, theta_1, alpha)` so that\n\n"
        "- floating-point tensors are interpolated, alpha 0 giving `theta_0`;\n"
        "- other tensors keep their type and the value that one of the endpoints has;\n"
        "- neither input is changed: not its tensors, not its entries.",
        hints=(
            "The one line above is nearly there. What does it do to an integer tensor?",
            "`tensor.is_floating_point()` tells the two kinds apart; `tensor.clone()` makes a copy.",
        ),
        reference=interpolate,
        why="Each value is a new tensor, so nothing that comes later can reach the endpoints. The package's version also "
        "copies the endpoints at 0 and 1, and refuses models that do not fit together.",
        test=examine_interpolate,
        wrong=(
            (swapped, "alpha 0 is theta_0"),
            (mixes_counts, "carry tensors that are not floating-point over"),
            (into_theta_0, "theta_0 was changed"),
            (into_theta_1, "theta_1 was changed"),
            (rebinds_theta_1, "theta_1 was changed"),
            (zeroes_counts, "with their type"),
            (adds_to_counts, "a value that neither end has"),
            (casts_counts, "with their type"),
            (rounds_counts, "a value that neither end has"),
            (drops_counts, "the keys"),
            (always_half_way, "at alpha 0.0"),
        ),
    ),
    "03.2": Exercise(
        title="walk along alpha",
        minutes=15,
        difficulty=3,
        task="Write the loop that `sweep` is at heart. In: a model, two state dicts, a list of alphas in any order, a batch of "
        "inputs and its labels. Out: a list of accuracies, fractions, in the order of the alphas. `model` and both state "
        "dicts stay as they were, though `theta_1` may be the model's own. You may use `interpolate`.",
        hints=(
            "Which model do you load the mixed weights into? If it is `model` itself, see mistake 3.",
            "`copy.deepcopy(model).eval()` once, before the loop; `load_state_dict` and `argmax(dim=1)` inside it.",
        ),
        reference=accuracies,
        why="One copy takes all the weights, one after another. In training mode BatchNorm would use the batch's own "
        "statistics and change its running ones.",
        test=examine_accuracies,
        wrong=(
            (in_the_model_itself, "mistake 3"),
            (in_training_mode, "in evaluation mode"),
            (ends_swapped, "swapped"),
            (counts_right, "fractions between 0 and 1"),
        ),
    ),
    "03.3": Exercise(
        title="how far below the chord",
        minutes=10,
        difficulty=2,
        task="A path *sags* where its accuracy lies below the chord. Write a function that says how far, at the worst alpha. In: "
        "alphas, among them 0.0 and 1.0, in any order, and their accuracies. Out: a fraction, 0 if no point lies below.",
        hints=(
            "The chord at alpha is (1 - alpha) times the accuracy at 0, plus alpha times the accuracy at 1.",
            "`accuracy[alphas.index(0.0)]` finds an end wherever it stands.",
        ),
        reference=sag,
        why="Below the chord is not below both ends: a path may sag and still beat its lower end everywhere.",
        test=examine_sag,
        wrong=(
            (below_the_lower_end, "measure from the chord"),
            (negative_above, "a sag of 0"),
            (takes_first_and_last, "measure from the chord"),
            (below_the_mean, "measure from the chord"),
        ),
    ),
}
