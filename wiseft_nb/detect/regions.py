"""What proposals frame, as 32 x 32 images for a classifier: ten digits and a background row.

Explained in notebook 14_try_detection.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_iou, roi_align

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.digits.glyphs import DIGITS
from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.benchmarks.templates import TEMPLATES
from wiseft_nb.detect.proposals import propose
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import Clip
from wiseft_nb.zero_shot import zero_shot_classifier, zero_shot_head

BACKGROUND = "background"
REGIONS = (*DIGITS, BACKGROUND)  # the classes of a region
CONTEXT = 1.15  # side of a crop by the longer side of its box
SIZE, MARGIN = 32, 64  # pixels: of a crop, and around a scene, whose edge is repeated there
RIGHT, WRONG = 0.5, 0.4  # overlap from which a region is its digit, and below which it is background
THINGS = ("a photo of a {}", "a {}", "the {}", "a painted {}", "a printed {}")


def crop_regions(images: Tensor, boxes: Sequence[Tensor], context: float = CONTEXT) -> np.ndarray:
    """Cut boxes out of scenes, as squares around their centres.

    Parameters
    ----------
    images : Tensor
        uint8 ``(n, 3, h, w)``.
    boxes : sequence of Tensor
        Of each image ``(k, 4)``, in pixels.
    context : float
        Side of the square by the longer side of the box.

    Returns
    -------
    numpy.ndarray
        uint8 ``(all boxes, 32, 32, 3)``, as an ``ImageSet`` holds them: all of the first image first.

    Explained in notebook 14_try_detection.
    """
    if len(images) != len(boxes):
        raise WiseftError(f"{len(images)} images but boxes of {len(boxes)}: give one list of boxes an image")
    squares = []
    for box in boxes:
        centre, side = (box[:, :2] + box[:, 2:]) / 2 + MARGIN, (box[:, 2:] - box[:, :2]).amax(1, keepdim=True)
        squares.append(torch.cat([centre - context * side / 2, centre + context * side / 2], 1))
    wide = F.pad(images.float(), (MARGIN,) * 4, mode="replicate")
    crops = roi_align(wide, squares, SIZE, sampling_ratio=3, aligned=True)
    return crops.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def background_row(clip: Clip) -> Tensor:
    """A row for "none of the digits", ``(1, dim)``, from prompts for "a letter" and "a character".

    Chosen on training digits among four such rows (``data/results/detection/choices.csv``).

    Explained in notebook 14_try_detection.
    """
    rows = zero_shot_head(clip, ["letter", "character"], THINGS)
    return clip.model.logit_scale.detach().exp() * F.normalize(rows.mean(0, keepdim=True), dim=-1)


def region_classifier(clip: Clip, background: Tensor | None = None) -> ImageClassifier:
    """The zero-shot classifier of regions: ten rows from the digits' templates, and one for all else.

    Parameters
    ----------
    clip : Clip
    background : Tensor, optional
        ``(1, dim)``; by default ``background_row(clip)``.

    Explained in notebook 14_try_detection.
    """
    digits = zero_shot_classifier(clip, list(DIGITS), TEMPLATES["digits"])
    row = background_row(clip) if background is None else background
    head = ClassificationHead(torch.cat([digits.classification_head.weight.detach(), row]))
    return ImageClassifier(digits.image_encoder, head, clip.preprocess, clip.augment, REGIONS, clip.config).eval()


def region_set(proposals: nn.Module, scenes: Scenes, seed: int) -> ImageSet:
    """Crops with labels, to fine-tune on: proposals and true boxes.

    A region that overlaps a digit's box by half (intersection over union) is that digit, one that overlaps none by
    0.4 is background; the rest is left out, as in Fast R-CNN (Girshick 2015, arXiv 1504.08083, section 2.3). Of each
    scene at most 1.3 regions a digit are digits, and 0.6 background.

    Parameters
    ----------
    proposals : nn.Module
    scenes : Scenes
    seed : int
        Decides which regions are taken.

    Explained in notebook 14_try_detection.
    """
    rng, boxes, labels = np.random.default_rng(seed), [], []
    for found, true, classes in zip(many_proposals(proposals, scenes), scenes.boxes, scenes.labels, strict=True):
        box = torch.cat([found["boxes"], true])
        overlap, nearest = box_iou(box, true).max(1)
        label = torch.where(overlap >= RIGHT, classes[nearest], -1).where(overlap >= WRONG, len(DIGITS))
        taken = []
        for chosen, share in (((label >= 0) & (label < len(DIGITS)), 1.3), (label == len(DIGITS), 0.6)):
            places = chosen.nonzero()[:, 0].numpy()
            taken.append(rng.permutation(places)[: int(np.ceil(share * len(true)))])
        boxes.append(box[np.concatenate(taken)])
        labels.append(label[np.concatenate(taken)])
    return ImageSet(crop_regions(scenes.images, boxes), torch.cat(labels).numpy())


def many_proposals(proposals: nn.Module, scenes: Scenes) -> list[dict[str, Tensor]]:
    """More proposals than a detector wants, and worse ones: background is learned on them."""
    loose = dict(score_thresh=0.01, nms_thresh=0.7, detections_per_img=40)
    usual = {name: getattr(proposals, name) for name in loose}
    try:
        for name, value in loose.items():
            setattr(proposals, name, value)
        return propose(proposals, scenes.images)
    finally:
        for name, value in usual.items():
            setattr(proposals, name, value)


def region_benchmark(proposals: nn.Module, train: Scenes, val: Scenes, seed: int = 0) -> Benchmark:
    """Regions of training and validation scenes, for ``fine_tune``.

    Explained in notebook 14_try_detection.
    """
    sets = [region_set(proposals, scenes, seed) for scenes in (train, val)]
    return Benchmark("regions", REGIONS, TEMPLATES["digits"], *sets, reference=sets[1], shifts={})
