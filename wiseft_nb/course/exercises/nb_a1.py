"""Exercises of notebook A1: the contrastive loss, and whether a caption is found among the closest."""

import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Answer, Exercise


def contrastive_loss(image_vectors: torch.Tensor, text_vectors: torch.Tensor, scale: float) -> torch.Tensor:
    """Mean of the two cross-entropies over scaled cosines, a scalar, from two ``(n, dim)`` in which rows belong together."""
    logits = scale * F.normalize(image_vectors, dim=-1) @ F.normalize(text_vectors, dim=-1).T
    own = torch.arange(len(logits))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def examine_contrastive_loss(answer: Answer) -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = torch.randn(6, 8, generator=generator), torch.randn(6, 8, generator=generator)
    images = images * torch.tensor([1.0, 5, 0.2, 2, 1, 3])[:, None]
    kept = images.clone(), texts.clone()
    given, expected = answer(images, texts, 7.0), contrastive_loss(*kept, 7.0)
    assert torch.equal(images, kept[0]) and torch.equal(texts, kept[1]), "the vectors were changed: make new tensors"
    assert isinstance(given, Tensor) and given.ndim == 0, "one number is expected, a tensor without dimensions"
    x, y = (F.normalize(vectors, dim=-1) for vectors in kept)
    own = torch.arange(6)
    assert not torch.allclose(given, F.cross_entropy(7.0 * x @ y.T, own)), (
        "only images ask here: the columns ask the same of the captions, take the mean of both"
    )
    assert not torch.allclose(given, 2 * expected), "take the mean of the two cross-entropies, not their sum"
    raw = 7.0 * kept[0] @ kept[1].T
    assert not torch.allclose(given, (F.cross_entropy(raw, own) + F.cross_entropy(raw.T, own)) / 2), (
        "normalise the vectors: a product of long vectors is no cosine"
    )
    assert torch.allclose(given, expected, atol=1e-5), f"the loss should be {expected:.4f}, not {given:.4f}"


def one_direction(image_vectors: Tensor, text_vectors: Tensor, scale: float) -> Tensor:
    logits = scale * F.normalize(image_vectors, dim=-1) @ F.normalize(text_vectors, dim=-1).T
    return F.cross_entropy(logits, torch.arange(len(logits)))


def a_sum(image_vectors: Tensor, text_vectors: Tensor, scale: float) -> Tensor:
    return 2 * contrastive_loss(image_vectors, text_vectors, scale)


def not_normalised(image_vectors: Tensor, text_vectors: Tensor, scale: float) -> Tensor:
    logits, own = scale * image_vectors @ text_vectors.T, torch.arange(len(image_vectors))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def found_among(cosines: torch.Tensor, k: int) -> float:
    """Fraction of images (rows) whose own caption (the column of the same number) is among their k closest."""
    own = torch.arange(len(cosines))[:, None]
    return (cosines.topk(k, dim=1).indices == own).any(dim=1).float().mean().item()


def examine_found_among(answer: Answer) -> None:
    cosines = torch.tensor([[0.9, 0.1, 0.2, 0.0], [0.8, 0.5, 0.1, 0.0], [0.7, 0.4, 0.5, 0.0], [0.6, 0.7, 0.3, 0.1]])
    kept = cosines.clone()
    for k, expected in ((1, 0.25), (2, 0.75), (3, 0.75), (4, 1.0)):
        given = float(answer(cosines, k))
        assert torch.equal(cosines, kept), "the cosines were changed: make new tensors"
        by_columns = found_among(kept.T, k)
        assert given == expected or given != by_columns, "each image asks, and captions answer: look along the rows"
        assert given == expected or abs(given - expected / k) > 1e-6, (
            "divide by the number of images, not by k times it"
        )
        assert given == expected or given * 4 != expected * 4 * 4, "a fraction is expected, not a count"
        assert given == expected, f"with k = {k} the fraction should be {expected}, not {given}"


def along_columns(cosines: Tensor, k: int) -> float:
    return found_among(cosines.T, k)


def divided_by_k(cosines: Tensor, k: int) -> float:
    return found_among(cosines, k) / k


def only_the_closest(cosines: Tensor, k: int) -> float:
    return found_among(cosines, 1)


EXERCISES = {
    "A1.1": Exercise(
        title="the contrastive loss",
        minutes=10,
        difficulty=3,
        task="Write `contrastive_loss(image_vectors, text_vectors, scale)` as described above, in three or four lines. The "
        "vectors come with any length.",
        hints=(
            "`F.normalize(…, dim=-1)` and one matrix product give all cosines.",
            "The right answer of row i is i: `F.cross_entropy(logits, torch.arange(n))`. For the columns take `logits.T`.",
        ),
        reference=contrastive_loss,
        why="Both directions are asked because a caption that is close to every image would win all rows and yet say nothing.",
        test=examine_contrastive_loss,
        wrong=((one_direction, "only images ask"), (a_sum, "not their sum"), (not_normalised, "normalise")),
    ),
    "A1.2": Exercise(
        title="found among the k closest",
        minutes=6,
        difficulty=2,
        task="Several captions may be true of one image, so finding one's own at the first go is a hard test. Write "
        "`found_among(cosines, k)`: how often is an image's own caption among its k closest?",
        hints=(
            "`cosines.topk(k, dim=1).indices` has the k closest captions of each image.",
            "Compare them with a column of 0 to n - 1, and ask `.any(dim=1)`.",
        ),
        reference=found_among,
        why="This is recall at k, by which retrieval is judged. A model that guesses reaches k / n.",
        test=examine_found_among,
        wrong=((along_columns, "along the rows"), (divided_by_k, "number of images"), (only_the_closest, "with k = 2")),
    ),
}
