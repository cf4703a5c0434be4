"""Average precision along alpha with its interval, and what an alpha gains: the bootstrap over scenes.

COCO's matching of boxes does not depend on which scenes were drawn. So it is done once, by pycocotools, and each draw
only counts anew how often every scene was drawn.

Explained in notebook 14_try_detection.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from wiseft_nb.benchmarks.digits.scene_sets import REFERENCE
from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.detect.average_precision import METRICS, Matches, judge
from wiseft_nb.detect.detector import Detections
from wiseft_nb.errors import WiseftError
from wiseft_nb.intervals import MEAN

DRAWS = 1000
Found = Mapping[tuple[float, str], Detections]  # (alpha, dataset) -> detections
Drawn = dict[tuple[float, str], np.ndarray]  # -> (1 + draws, metrics): all scenes as they are, then the draws


def draw_scenes(found: Found, sets: Mapping[str, Scenes], draws: int = DRAWS, seed: int = 0) -> Drawn:
    """AP50 and mAP on all scenes, and on scenes drawn with replacement, for each alpha and set.

    Of a set the same scenes are drawn for every alpha, so differences between two are paired; sets are drawn apart.

    Parameters
    ----------
    found : dict
        As ``detect_along`` gives it.
    sets : dict
        Name -> scenes.
    draws, seed : int

    Returns
    -------
    dict
        ``(alpha, name)`` to ``(1 + draws, 2)``: the first row is pycocotools' own figure on all scenes. The name of
        the mean over all sets but the reference is ``MEAN``.

    Explained in notebook 14_try_detection.
    """
    times = {}
    for k, (name, scenes) in enumerate(sets.items()):
        rng = np.random.default_rng([seed, k])
        times[name] = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), draws).astype(np.float32)
    drawn: Drawn = {}
    for (alpha, name), detections in found.items():
        judged = judge(detections, sets[name])
        whole = np.array([[judged.figures[metric] for metric in METRICS]])
        drawn[alpha, name] = np.concatenate([whole, precision_over(judged.matches, times[name])])
    shifts = [name for name in sets if name != REFERENCE]
    for alpha in dict.fromkeys(alpha for alpha, _ in found) if shifts else ():
        drawn[alpha, MEAN] = np.mean([drawn[alpha, name] for name in shifts], axis=0)
    return drawn


def precision_over(matches: Sequence[Matches], times: np.ndarray) -> np.ndarray:
    """Average precision where each scene counts several times: AP50 and mAP, ``(draws, 2)``.

    Parameters
    ----------
    matches : sequence of Matches
        A class each.
    times : array
        ``(draws, scenes)``: how often each scene was drawn. Ones give what ``average_precision`` gives.

    Explained in notebook 14_try_detection.
    """
    total, classes = [], np.zeros(len(times))
    for one in matches:
        boxes, own = times @ one.boxes, times[:, one.scene]
        claimed = np.maximum(np.cumsum(own, axis=1), 1)
        total.append([area_under(np.cumsum(own * hit, axis=1), claimed, boxes) for hit in one.hit])
        classes += boxes > 0  # a class that was not drawn counts for nothing
    per_overlap = np.sum(total, axis=0) / classes
    return np.stack([per_overlap[0], per_overlap.mean(axis=0)], axis=1)


def area_under(hits: np.ndarray, claimed: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """COCO's area under precision over recall: at each of 101 recalls the best precision there or beyond, averaged.

    Parameters
    ----------
    hits, claimed : array
        ``(draws, detections)``: boxes found, and detections made, down to each score.
    boxes : array
        ``(draws,)``: how many there were to find.

    Returns
    -------
    array
        ``(draws,)``, in [0, 1].

    Explained in notebook 14_try_detection.
    """
    if not hits.shape[1]:
        return np.zeros(len(hits))
    precision = np.maximum.accumulate((hits / claimed)[:, ::-1], axis=1)[:, ::-1]
    # how many of the recalls 0, 0.01 … 1 each detection is the first to reach
    reached = np.floor(100 * hits / np.maximum(boxes, 1)[:, None] + 1e-4) + 1
    return (precision * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / 101


def path_table(drawn: Drawn) -> pd.DataFrame:
    """A row for each alpha, dataset and metric: value, low and high (95 %), fractions.

    Explained in notebook 14_try_detection.
    """
    rows = []
    for (alpha, name), values in drawn.items():
        for metric, column in zip(METRICS, values.T, strict=True):
            rows.append({"alpha": alpha, "dataset": name, "metric": metric, **with_interval(column)})
    return pd.DataFrame(rows)


def gain_table(drawn: Drawn, alpha: float = 0.5) -> pd.DataFrame:
    """What one alpha gains over either end, on the same scenes.

    Parameters
    ----------
    drawn : dict
        As ``draw_scenes`` gives it, with alphas 0 and 1.
    alpha : float

    Returns
    -------
    pandas.DataFrame
        dataset, metric, over (``zero-shot``, ``fine-tuned``, or ``better end``, whichever is better on all scenes),
        value, low, high: differences of fractions.

    Raises
    ------
    WiseftError
        If one of the three alphas was not drawn.

    Explained in notebook 14_try_detection.
    """
    rows = []
    for name in dict.fromkeys(name for _, name in drawn):
        missing = [a for a in (0.0, alpha, 1.0) if (a, name) not in drawn]
        if missing:
            raise WiseftError(f"there are no detections of {name!r} at alpha {missing[0]:g}: run 0, {alpha:g} and 1")
        middle, ends = drawn[alpha, name], {"zero-shot": drawn[0.0, name], "fine-tuned": drawn[1.0, name]}
        for k, metric in enumerate(METRICS):
            better = max(ends.values(), key=lambda end, k=k: end[0, k])
            for over, end in (*ends.items(), ("better end", better)):
                rows.append({"dataset": name, "metric": metric, "over": over} | with_interval(middle[:, k] - end[:, k]))
    return pd.DataFrame(rows)


def with_interval(column: np.ndarray) -> dict[str, float]:
    """The figure on all scenes, and the percentiles of the draws."""
    low, high = np.nanquantile(column[1:], [0.025, 0.975])
    return {"value": float(column[0]), "low": float(low), "high": float(high)}
