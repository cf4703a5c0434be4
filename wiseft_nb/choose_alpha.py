"""Which alpha? By what one knows: nothing, validation data, unlabelled images, or a few labels.

Explained in notebook 09_choose_alpha.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from wiseft_nb.analyse.chord import chord_dip
from wiseft_nb.analyse.compatible import GATE
from wiseft_nb.analyse.estimates import Along, average_confidence, calibrated, check_alphas, likelihood
from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.evaluate import Predictions
from wiseft_nb.metrics import accuracy
from wiseft_nb.robustness.tidy import check_columns

FEWEST = 20  # images of the target
HARD_ENOUGH = 0.05  # of the images to calibrate on, as many must be wrong


@dataclass(frozen=True, eq=False)
class Choice:
    """An alpha, and why.

    Attributes
    ----------
    alpha : float
    rule : str
    estimate : pandas.Series or None
        Over alpha, what the rule took for accuracy: its largest value was chosen. None where it looked at nothing.
    not_known : str
        What the rule cannot see.

    Explained in notebook 09_choose_alpha.
    """

    alpha: float
    rule: str
    estimate: pd.Series | None
    not_known: str


def choose_alpha(
    evidence: pd.DataFrame | Along | None = None,
    rule: str = "half",
    *,
    calibration: Along | None = None,
    margin: float = 0.0,
) -> Choice:
    """Choose alpha by a rule.

    ==================  ==============================================  ===============================================
    rule                evidence                                        chooses
    ==================  ==============================================  ===============================================
    half                none                                            0.5, as the paper advises (section 3)
    gate                sweep of validation data, with ``chord=True``   0 if the path sags below its chord by more than
                                                                        a point and two standard errors, else 0.5
    reference           sweep of validation data                        the best there: for the reference, not for shifts
    most of the gain    sweep of validation data                        the smallest alpha with 80 % of what can be
                                                                        gained there
    confidence          unlabelled target images along alpha, and       the highest average confidence, each alpha's
                        ``calibration``: labelled validation images     temperature fitted on the hard images
                        made harder (``rotated``) along alpha
    few labels          labelled target images along alpha, and         the highest likelihood of the labels, at the
                        ``calibration`` as above                        same temperatures
    ==================  ==============================================  ===============================================

    Equal values go to the alpha nearest 0.5.

    Parameters
    ----------
    evidence : pandas.DataFrame or dict
        What ``sweep`` returns for one validation set, or alpha -> Predictions on the target (``predict_along``).
        But for "few labels" the target's labels are not looked at: where there are none, write 0.
    rule : str
    calibration : dict, optional
        Alpha -> Predictions, of the same alphas.
    margin : float
        Leave 0.5 only if the estimate promises so much more than it does at 0.5 (a fraction of the images, for the
        rule "confidence").

    Returns
    -------
    Choice

    Raises
    ------
    WiseftError
        If the rule does not apply to what it is given.

    Examples
    --------
    >>> choose_alpha().alpha
    0.5

    Explained in notebook 09_choose_alpha.
    """
    if rule not in RULES:
        raise unknown("rule for alpha", rule, RULES)
    choose, not_known = RULES[rule]
    if not 0 <= margin < 1:
        raise WiseftError(f"margin is {margin!r}: expected a fraction from 0 to below 1, such as 0.01 for a point")
    if margin and rule != "confidence":
        raise WiseftError(f"margin is for the rule 'confidence', whose estimate is an accuracy; {rule!r} has none")
    if calibration is not None and choose not in (by_confidence, by_likelihood):
        raise WiseftError(f"rule {rule!r} calibrates nothing: leave calibration out")
    estimate = choose(evidence, calibration)
    alpha = 0.5 if estimate is None else best(estimate, margin)
    return Choice(alpha, rule, estimate, not_known)


def best(estimate: pd.Series, margin: float = 0.0) -> float:
    """The alpha of the highest estimate, of equal ones the nearest to 0.5; 0.5 itself within the margin."""
    if margin:
        if 0.5 not in estimate.index:
            raise WiseftError(f"a margin is measured from alpha 0.5, and the alphas are {[*estimate.index]}: add 0.5")
        if estimate.max() < estimate[0.5] + margin:
            return 0.5
    equal = estimate.index[estimate >= estimate.max() - 1e-12]
    return float(min(equal, key=lambda alpha: abs(alpha - 0.5)))


def by_nothing(evidence: object, calibration: None) -> None:
    """0.5, whatever is given."""
    if evidence is not None:
        raise WiseftError("rule 'half' looks at nothing: leave the evidence out, or name another rule")


def by_gate(evidence: pd.DataFrame, calibration: None) -> pd.Series:
    """1 for alpha 0 where the path is broken, else for 0.5."""
    dip = chord_dip(validation_sweep(evidence)).iloc[0]
    broken = dip.chord_dip > GATE and not dip.chord_dip <= 2 * dip.standard_error
    return pd.Series({0.0: float(broken), 0.5: float(not broken)}).rename_axis("alpha")


def by_reference(evidence: pd.DataFrame, calibration: None) -> pd.Series:
    """Validation accuracy."""
    return validation_sweep(evidence).set_index("alpha").accuracy


def by_gain(evidence: pd.DataFrame, calibration: None) -> pd.Series:
    """Minus alpha, where 80 % of the gain from zero-shot to the best alpha is reached."""
    found = by_reference(evidence, None)
    if 0 not in found.index:
        raise WiseftError(f"the gain is measured from alpha 0, and the alphas are {[*found.index]}: add it")
    enough = found >= found[0] + 0.8 * (found.max() - found[0])
    return pd.Series(-found.index[enough].to_numpy(), found.index[enough])


def by_confidence(evidence: Along, calibration: Along | None) -> pd.Series:
    """Average confidence at temperatures from hard images."""
    return average_confidence(calibrated(target(evidence), hard(evidence, calibration)))


def by_likelihood(evidence: Along, calibration: Along | None) -> pd.Series:
    """Log-likelihood of the labels at temperatures from hard images."""
    return likelihood(calibrated(target(evidence), hard(evidence, calibration)))


def validation_sweep(evidence: object) -> pd.DataFrame:
    """A sweep of one dataset, or a sentence."""
    if not isinstance(evidence, pd.DataFrame):
        raise WiseftError(
            f"this rule needs the sweep of a validation set, not {type(evidence).__name__}: "
            "sweep(zero_shot, fine_tuned, benchmark, alphas, {'val': benchmark.val}, chord=True)"
        )
    check_columns(evidence, ["dataset", "alpha", "accuracy"], "give what sweep returns")
    names = [*evidence.dataset.unique()]
    if len(names) != 1 or evidence.alpha.duplicated().any():
        raise WiseftError(
            f"the sweep is of {names}, or of several runs: give the rows of one validation set and one run"
        )
    return evidence


def target(evidence: object) -> Along:
    """Predictions along alpha on enough images of the target, or a sentence."""
    if not isinstance(evidence, Mapping) or not all(isinstance(said, Predictions) for said in evidence.values()):
        raise WiseftError(
            f"this rule needs predictions along alpha on images of the target, not {type(evidence).__name__}: "
            "predict_along(zero_shot, fine_tuned, images, alphas)"
        )
    if len(evidence) < 2:
        raise WiseftError(f"there is nothing to choose among {len(evidence)} alphas: predict along two or more")
    some = next(iter(evidence.values()))
    if some.n < FEWEST:
        raise WiseftError(f"{some.n} images are too few to tell alphas apart: give {FEWEST}, better 200")
    if some.metric is not accuracy:
        raise WiseftError("the target is judged by a metric that is no accuracy, and confidence estimates nothing else")
    return evidence


def hard(evidence: Along, calibration: Along | None) -> Along:
    """Labelled images that are hard enough to show overconfidence, or a sentence."""
    if calibration is None:
        raise WiseftError(
            "this rule needs calibration: labelled validation images made harder, along the same alphas, such as "
            "predict_along(zero_shot, fine_tuned, rotated(benchmark.val), alphas)"
        )
    check_alphas(evidence, calibration, "calibration")
    last = calibration[max(calibration)]
    if last.accuracy() > 1 - HARD_ENOUGH:
        raise WiseftError(
            f"of the images to calibrate on {last.accuracy():.1%} are right at alpha {max(calibration):g}: too easy to show "
            f"how sure the classifier is where it is wrong; make them harder, until {HARD_ENOUGH:.0%} or more are wrong"
        )
    return calibration


RULES: dict[str, tuple[Callable, str]] = {
    "half": (by_nothing, "anything: whether the path is broken, and how far the target is from the reference"),
    "gate": (by_gate, "the target; and a dip that the validation images are too few to show"),
    "reference": (by_reference, "the target: on shifts it chose too large an alpha wherever it was tried"),
    "most of the gain": (by_gain, "the target"),
    "confidence": (
        by_confidence,
        "whether the images belong together (all get one alpha) and show the classes at all (junk passes for a shift)",
    ),
    "few labels": (by_likelihood, "what the few images do not show"),
}
