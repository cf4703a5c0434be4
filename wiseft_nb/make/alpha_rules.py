"""Every rule for alpha that notebook 09 judges, and what a rule may know. None has a number tuned on a shift.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from wiseft_nb.analyse import estimates
from wiseft_nb.analyse.calibration import at_temperature, fit_temperature
from wiseft_nb.analyse.estimates import Along, along, average_confidence
from wiseft_nb.analyse.per_image import entropy_coefficients
from wiseft_nb.choose_alpha import best, choose_alpha
from wiseft_nb.evaluate import Predictions
from wiseft_nb.make.hard_views import KINDS
from wiseft_nb.make.results import ALPHAS
from wiseft_nb.sweep import chord_errors

GEOMETRY = ("rotate", "shrink", "occlude")
# kinds that resemble a shift, and are left out in turn: the rule must not rest on having foreseen it
LOOKS = ("invert", "colour", "texture", "contrast")
ALIKE = {
    "uci": ("blur", "shrink"),
    "fonts": (),
    "posters": LOOKS,
    "scrawl": ("rotate", "shrink"),
    "clutter": ("rotate", "shrink", "occlude"),
    "photo": ("noise", *LOOKS),
    "outline": ("edges", "thin"),
    "rendition": LOOKS,
    "pose": ("rotate", "shrink", "occlude"),
    "stroke": ("thin", "edges", "blur"),
    "hard": (),
}
Rule = Callable[["Known", Along], "pd.Series | float"]


@dataclass
class Known:
    """What rules may know of an endpoint: validation images, made harder or not, and another run."""

    paths: Mapping[str, Along]
    other: Mapping[str, Along]  # the same of another seed
    stock: float  # Model Stock's t of the two
    temperatures: dict[str, dict[float, float]] = field(default_factory=dict)

    @cached_property
    def hard(self) -> dict[str, dict[float, Predictions]]:
        """Labelled images to fit temperatures on, by name."""
        kinds = {kind: self.paths[f"val, {kind}"] for kind in KINDS}
        pools = {"eleven kinds": [*KINDS], "geometry": [*GEOMETRY]}
        pools |= {f"unlike {shift}": [kind for kind in KINDS if kind not in alike] for shift, alike in ALIKE.items()}
        pools |= {f"all but {kind}": [other for other in KINDS if other != kind] for kind in KINDS}
        return {"validation": self.paths["val"], **kinds} | {
            name: pooled([kinds[kind] for kind in of]) for name, of in pools.items()
        }

    def cooled(self, path: Along, on: str) -> Along:
        """Logits at the temperatures fitted on those images; as they come if there are none."""
        if not on:
            return path
        if on not in self.temperatures:
            self.temperatures[on] = {alpha: fit_temperature(said) for alpha, said in self.hard[on].items()}
        return {alpha: at_temperature(said, self.temperatures[on][alpha]) for alpha, said in path.items()}


def pooled(paths: list[Along]) -> dict[float, Predictions]:
    """Several datasets as one."""
    return {
        alpha: Predictions(
            torch.cat([path[alpha].logits for path in paths]), torch.cat([path[alpha].labels for path in paths])
        )
        for alpha in paths[0]
    }


def part(path: Along, indices: np.ndarray) -> dict[float, Predictions]:
    """Some of the images."""
    some = torch.from_numpy(indices)
    return {alpha: Predictions(said.logits[some], said.labels[some]) for alpha, said in path.items()}


def accuracy(path: Along) -> pd.Series:
    """True accuracy along alpha."""
    return along(path, Predictions.accuracy)


def validation_table(known: Known) -> pd.DataFrame:
    """The sweep of the validation set, with the chord's standard errors."""
    path = known.paths["val"]
    right = {"val": np.stack([said.correct.numpy() for said in path.values()], axis=1)}
    errors = chord_errors(right, {}, {"val": []}, [*path])
    return accuracy(path).rename("accuracy").reset_index().assign(dataset="val", chord_error=errors)


