"""Further exercises of notebook 03_interpolate: the loop over alpha, and the chord.

Explained in notebook 03_interpolate.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch

from wiseft_nb.course.exercises.exercise import Exercise
from wiseft_nb.course.exercises.nb_03 import one_line


def accuracies_along(
    network: torch.nn.Module, theta_0: dict, theta_1: dict, alphas: tuple, x: torch.Tensor, y: torch.Tensor
) -> list:
    """Accuracy, a fraction, of the network with the interpolated weights, for each alpha in the order given."""
    mixed = copy.deepcopy(network).eval()
    accuracies = []
    for alpha in alphas:
        mixed.load_state_dict({name: (1 - alpha) * theta_0[name] + alpha * theta_1[name] for name in theta_0})
        with torch.no_grad():
            accuracies.append((mixed(x).argmax(dim=1) == y).double().mean().item())
    return accuracies


def toy() -> tuple[torch.nn.Module, dict, torch.Tensor, torch.Tensor]:
    """A network with dropout, other weights for it, inputs, and labels that neither fits wholly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        nn = torch.nn
        networks = [nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4)) for _ in range(2)]
        x = torch.randn(400, 5)
        with torch.no_grad():
            said = [network.eval()(x).argmax(dim=1) for network in networks]
        y = torch.where(torch.rand(400) < 0.7, said[1], said[0])
    return networks[1].train(), networks[0].state_dict(), x, y


def examine_accuracies_along(answer: Callable) -> None:
    alphas = (0.8, 0.5, 1.0, 0.0)
    network, theta_0, x, y = toy()
    own = copy.deepcopy(network.state_dict())
    expected = accuracies_along(network, theta_0, own, alphas, x, y)
    given = list(answer(network, theta_0, network.state_dict(), alphas, x, y))
    assert len(given) == len(alphas), f"one accuracy for each alpha is expected, {len(alphas)}, not {len(given)}"
    given = [float(accuracy) for accuracy in given]
    assert max(given) <= 1, f"fractions between 0 and 1 are expected, not {given}: divide by the number of images"
    network, theta_0, x, y = toy()
    again = [float(accuracy) for accuracy in answer(network, theta_0, copy.deepcopy(own), alphas, x, y)]
    fresh = [answer(toy()[0], theta_0, copy.deepcopy(own), (alpha,), x, y)[0] for alpha in alphas]
    first = answer(toy()[0], theta_0, copy.deepcopy(own), (0.8, 0.8), x, y)
    assert first[0] == first[1], "the same alpha twice gave two accuracies: dropout is at work, call eval()"
    assert len(set(given)) > 1, "all alphas have one accuracy: load the weights anew for each alpha"
    if given != again and all(abs(a - b) < 1e-6 for a, b in zip(fresh, expected, strict=True)):
        raise AssertionError(
            f"with theta_1 = network.state_dict() alphas {alphas} gave {given}, expected {expected}: that state dict is "
            "live, and your loop changed it; load into a copy of the network"
        )
    wrong = [alpha for alpha, a, b in zip(alphas, given, expected, strict=True) if abs(a - b) > 1e-6]
    assert not wrong, f"at alpha {wrong} the accuracy is another one: {given} for {alphas}, expected {expected}"
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items()), (
        "the network that was given has other weights afterwards: load into a copy of it"
    )


