"""The errors of this package: one clear sentence on what was wrong, what was expected, how to mend it."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


MANY, FEW = 20, 5  # names; of more than many, few are shown


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
    """The error for a name nobody knows; it lists the known ones, or of many the nearest."""
    known = sorted(known)
    if not known:
        return WiseftError(f"unknown {kind} {name!r}: there are none here{hint}")
    near = nearest(str(name), known)
    shown = known if len(known) <= MANY else near or known[:FEW]
    more = f" … ({len(known)} in all)" if len(shown) < len(known) else ""
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return WiseftError(f"unknown {kind} {name!r}{meant}: expected one of {', '.join(shown)}{more}{hint}")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Those names that are nearly this one, or have a part between slashes that is, the nearest first."""
    close = {k: max(difflib.SequenceMatcher(None, name, part).ratio() for part in (k, *k.split("/"))) for k in known}
    return sorted((k for k in close if close[k] > 0.7), key=lambda k: -close[k])[:FEW]


def reason(error: Exception) -> str:
    """The kind of an error and the first clause of what it says, to stand in brackets in a sentence."""
    said = str(error).strip().split("\n")[0].split(". ")[0].split("<")[0].strip(" .:")
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
