"""A further exercise of notebook 06_see_why_it_works: calibration.

Explained in notebook 06_see_why_it_works.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wiseft_nb.course.exercises.exercise import Exercise


def calibration_gap(sure: torch.Tensor, right: torch.Tensor, bins: int) -> float:
    """ECE: mean distance of accuracy and confidence over bins of equal width, weighed by their images."""
    place = (sure * bins).long().clamp(max=bins - 1)
    error = 0.0
    for b in place.unique():
        inside = place == b
        gap = right[inside].double().mean() - sure[inside].double().mean()
        error += inside.double().mean().item() * gap.abs().item()
    return error


def examine_calibration_gap(answer: Callable) -> None:
    rng = torch.Generator().manual_seed(2)
    sure = torch.rand(400, generator=rng).sqrt()
    honest = torch.where(sure < 0.6, sure + 0.3, sure**3)  # too modest below, too sure above
    right = torch.rand(400, generator=rng) < honest
    expected = calibration_gap(sure, right, 10)
    try:
        found = float(answer(sure.clone(), right.clone(), 10))
    except IndexError:
        raise AssertionError("some index is out of range: a confidence of 1 belongs into the last bin") from None
    assert not math.isnan(found), "the result is not a number: a bin without an image has no mean, leave it out"
    overall = abs(right.double().mean().item() - sure.double().mean().item())
    assert abs(found - overall) > 1e-6, (
        "that is the distance of the two means over all images; take it in each bin first"
    )
    assert abs(found - unweighted(sure, right, 10)) > 1e-6, "bins with many images count more: weigh each by its images"
    assert abs(found - expected) < 1e-6, f"expected {expected:.4f}, got {found:.4f}"
    mixed = torch.tensor([0.15, 0.15, 0.95, 0.95])
    found = float(answer(mixed, torch.tensor([True, False, False, True]), 10))
    assert abs(found - 0.4) < 1e-6, (
        f"0.35 too modest in one bin and 0.45 too sure in the other: 0.4 is expected, not {found:.2f}; do not let them cancel"
    )
    certain = float(answer(torch.ones(2), torch.tensor([True, False]), 10))
    assert abs(certain - 0.5) < 1e-6, "images of confidence 1 were lost: they belong into the last bin"


def unweighted(sure: Tensor, right: Tensor, bins: int) -> float:
    place = (sure * bins).long().clamp(max=bins - 1)
    gaps = [(right[place == b].double().mean() - sure[place == b].double().mean()).abs() for b in place.unique()]
    return torch.stack(gaps).mean().item()


def gap_overall(sure: Tensor, right: Tensor, bins: int) -> float:
    return abs(right.double().mean().item() - sure.double().mean().item())


def gap_with_empty_bins(sure: Tensor, right: Tensor, bins: int) -> float:
    place = (sure * bins).long().clamp(max=bins - 1)
    inside = [place == b for b in range(bins + 3)]
    return sum(
        i.double().mean().item() * (right[i].double().mean() - sure[i].double().mean()).abs().item() for i in inside
    )


def gap_that_loses_the_certain(sure: Tensor, right: Tensor, bins: int) -> float:
    error = 0.0
    for b in range(bins):
        inside = (sure >= b / bins) & (sure < (b + 1) / bins)
        if inside.any():
            error += (
                inside.double().mean().item()
                * (right[inside].double().mean() - sure[inside].double().mean()).abs().item()
            )
    return error


EXERCISES: dict[str, Exercise] = {
    "06.3": Exercise(
        title="as often right as it says",
        minutes=15,
        difficulty=4,
        task=(
            "Write the expected calibration error, `calibration_gap(sure, right, bins)`. `sure` is each image's confidence "
            "(in 0 to 1), `right` a bool for each, `bins` the number of equally wide bins. In each bin that holds images take "
            "the distance between accuracy and mean confidence; return the mean of these, weighed by the images of each bin. "
            "Confidence 1 belongs into the last bin."
        ),
        hints=(
            "`(sure * bins).long()` is the bin of each image; where does 1.0 land?",
            "Loop over `place.unique()`: empty bins do not come up.",
        ),
        reference=calibration_gap,
        why=(
            "Distances are taken before the mean: too sure here and too modest there do not cancel. With few images every bin "
            "is off by luck, so ECE is above zero even for a calibrated model."
        ),
        test=examine_calibration_gap,
        wrong=(
            (gap_overall, "in each bin first"),
            (unweighted, "weigh each"),
            (gap_with_empty_bins, "without an image"),
            (gap_that_loses_the_certain, "confidence 1"),
        ),
    ),
}