def loop_into_live(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    network.eval()
    accuracies = []
    for alpha in alphas:
        network.load_state_dict(one_line(theta_0, theta_1, alpha))
        accuracies.append((network(x).argmax(dim=1) == y).double().mean().item())
    return accuracies


def loop_without_eval(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    mixed, accuracies = copy.deepcopy(network), []
    for alpha in alphas:
        mixed.load_state_dict(one_line(theta_0, theta_1, alpha))
        accuracies.append((mixed(x).argmax(dim=1) == y).double().mean().item())
    return accuracies


def loop_of_counts(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    return [len(y) * accuracy for accuracy in accuracies_along(network, theta_0, theta_1, alphas, x, y)]


def loop_without_load(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    return accuracies_along(network, theta_1, theta_1, alphas, x, y)


def loop_from_the_other_end(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    return accuracies_along(network, theta_1, theta_0, alphas, x, y)


def loop_in_order_of_alpha(network: Any, theta_0: dict, theta_1: dict, alphas: tuple, x: Any, y: Any) -> list:
    return accuracies_along(network, theta_0, theta_1, tuple(sorted(alphas)), x, y)


def chord_gap(alpha: float, zero_shot: torch.Tensor, fine_tuned: torch.Tensor, mixed: torch.Tensor) -> tuple:
    """Gap and its standard error, fractions, from three bool tensors (n,): was each image classified correctly?"""
    chord = (1 - alpha) * zero_shot.double() + alpha * fine_tuned.double()
    above = mixed.double() - chord
    return above.mean().item(), above.std().item() / len(above) ** 0.5


def examine_chord_gap(answer: Callable) -> None:
    generator = torch.Generator().manual_seed(0)
    ease = torch.rand(500, generator=generator)  # the images, not the models, decide most
    noise = 0.15 * torch.randn(3, 500, generator=generator)
    right = [ease + n > level for n, level in zip(noise, (0.3, 0.2, 0.15), strict=True)]
    for alpha in (0.2, 0.9):
        expected, error = chord_gap(alpha, *right)
        found = answer(alpha, *(each.clone() for each in right))
        assert isinstance(found, tuple) and len(found) == 2, f"two numbers are expected, gap and error, not {found}"
        gap, given = (float(number) for number in found)
        assert abs(gap + expected) > 1e-6, "the sign is turned round: above the chord is positive"
        assert abs(gap - expected) < 1e-6, (
            f"at alpha {alpha} the gap should be {expected:.4f}, not {gap:.4f}: which end has the weight alpha?"
        )
        assert abs(given * 500**0.5 - error * 500**0.5) < 1e-3 or abs(given - error * 500**0.5) > 1e-3, (
            f"{given:.4f} is how far single images spread: the error of their mean is smaller, by the root of n"
        )
        assert abs(given - error) < 1e-4, (
            f"the standard error should be {error:.4f}, not {given:.4f}: take the three answers image by image, "
            "for they are about the same images"
        )


def gap_with_ends_swapped(alpha: float, zero_shot: Any, fine_tuned: Any, mixed: Any) -> tuple:
    return chord_gap(1 - alpha, zero_shot, fine_tuned, mixed)


def gap_with_sign_turned(alpha: float, zero_shot: Any, fine_tuned: Any, mixed: Any) -> tuple:
    gap, error = chord_gap(alpha, zero_shot, fine_tuned, mixed)
    return -gap, error


def gap_as_if_independent(alpha: float, zero_shot: Any, fine_tuned: Any, mixed: Any) -> tuple:
    p = [each.double().mean().item() for each in (zero_shot, fine_tuned, mixed)]
    parts = [weight**2 * q * (1 - q) / len(mixed) for weight, q in zip((1 - alpha, alpha, 1), p, strict=True)]
    return chord_gap(alpha, zero_shot, fine_tuned, mixed)[0], sum(parts) ** 0.5


def gap_with_the_spread(alpha: float, zero_shot: Any, fine_tuned: Any, mixed: Any) -> tuple:
    gap, error = chord_gap(alpha, zero_shot, fine_tuned, mixed)
    return gap, error * len(mixed) ** 0.5


EXERCISES = {
    "03.2": Exercise(
        title="the curve of any network",
        minutes=15,
        difficulty=3,
        task=(
            "The loop above knows this course's classifier. Write it for any `torch.nn.Module`: "
            "`accuracies_along(network, theta_0, theta_1, alphas, x, y)` takes inputs `x`, labels `y` and two state "
            "dicts, and returns the accuracy, a fraction, for each alpha in the order given. The network may be in "
            "training mode and may have dropout; `theta_1` may be `network.state_dict()`; afterwards the network "
            "has the weights it came with."
        ),
        hints=(
            "Which of the three mistakes waits if `theta_1` is the network's own state dict?",
            "`copy.deepcopy(network).eval()`, once before the loop; then `load_state_dict`, and `argmax(dim=1) == y`.",
        ),
        reference=accuracies_along,
        why=(
            "The copy is where the weights go, so the live state dict of the original stays what it is. `eval()` stops "
            "dropout, and makes BatchNorm use the statistics that were interpolated with the weights."
        ),
        test=examine_accuracies_along,
        wrong=(
            (loop_into_live, "live"),
            (loop_without_eval, "eval()"),
            (loop_of_counts, "fractions between 0 and 1"),
            (loop_without_load, "load the weights anew"),
            (loop_from_the_other_end, "the accuracy is another one"),
            (loop_in_order_of_alpha, "the accuracy is another one"),
        ),
    ),
    "03.3": Exercise(
        title="how far from the chord, and how surely",
        minutes=15,
        difficulty=4,
        task=(
            "Three classifiers were asked about the same $n$ images; three bool tensors say where each was right. "
            "Write `chord_gap(alpha, zero_shot, fine_tuned, mixed)`: how far the accuracy of `mixed` lies above the "
            "chord at alpha (a fraction, negative below it), and the standard error of that number. The images are "
            "the same, so an image that all three get right adds no doubt at all."
        ),
        hints=(
            "Write the gap as the mean of one number an image. Which numbers can it be?",
            "`above = mixed - (1 - alpha) * zero_shot - alpha * fine_tuned`; its error is `std / n ** 0.5`.",
        ),
        reference=chord_gap,
        why=(
            "Most images are easy or hard for all three, and there the number is 0. Three accuracies taken for "
            "independent would give an error several times too large, and hide what the images show."
        ),
        test=examine_chord_gap,
        wrong=(
            (gap_with_ends_swapped, "which end has the weight alpha"),
            (gap_with_sign_turned, "the sign is turned round"),
            (gap_as_if_independent, "image by image"),
            (gap_with_the_spread, "the root of n"),
        ),
    ),
}
