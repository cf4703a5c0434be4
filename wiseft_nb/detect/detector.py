"""Proposals and a classifier of regions, as one network: scenes -> boxes with classes and scores.

Explained in notebook 14_try_detection.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_iou

from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.detect.proposals import propose
from wiseft_nb.detect.regions import REGIONS, crop_regions
from wiseft_nb.engine.compute import EXACT, evaluating
from wiseft_nb.errors import WiseftError
from wiseft_nb.interpolate import as_alphas, wise_ft
from wiseft_nb.models.classifier import ImageClassifier

Detections = list[dict[str, Tensor]]
TOP, LEAST = 3, 0.02  # classes that a region may be taken for, and the least probability of one
# exponent of the class's probability in a score, chosen on training digits; the proposal's score has the rest
MIX = 0.3
BATCH = 250  # regions at a time


class Detector(nn.Module):
    """R-CNN (Girshick et al. 2014, arXiv 1311.2524) of any proposals and any classifier of regions.

    As it is one network, ``wise_ft`` interpolates the whole of it, and proposals that both ends share stay as they are.

    Parameters
    ----------
    proposals : nn.Module
        As ``load_proposals`` gives them.
    classifier : ImageClassifier
        Of the classes ``REGIONS``: the last one is background.

    Explained in notebook 14_try_detection.
    """

    def __init__(self, proposals: nn.Module, classifier: ImageClassifier):
        super().__init__()
        if tuple(classifier.class_names) != REGIONS:
            raise WiseftError(
                f"the classifier's classes are {classifier.class_names[:12]}: expected {REGIONS}, as region_classifier has"
            )
        self.proposals, self.classifier = proposals, classifier

    def forward(self, images: Tensor) -> Detections:
        """uint8 ``(n, 3, h, w)`` to detections: of each image boxes ``(k, 4)``, scores ``(k,)`` and labels ``(k,)``."""
        found, crops = self.look(images)
        return name_regions(found, classify_regions(self.classifier, crops))

    def look(self, images: Tensor) -> tuple[Detections, np.ndarray]:
        """Proposals, and what they frame: the part that does not depend on the classifier."""
        found = propose(self.proposals, images)
        return found, crop_regions(images, [said["boxes"] for said in found])


@torch.no_grad()
def classify_regions(classifier: ImageClassifier, crops: np.ndarray) -> Tensor:
    """The probability of each class for each crop, as ``crop_regions`` gives them: ``(crops, classes)``.

    Explained in notebook 14_try_detection.
    """
    images = [Image.fromarray(crop) for crop in crops]
    with evaluating(classifier):
        forward = EXACT.prepare(classifier)
        parts = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
        logits = [forward(classifier.collate(part)) for part in parts]
    return torch.cat([torch.empty(0, len(classifier.class_names)), *logits]).softmax(1)


def name_regions(found: Detections, probabilities: Tensor, mix: float = MIX) -> Detections:
    """Proposals with names: each may be one of its three likeliest digits, background is none.

    Parameters
    ----------
    found : list of dict
        As ``propose`` gives them.
    probabilities : Tensor
        ``(all proposals, classes)``, background last.
    mix : float
        A score is (proposal's score) ** (1 - mix) * probability ** mix.

    Explained in notebook 14_try_detection.
    """
    sizes = [len(said["boxes"]) for said in found]
    if len(probabilities) != sum(sizes):
        raise WiseftError(f"{sum(sizes)} proposals but probabilities of {len(probabilities)}: give a row a proposal")
    named = []
    for said, own in zip(found, probabilities.split(sizes), strict=True):
        likely, label = own[:, :-1].topk(TOP, dim=1)
        scores = said["scores"][:, None] ** (1 - mix) * likely**mix
        kept = likely > LEAST
        boxes = said["boxes"][:, None].expand(-1, TOP, -1)[kept]
        named.append({"boxes": boxes, "scores": scores[kept], "labels": label[kept]})
    return named


def detect_along(
    zero_shot: Detector, fine_tuned: Detector, sets: Mapping[str, Scenes], alphas: Iterable[float]
) -> dict[tuple[float, str], Detections]:
    """Detections of every mixture of two detectors on every set of scenes: ``(alpha, name)`` to detections.

    Where both ends have the same proposals, these look at each scene once.

    Explained in notebook 14_try_detection.
    """
    ends = [detector.proposals.state_dict() for detector in (zero_shot, fine_tuned)]
    same = ends[0].keys() == ends[1].keys() and all(torch.equal(t, ends[1][name]) for name, t in ends[0].items())
    seen = {name: zero_shot.look(scenes.images) for name, scenes in sets.items()} if same else {}
    found = {}
    for alpha in as_alphas(alphas):
        detector = wise_ft(zero_shot, fine_tuned, alpha)
        for name, scenes in sets.items():
            boxes, crops = seen.get(name) or detector.look(scenes.images)
            found[alpha, name] = name_regions(boxes, classify_regions(detector.classifier, crops))
    return found


def recall_of(found: Detections, scenes: Scenes, overlap: float = 0.5) -> float:
    """The fraction of true boxes that some detection overlaps by so much, whatever it is called.

    Explained in notebook 14_try_detection.
    """
    reached = [
        box_iou(true, said["boxes"]).amax(1) if len(said["boxes"]) else torch.zeros(len(true))
        for said, true in zip(found, scenes.boxes, strict=True)
    ]
    return float(np.mean((torch.cat(reached) >= overlap).numpy()))


def judged_boxes(found: Detections, scenes: Scenes, least: float, overlap: float = 0.5) -> list[dict]:
    """Which detections of at least a score are right, for ``plot_scenes``; the surer ones choose first, as COCO has it.

    Returns
    -------
    list of dict
        Of each scene boxes, names, right (whether a box of that class, not yet taken, is overlapped by so much), and
        missed, the true boxes that nothing found.

    Explained in notebook 14_try_detection.
    """
    judged = []
    for said, true, classes in zip(found, scenes.boxes, scenes.labels, strict=True):
        order = said["scores"].argsort(descending=True)
        order = order[said["scores"][order] >= least]
        boxes, labels, free, right = said["boxes"][order], said["labels"][order], torch.ones(len(true)), []
        for box, label in zip(boxes, labels, strict=True):
            reach = box_iou(box[None], true)[0] * free * (classes == label)
            right.append(bool(len(reach) and reach.max() >= overlap))
            if right[-1]:
                free[reach.argmax()] = 0
        names = [REGIONS[label] for label in labels.tolist()]
        judged.append({"boxes": boxes.numpy(), "names": names, "right": right, "missed": true[free.bool()].numpy()})
    return judged
