"""Exercises of notebook 10_go_beyond: a pull towards zero-shot, an angle that decides, and low-rank steps merged.

Explained in notebook 10_go_beyond.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from wiseft_nb.course.exercises.exercise import Exercise


def pulled_loss(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, lam: float) -> torch.Tensor:
    """Cross-entropy + lam * KL(p_0 || p), the mean over images; p_0 of the teacher's logits."""
    log_p_0, log_p = teacher.log_softmax(dim=1), logits.log_softmax(dim=1)
    divergence = (log_p_0.exp() * (log_p_0 - log_p)).sum(dim=1).mean()
    return F.cross_entropy(logits, labels) + lam * divergence


def examine_pulled_loss(answer: Callable) -> None:
    rng = torch.Generator().manual_seed(0)
    logits, teacher = 2 * torch.randn(2, 6, 4, generator=rng)
    labels = torch.randint(4, (6,), generator=rng)

    def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
        return torch.allclose(torch.as_tensor(found, dtype=torch.float32), wanted, atol=1e-4)

    plain = F.cross_entropy(logits, labels)
    found = answer(logits.clone(), teacher.clone(), labels, 0.0)
    assert near(found, plain), f"with lam 0 it is cross-entropy alone, {plain:.3f}, not {float(found):.3f}"
    expected = pulled_loss(logits, teacher, labels, 1.0)
    found = answer(logits.clone(), teacher.clone(), labels, 1.0)
    backwards = pulled_loss(teacher, logits, labels, 1.0) - F.cross_entropy(teacher, labels) + plain
    assert not near(found, backwards), (
        "KL(p || p_0) is another number than KL(p_0 || p): the teacher's p weighs the sum"
    )
    pull = expected - plain
    assert not near(found, plain + pull / 4), (
        "sum over the classes, and take the mean over images alone: yours is too small by the number of classes"
    )
    assert not near(found, plain + 6 * pull), "take the mean over images, not their sum: lam should not know the batch"
    assert near(found, expected), f"with lam 1 these logits cost {expected:.3f}, not {float(found):.3f}"
    assert near(answer(teacher.clone(), teacher.clone(), labels, 5.0), F.cross_entropy(teacher, labels)), (
        "who says what the teacher says pays nothing for it, at any lam"
    )


def pulled_backwards(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, lam: float) -> torch.Tensor:
    return F.cross_entropy(logits, labels) + lam * F.kl_div(
        teacher.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True
    )


def pulled_by_mean(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, lam: float) -> torch.Tensor:
    divergence = F.kl_div(logits.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).mean()
    return F.cross_entropy(logits, labels) + lam * divergence


def pulled_by_sum(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, lam: float) -> torch.Tensor:
    divergence = F.kl_div(logits.log_softmax(1), teacher.log_softmax(1), reduction="sum", log_target=True)
    return F.cross_entropy(logits, labels) + lam * divergence


def pulled_by_logits(logits: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, lam: float) -> torch.Tensor:
    return F.cross_entropy(logits, labels) + lam * (logits - teacher).square().sum(1).mean()


def stock_share(step_1: torch.Tensor, step_2: torch.Tensor) -> float:
    """How far to go towards the mean of two runs: t = 2 cos / (1 + cos), never below 0."""
    cosine = F.cosine_similarity(step_1.flatten(), step_2.flatten(), dim=0).item()
    return max(0.0, 2 * cosine / (1 + cosine))


def examine_stock_share(answer: Callable) -> None:
    one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    sixty = torch.tensor([[0.5, 0.75**0.5], [0.0, 0.0]])
    found = answer(one, one)
    assert abs(found - 1) < 1e-5, f"two runs that made the same step agree: t is 1, not {found:.3f}"
    found = answer(one, sixty)
    assert abs(found - 0.5) > 1e-5, "at 60 degrees the cosine is 0.5, and t = 2 cos / (1 + cos) is more than that"
    assert abs(found - 2 / 3) < 1e-5, f"at 60 degrees t is 2/3, not {found:.3f}"
    found = answer(3 * one, 0.1 * sixty)
    assert abs(found - 2 / 3) < 1e-5, "an angle does not know lengths: a step three times as long has the same"
    found = answer(one, -sixty)
    assert found >= 0, "steps that point apart give a negative cosine: t would lead away from both runs; take 0"
    assert abs(found) < 1e-6, f"steps that point apart share nothing: t is 0, not {found:.3f}"


def share_by_cosine(step_1: torch.Tensor, step_2: torch.Tensor) -> float:
    return max(0.0, F.cosine_similarity(step_1.flatten(), step_2.flatten(), dim=0).item())


def share_by_dot(step_1: torch.Tensor, step_2: torch.Tensor) -> float:
    dot = (step_1 * step_2).sum().item()
    return max(0.0, 2 * dot / (1 + dot))


def share_unclamped(step_1: torch.Tensor, step_2: torch.Tensor) -> float:
    cosine = F.cosine_similarity(step_1.flatten(), step_2.flatten(), dim=0).item()
    return 2 * cosine / (1 + cosine)


def average_steps(w_0: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]], alpha: float) -> torch.Tensor:
    """The weights at alpha on the way from w_0 to the mean of several low-rank runs, each a pair (B, A)."""
    return w_0 + alpha * torch.stack([b @ a for b, a in steps]).mean(dim=0)


