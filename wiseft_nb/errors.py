"""The errors of this package: one clear sentence on what was wrong, what was expected, how to mend it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class WiseftError(ValueError):
    """Something handed to this package, or found on disk, is not what it must be.

    Explained in notebook 00_start_here.
    """


class FineTuneDiverged(WiseftError):
    """Fine-tuning met a loss or gradient that is not finite.

    Attributes
    ----------
    step : int
        The optimisation step that was not taken.
    classifier : ImageClassifier
        The weights after the last good step.

    Explained in notebook 02_fine_tune.
    """

    def __init__(self, step: int, classifier: "nn.Module"):
        self.step, self.classifier = step, classifier
        super().__init__(
            f"fine-tuning stopped at step {step}: the loss or its gradient is not finite; the last good "
            "weights are in this error's `.classifier`; lower the learning rate or check the images"
        )


def unknown(kind: str, name: object, known: Iterable[str], hint: str = "") -> WiseftError:
    """The error for a name nobody knows; it lists the known ones."""
    return WiseftError(f"unknown {kind} {name!r}: expected one of {', '.join(sorted(known))}{hint}")


def reason(error: Exception) -> str:
    """The kind of an error and the first clause of what it says, to stand in brackets in a sentence."""
    said = str(error).strip().split("\n")[0].split(". ")[0].split("<")[0].strip(" .:")
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
