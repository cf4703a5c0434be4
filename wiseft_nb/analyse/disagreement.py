"""Who wins where the two ends disagree, by how much each was sure, and what became of each image.

Explained in notebook 06_see_why_it_works.
"""

import pandas as pd
from torch import Tensor

from wiseft_nb.analyse.diversity import check_same_images
from wiseft_nb.evaluate import Predictions


def overrides(zero_shot: Predictions, mixed: Predictions, fine_tuned: Predictions) -> dict[str, float]:
    """With which end the mixed classifier sides where the two ends give different answers.

    Wortsman et al. 2022, section 5.1 and figure 5: one end *overrides* the other.

    Returns
    -------
    dict
        disagree (number of images on which the ends differ), and how many of these were answered as zero_shot, as
        fine_tuned or as neither did; then the number on which each end was right of those that it overrode:
        zero_shot_right, fine_tuned_right.

    Explained in notebook 06_see_why_it_works.
    """
    for other in (mixed, fine_tuned):
        check_same_images(zero_shot, other)
    differ = zero_shot.predicted != fine_tuned.predicted
    sides = {
        name: differ & (mixed.predicted == end.predicted)
        for name, end in (("zero_shot", zero_shot), ("fine_tuned", fine_tuned))
    }
    return {
        "disagree": int(differ.sum()),
        **{name: int(side.sum()) for name, side in sides.items()},
        "neither": int((differ & ~sides["zero_shot"] & ~sides["fine_tuned"]).sum()),
        "zero_shot_right": int((sides["zero_shot"] & zero_shot.correct).sum()),
        "fine_tuned_right": int((sides["fine_tuned"] & fine_tuned.correct).sum()),
    }


def margins(predictions: Predictions) -> Tensor:
    """How much the largest logit exceeds the second: ``(n,)``, 0 or more, in units of logits.

    The paper's measure of confidence (section 5.1): unlike probabilities it does not saturate. Only the classes
    that are asked for count.

    Explained in notebook 06_see_why_it_works.
    """
    first, second = predictions.choices.topk(2, dim=1).values.T
    return first - second


def outcomes(zero_shot: Predictions, mixed: Predictions, fine_tuned: Predictions) -> pd.Series:
    """What became of each image on the way from zero-shot over a mixed classifier to the fine-tuned one.

    Returns
    -------
    pandas.Series
        Of each image: *kept right* and *never right* at both ends alike; *forgotten* (zero-shot right, fine-tuned
        wrong) or, where the mixed one is right, *restored*; *learned* (the reverse) or, where the mixed one is
        wrong, *unlearned*. An image of the first two kinds on which the mixed one differs from both ends is *newly
        wrong* or *newly right*.

    Explained in notebook 06_see_why_it_works.
    """
    for other in (mixed, fine_tuned):
        check_same_images(zero_shot, other)
    names = {
        (True, True, True): "kept right",
        (True, False, True): "newly wrong",
        (False, False, False): "never right",
        (False, True, False): "newly right",
        (True, False, False): "forgotten",
        (True, True, False): "restored",
        (False, True, True): "learned",
        (False, False, True): "unlearned",
    }
    right = zip(*(found.correct.tolist() for found in (zero_shot, mixed, fine_tuned)), strict=True)
    return pd.Series([names[image] for image in right], dtype=str)