def by_table(rule: str) -> Rule:
    """A rule that looks at validation accuracy alone."""
    return lambda known, path: choose_alpha(validation_table(known), rule).alpha


def by_estimate(estimate: Callable[[Along], pd.Series], on: str) -> Rule:
    """A rule that looks at the target, its probabilities calibrated on something."""
    return lambda known, path: estimate(known.cooled(path, on))


def on_validation(estimate: Callable[[Along, Along], pd.Series], on: str = "") -> Rule:
    """A rule that sets the target against validation images."""
    return lambda known, path: estimate(known.cooled(path, on), known.cooled(known.paths["val"], on))


def difference_of_confidences(path: Along, validation: Along) -> pd.Series:
    """Validation accuracy plus how much surer the target makes than validation does (Guillory et al. 2021)."""
    return accuracy(validation) + average_confidence(path) - average_confidence(validation)


def dawin(on: str) -> Rule:
    """The mean of DaWin's coefficients over the images."""

    def rule(known: Known, path: Along) -> float:
        cooled = known.cooled(path, on)
        return entropy_coefficients(cooled[0.0], cooled[1.0]).mean().item()

    return rule


def margin(known: Known, path: Along) -> float:
    """Average confidence, with 0.5 left for a promise of a point or more."""
    return best(average_confidence(known.cooled(path, "rotate")), 0.01)


def gated(known: Known, path: Along) -> float:
    """Average confidence unless the gate says that the path is broken."""
    gate = choose_alpha(validation_table(known), "gate").alpha
    return gate if gate == 0 else best(average_confidence(known.cooled(path, "rotate")))


CALIBRATIONS = {"": "", ", validation": "validation", ", rotated": "rotate", ", eleven kinds": "eleven kinds"}
STATISTICS = {
    "confidence": average_confidence,
    "entropy": estimates.negative_entropy,
    "mutual information": estimates.mutual_information,
}
TARGET_RULES: dict[str, Rule] = {
    **{f"{name}{how}": by_estimate(of, on) for name, of in STATISTICS.items() for how, on in CALIBRATIONS.items()},
    **{f"DaWin's mean{how}": dawin(on) for how, on in CALIBRATIONS.items()},
    **{f"ATC{how}": on_validation(estimates.threshold_confidence, on) for how, on in CALIBRATIONS.items()},
    **{
        f"difference of confidences{how}": on_validation(difference_of_confidences, on)
        for how, on in CALIBRATIONS.items()
    },
    "agreement on the line": on_validation(estimates.agreement_on_the_line),
    "confidence, rotated, margin": margin,
    "gate, then confidence, rotated": gated,
}
FIXED_RULES: dict[str, Rule] = {
    **{f"alpha {alpha:g}": lambda known, path, alpha=alpha: alpha for alpha in (0.0, 0.3, 0.4, 0.5, 1.0)},
    "gate": by_table("gate"),
    "reference": by_table("reference"),
    "most of the gain": by_table("most of the gain"),
    "best on rotated validation": lambda known, path: accuracy(known.hard["rotate"]),
    "best on eleven kinds": lambda known, path: accuracy(known.hard["eleven kinds"]),
    "Model Stock": lambda known, path: known.stock,
}
SHORT = (  # judged under every condition
    "confidence",
    "confidence, validation",
    "confidence, rotated",
    "confidence, eleven kinds",
    "mutual information, rotated",
    "entropy, rotated",
    "ATC",
    "DaWin's mean, rotated",
)


def second_opinion(known: Known, path: Along, other: Along) -> pd.Series:
    """Mean probability that another run gives to what this one predicts."""
    cooled = known.cooled(other, "validation")
    return pd.Series(
        {
            alpha: estimates.probabilities(cooled[alpha])[torch.arange(said.n), said.predicted].mean().item()
            for alpha, said in path.items()
        }
    )


def nearest(alpha: "pd.Series | float") -> float:
    """The alpha that an estimate chooses, or that a number is nearest to."""
    return best(alpha) if isinstance(alpha, pd.Series) else min(ALPHAS, key=lambda known: abs(known - alpha))
