"""COCO's average precision of detections, by pycocotools.

Explained in notebook 14_try_detection.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.detect.detector import Detections
from wiseft_nb.errors import WiseftError

METRICS = ("AP50", "mAP")


@dataclass(frozen=True)
class Matches:
    """What became of the detections of one class: COCO's matching, done once for all draws of scenes.

    Attributes
    ----------
    hit : array
        bool ``(overlaps, detections)``, the detections by falling score: whether each found a box of its class.
    scene : array
        int ``(detections,)``.
    boxes : array
        int ``(scenes,)``: how many boxes of the class each scene has.
    """

    hit: np.ndarray
    scene: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Judged:
    """Detections of one set of scenes: AP50 and mAP as fractions, and the matches of each class."""

    figures: dict[str, float]
    matches: list[Matches]


def average_precision(found: Detections, scenes: Scenes, classes: bool = True) -> dict[str, float]:
    """COCO's AP50 and mAP (Lin et al. 2014, arXiv 1405.0312), as pycocotools has them.

    Parameters
    ----------
    found : list of dict
        Of each scene boxes ``(k, 4)``, scores ``(k,)``, labels ``(k,)``.
    scenes : Scenes
    classes : bool
        False asks whether boxes are right, whatever they are called.

    Returns
    -------
    dict
        ``AP50``: mean over classes of the average precision at an overlap (intersection over union) of 0.5;
        ``mAP``: its mean over the overlaps 0.5, 0.55 … 0.95. Fractions.

    Raises
    ------
    WiseftError
        If pycocotools is not installed, or there is not one entry a scene, or no scene has a box.

    Explained in notebook 14_try_detection.
    """
    return judge(found, scenes, classes).figures


def judge(found: Detections, scenes: Scenes, classes: bool = True) -> Judged:
    """``average_precision`` with what a bootstrap over scenes needs.

    Explained in notebook 14_try_detection.
    """
    judged = evaluated(found, scenes, classes)
    precision = judged.eval["precision"][..., 0, 0]  # overlaps, recalls, classes
    seen = (precision > -1).all(axis=(0, 1))  # a class without a box in any scene has no precision
    if not seen.any():
        raise WiseftError("no scene has a box, so there is no average precision: give scenes with something in them")
    figures = {"AP50": float(precision[0][:, seen].mean()), "mAP": float(precision[:, :, seen].mean())}
    per_class = np.array(judged.evalImgs, dtype=object).reshape(-1, len(scenes))
    return Judged(figures, [matches_of(row, len(judged.params.iouThrs)) for row in per_class])


def matches_of(entries: Sequence[Mapping | None], overlaps: int) -> Matches:
    """Of one class, the library's entry of each scene; None where it has neither box nor detection."""
    there = [(i, entry) for i, entry in enumerate(entries) if entry is not None]
    boxes = np.zeros(len(entries), dtype=int)
    for i, entry in there:
        boxes[i] = len(entry["gtIds"])
    scores = np.concatenate([np.empty(0), *(entry["dtScores"] for _, entry in there)])
    hit = np.concatenate([np.zeros((overlaps, 0)), *(entry["dtMatches"] for _, entry in there)], axis=1) > 0
    scene = np.concatenate([np.empty(0, int), *(np.full(len(entry["dtScores"]), i) for i, entry in there)])
    order = np.argsort(-scores, kind="stable")
    return Matches(hit[:, order], scene[order], boxes)


def evaluated(found: Detections, scenes: Scenes, classes: bool) -> Any:
    """pycocotools' ``COCOeval``, matched and accumulated; without classes every box is of one."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise WiseftError('average precision needs pycocotools: pip install -e ".[detect]"') from error
    if len(found) != len(scenes):
        raise WiseftError(f"detections of {len(found)} scenes, but there are {len(scenes)}: give one entry a scene")
    true = [{"boxes": box, "labels": label} for box, label in zip(scenes.boxes, scenes.labels, strict=True)]
    names = sorted({int(c) for entry in (*true, *found) for c in entry["labels"]})
    both = []
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how long it took
        for entries in (true, found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": i} for i in range(len(scenes))],
                "categories": [{"id": c} for c in names],
                "annotations": annotations(entries),
            }
            coco.createIndex()
            both.append(coco)
        judged = COCOeval(*both, "bbox")
        judged.params.useCats, judged.params.maxDets = int(classes), [100]
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.evaluate()
        judged.accumulate()
    return judged


def annotations(entries: Sequence[Mapping]) -> list[dict]:
    """Boxes as COCO writes them: left, top, width, height."""
    rows: list[dict] = []
    for i, entry in enumerate(entries):
        scores = entry["scores"].tolist() if "scores" in entry else [1.0] * len(entry["boxes"])
        for box, label, score in zip(entry["boxes"].tolist(), entry["labels"].tolist(), scores, strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            row = {"bbox": [*box[:2], width, height], "area": width * height, "iscrowd": 0, "score": score}
            rows.append(row | {"id": len(rows) + 1, "image_id": i, "category_id": label})
    return rows
