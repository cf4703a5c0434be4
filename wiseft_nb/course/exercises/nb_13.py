"""Exercises of notebook 13: a head from phrases, and LoRA's scale."""

import torch
import torch.nn.functional as F

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def head_of(embeddings: torch.Tensor, scale: float = 20.0) -> torch.Tensor:
    """A row a class, ``(classes, dim)``, of length scale, from embeddings of its phrases, ``(classes, phrases, dim)``."""
    means = F.normalize(embeddings, dim=-1).mean(dim=1)
    return scale * F.normalize(means, dim=-1)


def examine_head_of(answer: Answer) -> None:
    lengths = torch.tensor([1.0, 5.0, 0.2])[:, None]
    embeddings = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)) * lengths
    given, expected = answer(embeddings.clone()), head_of(embeddings)
    assert given.shape == expected.shape, f"a row a class is expected, (2, 8), not {tuple(given.shape)}"
    assert torch.allclose(given.norm(dim=-1), torch.full((2,), 20.0), atol=1e-3), (
        f"each row should have length 20, not {given.norm(dim=-1).tolist()}: normalise the mean once more, then scale it"
    )
    assert torch.allclose(given, expected, atol=1e-4), (
        "a phrase with a long embedding counts more than the others: normalise the phrases before the mean"
    )
    assert torch.allclose(answer(embeddings, 2.0), expected / 10, atol=1e-4), "use the scale that is given"


def long_phrases_first(embeddings: torch.Tensor, scale: float = 20.0) -> torch.Tensor:
    return scale * F.normalize(embeddings.mean(dim=1), dim=-1)


def mean_left_short(embeddings: torch.Tensor, scale: float = 20.0) -> torch.Tensor:
    return scale * F.normalize(embeddings, dim=-1).mean(dim=1)


def mean_over_classes(embeddings: torch.Tensor, scale: float = 20.0) -> torch.Tensor:
    return scale * F.normalize(F.normalize(embeddings, dim=-1).mean(dim=0), dim=-1)


def scaled_step(w: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """The layer's weight at alpha, ``(out, in)``, from w ``(out, in)``, a ``(r, in)`` and b ``(out, r)``."""
    return w + alpha * (b @ a)


def examine_scaled_step(answer: Answer) -> None:
    draw = torch.Generator().manual_seed(0)
    w, a, b = (torch.randn(*shape, generator=draw) for shape in ((4, 4), (2, 4), (4, 2)))
    kept = w.clone()
    for alpha in (0.0, 1.0, 0.25):
        given, expected = answer(w, a, b, alpha), (1 - alpha) * kept + alpha * (kept + b @ a)
        assert torch.equal(w, kept), "w was changed: make a new tensor"
        assert torch.allclose(given, expected, atol=1e-5), (
            f"at alpha {alpha:g} this is not the interpolation of the layer without and with its step: the step b a counts "
            "alpha times, and w once"
        )


def both_factors_scaled(w: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    return w + (alpha * b) @ (alpha * a)


def base_scaled_too(w: torch.Tensor, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    return (1 - alpha) * w + alpha * (b @ a)


EXERCISES = {
    "13.1": Exercise(
        title="a head from phrases",
        minutes=8,
        difficulty=2,
        task="`embeddings` are those of each class's phrases, `(classes, phrases, dim)`. Write `head_of(embeddings, scale=20.0)`: "
        "every phrase as a unit vector, their mean as a unit vector, times `scale`.",
        hints=("`F.normalize(x, dim=-1)` makes unit vectors.", "The phrases are dimension 1; normalise twice."),
        reference=head_of,
        why="It is notebook 01's ensemble of prompts: without the first step a phrase would count by its length, without the "
        "second a class whose phrases differ would have smaller logits than the other.",
        test=examine_head_of,
        wrong=(
            (long_phrases_first, "before the mean"),
            (mean_left_short, "once more"),
            (mean_over_classes, "row a class"),
        ),
    ),
    "13.2": Exercise(
        title="LoRA's scale is alpha",
        minutes=6,
        difficulty=2,
        task="A layer's weight is `w`, and LoRA adds the step `b @ a` to it. Write `scaled_step(w, a, b, alpha)`: the weight that "
        "WiSE-FT has at `alpha` between the layer without its step and the layer with it.",
        hints=("Write `(1 - alpha) * w + alpha * (w + b @ a)` and shorten it.", "`w` counts once, whatever alpha is."),
        reference=scaled_step,
        why="So an adapter can be dialled without merging it, by its scale. It holds where nothing but the step was trained, "
        "and for plain LoRA; the two factors must not be scaled both, or averaged apart, since their product is what counts.",
        test=examine_scaled_step,
        wrong=((both_factors_scaled, "alpha times"), (base_scaled_too, "w once")),
    ),
}
