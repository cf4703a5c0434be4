"""Can two classifiers be averaged? Asked of the path between them, on labelled validation data.

Explained in notebook 08_break_it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from torch.utils.data import Dataset

from wiseft_nb.analyse.chord import chord_dip
from wiseft_nb.analyse.landscape import moved
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.asked import asked_of
from wiseft_nb.engine.compute import EXACT, Compute
from wiseft_nb.errors import WiseftError
from wiseft_nb.interpolate import check_pair
from wiseft_nb.metrics import accuracy
from wiseft_nb.models.classifier import ImageClassifier, check_classifier
from wiseft_nb.sweep import sweep

GATE = 0.01  # a dip that matters
NEVER_SEEN = 3  # what n images never showed happens to at most 3 / n of all, with 95 % confidence


@dataclass(frozen=True)
class Compatible:
    """What ``can_be_averaged`` found.

    Attributes
    ----------
    gap : float
        Accuracy minus the chord's at the point of the path that is lowest against its chord; a fraction, below 0
        where the path sags.
    alpha : float
        Where that is.
    standard_error : float
        Of the gap, from the same images for both ends and the point.
    distance : float
        Length of the step from the first weights to the second, by the length of the first.
    ends : tuple of float
        Accuracies of the two.
    n : int
        Images.
    gate : float
        The dip that is taken to matter.

    Explained in notebook 08_break_it.
    """

    gap: float
    alpha: float
    standard_error: float
    distance: float
    ends: tuple[float, float]
    n: int
    gate: float = GATE

    @property
    def dip(self) -> float:
        """How far the path sags below its chord; 0 where it does not."""
        return max(0.0, -self.gap)

    @property
    def margin(self) -> float:
        """How far the gap may be off: two standard errors, but no less than 3 / n.

        Where the three models agree on every image the standard error is 0, which says little of few images.
        """
        return max(2 * self.standard_error, NEVER_SEEN / self.n)

    @property
    def answer(self) -> bool | None:
        """True: they can be averaged. False: they lie apart. None: too few images to tell."""
        if self.dip > self.gate and self.dip > self.margin:
            return False
        return True if self.gap - self.margin > -self.gate else None

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        dip = f"dip of {100 * self.gate:g} point{'' if self.gate == GATE else 's'}"
        measured = f"the path lies {100 * self.gap:+.1f} ± {100 * self.margin:.1f} points from its chord at its lowest"
        said = {
            True: f"These two can be averaged: {measured}, so no {dip}",
            False: f"These two lie apart: {measured}",
            None: f"Too few images to tell: {measured}, and a {dip} is neither seen nor excluded",
        }
        return f"{said[self.answer]} (alpha {self.alpha:g}, n={self.n:,}, distance {self.distance:.2f})."


def can_be_averaged(
    first: ImageClassifier,
    second: ImageClassifier,
    validation: Dataset,
    alphas: Iterable[float] = (0.25, 0.5, 0.75),
    *,
    gate: float = GATE,
    compute: Compute = EXACT,
) -> Compatible:
    """Can the weights of these two classifiers be averaged?

    Asks whether the path between them sags below its chord (Wortsman et al. 2022, equation 2), as it does where
    the ends share no beginning or lie too far apart. Above the chord is not above the better end: that the two can be
    averaged does not say that averaging them gains, and a path that is level here may sink under shift: in notebook 08 one
    does whose step is as long as the first weights (``distance`` 1).

    Parameters
    ----------
    first, second : ImageClassifier
        Such as zero-shot and fine-tuned, or two fine-tuned ones; not changed.
    validation : Dataset
        Map-style, yields ``(input, label)``, of the reference distribution; no test data. 500 images or more: fewer
        than 300 cannot exclude a dip of one point.
    alphas : iterable of float
        Points of the path, between 0 (the first) and 1 (the second).
    gate : float
        The dip that matters, a fraction. Of 35 published sweeps on ImageNet three dip by 4 points and more, the others by
        0.1 at most.
    compute : Compute

    Returns
    -------
    Compatible
        With dip, standard error, distance, and ``verdict``, a sentence.

    Raises
    ------
    WiseftError
        If the two are not of one architecture and class list, no alpha lies between 0 and 1, the gate is not a fraction
        above 0, or the dataset is not judged by accuracy.

    Explained in notebook 08_break_it.
    """
    check_classifier(first, second)
    check_pair(first, second)
    if not 0 < gate < 1:
        raise WiseftError(f"gate is {gate!r}: expected a fraction above 0, such as 0.01 for one point")
    if asked_of(validation).metric is not accuracy:
        raise WiseftError(
            "the validation data are judged by a metric of their own, which has no chord: give plain labels"
        )
    asking = Benchmark("asked", first.class_names, (), validation, validation, validation, {})
    points = [0.0, *(alpha for alpha in alphas if alpha not in (0, 1)), 1.0]
    table = sweep(first, second, asking, points, {"val": validation}, progress=False, chord=True, compute=compute)
    lowest, accuracies = chord_dip(table).iloc[0], table.set_index("alpha").accuracy
    return Compatible(
        gap=float(lowest.gap),
        alpha=float(lowest.alpha),
        standard_error=float(lowest.standard_error),
        distance=float(moved(first, second, depth=0).relative.iloc[0]),
        ends=(float(accuracies[0.0]), float(accuracies[1.0])),
        n=int(table.n.iloc[0]),
        gate=gate,
    )
