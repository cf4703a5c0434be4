"""Exercises of notebook 07: averages of outputs and along a run, and the point of a curve to compare with."""

import numpy as np
import torch

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def average_probabilities(logits_0: torch.Tensor, logits_1: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Probabilities (n, classes): (1 - alpha) of the first and alpha of the second; alpha is (n,), one an image."""
    share = alpha[:, None]
    return (1 - share) * logits_0.softmax(dim=1) + share * logits_1.softmax(dim=1)


def examine_average_probabilities(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [3 * torch.randn(6, 6, generator=generator) for _ in range(2)]  # square: a wrong axis does not stop
    alpha = torch.tensor([0.0, 0.2, 0.5, 0.7, 0.9, 1.0])
    expected = average_probabilities(*logits, alpha)
    given = answer(*(each.clone() for each in logits), alpha.clone())
    assert given.shape == expected.shape, (
        f"{tuple(expected.shape)} probabilities are expected, not {tuple(given.shape)}"
    )
    assert not torch.allclose(given, average_probabilities(*logits[::-1], alpha)), (
        "the ends are swapped: alpha is the share of the second"
    )
    assert torch.allclose(given.sum(dim=1), torch.ones(6), atol=1e-5), (
        "the probabilities of an image do not add up to 1: softmax over the classes, and alpha as a column, so that "
        "each image has its own"
    )
    assert not torch.allclose(given, logits_averaged(*logits, alpha)), (
        "these are averaged logits after a softmax: take the softmax of each first"
    )
    assert torch.allclose(given, expected, atol=1e-5), f"expected {expected[1]} for the second image, not {given[1]}"


def logits_averaged(logits_0: torch.Tensor, logits_1: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    return torch.lerp(logits_0, logits_1, alpha[:, None]).softmax(dim=1)


def alpha_along_the_classes(logits_0: torch.Tensor, logits_1: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    return (1 - alpha) * logits_0.softmax(dim=1) + alpha * logits_1.softmax(dim=1)


def ends_swapped(logits_0: torch.Tensor, logits_1: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    return average_probabilities(logits_1, logits_0, alpha)


def over_the_images(logits_0: torch.Tensor, logits_1: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    share = alpha[:, None]
    return (1 - share) * logits_0.softmax(dim=0) + share * logits_1.softmax(dim=0)


def moving_averages(thetas: list, decay: float) -> tuple:
    """From theta_0, ..., theta_T: the average that begins at theta_0, and the debiased one that begins at zero."""
    biased, mean = thetas[0].clone(), torch.zeros_like(thetas[0])
    for theta in thetas[1:]:
        biased = decay * biased + (1 - decay) * theta
        mean = decay * mean + (1 - decay) * theta
    return biased, mean / (1 - decay ** (len(thetas) - 1))


def examine_moving_averages(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    thetas = list(torch.randn(8, 3, generator=generator, dtype=torch.float64).cumsum(0))
    before = [theta.clone() for theta in thetas]
    found = answer(thetas, 0.8)
    assert all(torch.equal(a, b) for a, b in zip(thetas, before, strict=True)), (
        "the weights were changed: make new tensors"
    )
    assert isinstance(found, tuple) and len(found) == 2, "two tensors are expected, the biased average first"
    biased, debiased = found
    expected = moving_averages(before, 0.8)
    assert not torch.allclose(biased, expected[1]) or not torch.allclose(debiased, expected[0]), (
        "the two are swapped: the one that begins at theta_0 comes first"
    )
    other_way = moving_averages(before, 0.2)
    assert not torch.allclose(biased, other_way[0]), (
        "decay is the share of the old average, 1 - decay that of the new weights"
    )
    assert torch.allclose(biased, expected[0]), f"the average from theta_0 should be {expected[0]}, not {biased}"
    left = 1 - 0.8**7
    assert not torch.allclose(debiased, left * expected[1]), "the second still leans to zero: divide by 1 - decay ** T"
    assert torch.allclose(debiased, expected[1]), (
        f"the debiased average should be {expected[1]}, not {debiased}: theta_0 has no part in it, and T is the number of "
        "steps, one less than that of the weights"
    )


def not_debiased(thetas: list, decay: float) -> tuple:
    biased, debiased = moving_averages(thetas, decay)
    return biased, debiased * (1 - decay ** (len(thetas) - 1))


def decay_for_the_new(thetas: list, decay: float) -> tuple:
    return moving_averages(thetas, 1 - decay)


def with_theta_0(thetas: list, decay: float) -> tuple:
    return moving_averages(thetas, decay)[0], moving_averages([thetas[0], *thetas], decay)[1]


def one_step_too_many(thetas: list, decay: float) -> tuple:
    biased, debiased = moving_averages(thetas, decay)
    return biased, debiased * (1 - decay ** (len(thetas) - 1)) / (1 - decay ** len(thetas))


def above_the_curve(xs: np.ndarray, ys: np.ndarray, x: float, y: float) -> float:
    """How far (x, y) lies above the best point of the curve (xs, ys) whose reference accuracy is at least x."""
    return y - ys[xs >= x].max()


def examine_above_the_curve(answer: Answer) -> None:
    xs = np.array([0.60, 0.72, 0.80, 0.85, 0.87, 0.86])
    ys = np.array([0.58, 0.62, 0.64, 0.63, 0.60, 0.53])
    before = xs.copy(), ys.copy()
    for x, y in ((0.84, 0.632), (0.865, 0.61), (0.70, 0.60), (0.87, 0.60)):
        given, expected = float(answer(xs, ys, x, y)), above_the_curve(*before, x, y)
        assert np.array_equal(xs, before[0]) and np.array_equal(ys, before[1]), "an array was changed: make new ones"
        assert abs(given + expected) > 1e-9 or abs(expected) < 1e-9, "the sign is turned: above the curve is positive"
        highest = y - ys.max()
        assert abs(given - highest) > 1e-9 or abs(highest - expected) < 1e-9, (
            f"for x = {x} you compared with the curve's highest point, whose reference accuracy is {xs[ys.argmax()]:.2f}: "
            "whoever asks for more reference accuracy cannot have it"
        )
        nearest = y - ys[np.abs(xs - x).argmin()]
        assert abs(given - nearest) > 1e-9 or abs(nearest - expected) < 1e-9, (
            f"for x = {x} you took the nearest point: another one has at least as much reference accuracy and more under shift"
        )
        assert abs(given - expected) < 1e-9, f"for x = {x}, y = {y} expected {expected:.3f}, not {given:.3f}"


def highest_point(xs: np.ndarray, ys: np.ndarray, x: float, y: float) -> float:
    return y - ys.max()


def nearest_point(xs: np.ndarray, ys: np.ndarray, x: float, y: float) -> float:
    return y - ys[np.abs(xs - x).argmin()]


def turned(xs: np.ndarray, ys: np.ndarray, x: float, y: float) -> float:
    return -above_the_curve(xs, ys, x, y)


def first_that_reaches(xs: np.ndarray, ys: np.ndarray, x: float, y: float) -> float:
    return y - ys[xs >= x][-1]


EXERCISES = {
    "07.1": Exercise(
        title="average what they say",
        minutes=10,
        difficulty=2,
        task="Write the ensemble of probabilities: `average_probabilities(logits_0, logits_1, alpha)`. The logits are "
        "`(n, classes)`, alpha is a tensor `(n,)`, so every image may have an alpha of its own; that will be needed below.",
        hints=(
            "A softmax over which dimension makes the probabilities of one image add up to 1?",
            "`alpha[:, None]` is a column: PyTorch stretches it along the classes.",
        ),
        reference=average_probabilities,
        why="Averaged logits are another thing: their softmax is a geometric mean of the probabilities, so that an end that "
        "is sure of a class can veto the others. The package has both in `wiseft_nb.analyse.ensembles.output_ensemble`.",
        test=examine_average_probabilities,
        wrong=(
            (logits_averaged, "softmax of each first"),
            (alpha_along_the_classes, "alpha as a column"),
            (ends_swapped, "ends are swapped"),
            (over_the_images, "softmax over the classes"),
        ),
    ),
    "07.2": Exercise(
        title="two moving averages",
        minutes=15,
        difficulty=3,
        task="The weights along a run are $\\theta_0, \\dots, \\theta_T$. An exponential moving average takes "
        "$\\mu \\leftarrow \\beta\\,\\mu + (1 - \\beta)\\,\\theta_t$ for $t = 1, \\dots, T$, with the decay $\\beta$. Begun at "
        "$\\mu = \\theta_0$ it leans to the beginning: the *biased* average. Begun at $\\mu = 0$ and divided by "
        "$1 - \\beta^T$ in the end, it is the *debiased* one. Write `moving_averages(thetas, decay)`: a list of tensors "
        "in, both averages out, biased first.",
        hints=(
            "Two loops in one: the same line, another beginning. Does theta_0 enter the loop?",
            "The list has T + 1 tensors, so the divisor is `1 - decay ** (len(thetas) - 1)`.",
        ),
        reference=moving_averages,
        why="The weights of a mean have to add up to 1. Begun at zero they add up to $1 - \\beta^T$: the rest of the mean is "
        "the zero it began with. Begun at $\\theta_0$, that rest, $\\beta^T$, belongs to the zero-shot weights.",
        test=examine_moving_averages,
        wrong=(
            (not_debiased, "leans to zero"),
            (decay_for_the_new, "share of the old average"),
            (with_theta_0, "theta_0 has no part"),
            (one_step_too_many, "number of steps"),
        ),
    ),
    "07.3": Exercise(
        title="which point of the curve?",
        minutes=10,
        difficulty=3,
        task="A method has accuracy `x` on the reference and `y` under shift; a curve has `xs` and `ys`, a point an alpha. "
        "Comparing with one point of the curve, alpha 0.5 say, means little: reference accuracy may differ. Compare at "
        "*equal reference accuracy*: of the curve's points that have at least `x` on the reference take the one that is best "
        "under shift. Write `above_the_curve(xs, ys, x, y)`: how far the method lies above it, negative below. The curve may "
        "turn back, so `xs` need not be sorted; one of its points has at least `x`.",
        hints=(
            "Who gives up no more reference accuracy than the method does may choose among which alphas?",
            "A mask: `xs >= x`.",
        ),
        reference=above_the_curve,
        why="A method that lands below this point was not needed: an alpha has both accuracies at no cost. The package's "
        "`best_at_equal_reference` also takes what lies between two neighbouring alphas.",
        test=examine_above_the_curve,
        wrong=(
            (highest_point, "highest point"),
            (nearest_point, "nearest point"),
            (turned, "sign is turned"),
            (first_that_reaches, "expected"),
        ),
    ),
}
