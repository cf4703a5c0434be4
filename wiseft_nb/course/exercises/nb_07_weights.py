"""Further exercises of notebook 07_compare_ensembles: averages of the weights along a run, and coins for weights."""

import torch

from wiseft_nb.course.exercises.exercise import Answer, Exercise


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


def coin_weights(theta_0: dict, theta_1: dict, alpha: float, generator: torch.Generator) -> dict:
    """New state dict: every single weight from theta_1 with probability alpha, else from theta_0."""
    mixed = {}
    for name, tensor in theta_0.items():
        coins = torch.rand(tensor.shape, generator=generator) < alpha
        mixed[name] = torch.where(coins, theta_1[name], tensor)
    return mixed


def examine_coin_weights(answer: Answer) -> None:
    theta_0 = {"a": torch.zeros(100, 40), "b": torch.zeros(3000)}
    theta_1 = {"a": torch.ones(100, 40), "b": torch.ones(3000)}
    given = answer(theta_0, theta_1, 0.3, torch.Generator().manual_seed(1))
    assert set(given) == {"a", "b"}, f"the names should be those of theta_0, not {set(given)}"
    values = torch.cat([tensor.flatten() for tensor in given.values()]).unique()
    assert set(values.tolist()) <= {0.0, 1.0}, "some weights lie between the ends: each comes from one of them, whole"
    shares = {name: tensor.mean().item() for name, tensor in given.items()}
    assert not all(abs(share - 0.7) < 0.05 for share in shares.values()), (
        "alpha is the probability of theta_1, not of theta_0"
    )
    for name, tensor in given.items():
        alike = tensor.flatten().unique().numel() == 1 or (tensor.ndim == 2 and bool((tensor == tensor[:, :1]).all()))
        assert not alike, f"whole parts of {name!r} come from one end: toss a coin for every single weight"
    assert all(abs(share - 0.3) < 0.05 for share in shares.values()), (
        f"shares of theta_1 should be about 0.3, not {shares}"
    )
    again = answer(theta_0, theta_1, 0.3, torch.Generator().manual_seed(1))
    assert all(torch.equal(given[name], again[name]) for name in given), "pass the generator on to torch.rand"


def one_coin_a_tensor(theta_0: dict, theta_1: dict, alpha: float, generator: torch.Generator) -> dict:
    return {n: theta_1[n] if torch.rand((), generator=generator) < alpha else theta_0[n] for n in theta_0}


def interpolated(theta_0: dict, theta_1: dict, alpha: float, generator: torch.Generator) -> dict:
    return {name: torch.lerp(theta_0[name], theta_1[name], alpha) for name in theta_0}


def coin_for_theta_0(theta_0: dict, theta_1: dict, alpha: float, generator: torch.Generator) -> dict:
    return coin_weights(theta_0, theta_1, 1 - alpha, generator)


def other_coins_every_time(theta_0: dict, theta_1: dict, alpha: float, generator: torch.Generator) -> dict:
    return {
        name: torch.where(torch.rand(theta_0[name].shape) < alpha, theta_1[name], theta_0[name]) for name in theta_0
    }


EXERCISES = {
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
    "07.4": Exercise(
        title="a coin for every weight",
        minutes=10,
        difficulty=2,
        task="Interpolation gives every weight a value between those of the two ends. Take one of the two instead, by a coin: "
        "`coin_weights(theta_0, theta_1, alpha, generator)` takes each single weight from `theta_1` with probability alpha, "
        "else from `theta_0`. All tensors are floating-point; draw with the generator, so that the result can be had again.",
        hints=(
            "A tensor of coins has the shape of the weights.",
            "`torch.rand(tensor.shape, generator=generator) < alpha`, then `torch.where`.",
        ),
        reference=coin_weights,
        why="In expectation this is the interpolation. What it adds is noise: each weight is off by $-\\alpha$ or $1 - \\alpha$ "
        "times its own step. The package's `random_interpolation` carries integers over and checks its input.",
        test=examine_coin_weights,
        wrong=(
            (one_coin_a_tensor, "every single weight"),
            (interpolated, "between the ends"),
            (coin_for_theta_0, "probability of theta_1"),
            (other_coins_every_time, "pass the generator on"),
        ),
    ),
}