def examine_average_steps(answer: Callable) -> None:
    rng = torch.Generator().manual_seed(0)
    w_0 = torch.randn(3, 4, generator=rng)
    steps = [(torch.randn(3, 2, generator=rng), torch.randn(2, 4, generator=rng)) for _ in range(2)]
    kept, again = w_0.clone(), w_0.clone()

    def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
        return found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-5)

    one = answer(w_0.clone(), steps[:1], 1.0)
    assert one.shape == w_0.shape, (
        f"weights of the shape of w_0 are expected, {tuple(w_0.shape)}, not {tuple(one.shape)}"
    )
    assert near(one, kept + steps[0][0] @ steps[0][1]), "at alpha 1 one run gives w_0 + B A"
    half = answer(w_0.clone(), steps[:1], 0.5)
    assert not near(half, kept + 0.25 * steps[0][0] @ steps[0][1]), (
        "half of B times half of A is a quarter of the step: multiply first, then scale"
    )
    assert near(half, kept + 0.5 * steps[0][0] @ steps[0][1]), "at alpha 0.5 half of the step is taken"
    both, (b, a) = (
        answer(w_0.clone(), steps, 1.0),
        [torch.stack(factors).mean(0) for factors in zip(*steps, strict=True)],
    )
    assert not near(both, kept + b @ a), (
        "the mean of the B times the mean of the A holds cross terms, B of one run with A of the other: multiply first"
    )
    assert not near(both, kept + sum(b @ a for b, a in steps)), "the mean of the steps is expected, not their sum"
    assert near(both, average_steps(kept, steps, 1.0)), "w_0 plus the mean of the products is expected"
    answer(again, steps, 0.3)
    assert torch.equal(again, kept), "w_0 was changed in place: whoever asks for the next alpha starts from there"


def averaged_factors(w_0: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]], alpha: float) -> torch.Tensor:
    b, a = (torch.stack(factors).mean(0) for factors in zip(*steps, strict=True))
    return w_0 + alpha * b @ a


def scaled_both(w_0: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]], alpha: float) -> torch.Tensor:
    return w_0 + torch.stack([(alpha * b) @ (alpha * a) for b, a in steps]).mean(0)


def summed_steps(w_0: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]], alpha: float) -> torch.Tensor:
    return w_0 + alpha * sum(b @ a for b, a in steps)


def in_place(w_0: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]], alpha: float) -> torch.Tensor:
    made = w_0.clone() + alpha * torch.stack([b @ a for b, a in steps]).mean(0)
    w_0 += 1
    return made


EXERCISES = {
    "10.1": Exercise(
        title="a pull towards zero-shot",
        minutes=10,
        difficulty=2,
        task="Write the loss of distillation, `pulled_loss(logits, teacher, labels, lam)`: the cross-entropy of `logits` "
        "`(n, classes)` and `labels`, plus `lam` times $\\mathrm{KL}(p_0 \\,\\|\\, p) = \\sum_c p_0(c) \\log \\frac{p_0(c)}{p(c)}$, "
        "the mean over images. $p_0$ is the softmax of `teacher`, what zero-shot says of the same images, and $p$ that of "
        "`logits`.",
        hints=(
            "`log_softmax(dim=1)` of both gives the two logarithms; the teacher's, exponentiated, is the weight.",
            "Sum over the classes, mean over the images: `(p_0 * (log_p_0 - log_p)).sum(dim=1).mean()`.",
        ),
        reference=pulled_loss,
        why='`F.kl_div(log_p, log_p_0, reduction="batchmean", log_target=True)` is the same. Its arguments stand the other '
        'way round, and `reduction="mean"`, its default, divides by the classes as well: lambda would mean something else '
        "for every number of classes.",
        test=examine_pulled_loss,
        wrong=(
            (pulled_backwards, "KL(p || p_0)"),
            (pulled_by_mean, "number of classes"),
            (pulled_by_sum, "not their sum"),
            (pulled_by_logits, "with lam 1"),
        ),
    ),
    "10.2": Exercise(
        title="an angle that decides",
        minutes=8,
        difficulty=2,
        task="Two runs of one recipe took the steps `step_1` and `step_2` away from zero-shot (tensors of one shape). Model "
        "Stock goes from zero-shot towards the mean of the two as far as $t = \\frac{2 \\cos}{1 + \\cos}$, with the cosine of "
        "the angle between the steps. Write `stock_share(step_1, step_2)`: $t$ as a number, and 0 where the cosine is "
        "negative.",
        hints=(
            "An angle is one of two vectors: flatten the tensors first.",
            "`F.cosine_similarity(u, v, dim=0)` of two vectors is a tensor with one number; `.item()` takes it out.",
        ),
        reference=stock_share,
        why="What two runs have in common is signal, what differs is luck of the seed. At 90 degrees nothing is shared and $t$ "
        "is 0; the more alike they are, the further one may go. No image is needed for it, but a second training is.",
        test=examine_stock_share,
        wrong=((share_by_cosine, "60 degrees"), (share_by_dot, "lengths"), (share_unclamped, "point apart")),
    ),
    "10.3": Exercise(
        title="merge first, then average",
        minutes=8,
        difficulty=2,
        task="LoRA trains a low-rank step $B A$ beside weights `w_0` that stay. `steps` holds the pairs `(B, A)` of several "
        "runs. Write `average_steps(w_0, steps, alpha)`: the weights at `alpha` on the way from `w_0` to the mean of the "
        "runs. `w_0` is not changed.",
        hints=(
            "Each run's weights are `w_0 + B @ A`. Their mean is `w_0` plus the mean of the products.",
            "`torch.stack([...]).mean(dim=0)` is the mean of tensors of one shape.",
        ),
        reference=average_steps,
        why="The factors are no weights: $B A = (2B)(A/2)$, so their means depend on how a run happened to divide its step "
        "between them. Averaging $A$ and $B$ one by one is the mistake behind most complaints about merged adapters; scaling "
        "both by alpha gives alpha squared.",
        test=examine_average_steps,
        wrong=(
            (averaged_factors, "cross terms"),
            (scaled_both, "a quarter"),
            (summed_steps, "not their sum"),
            (in_place, "changed in place"),
        ),
    ),
}
