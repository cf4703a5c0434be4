"""YTBB-Robust: frames of YouTube videos, judged as in ImageNet-Vid-Robust, by its reviewers' notes.

Explained in notebook 11_use_real_clip.
"""

from pathlib import Path

import pandas as pd

from wiseft_nb.benchmarks.imagenet.video import judged_frames
from wiseft_nb.benchmarks.images import ImagesLater
from wiseft_nb.benchmarks.parts import read_json
from wiseft_nb.errors import WiseftError, reason

# Which notes make a pair of frames unlike, as the dataset's evaluation has them
UNLIKE = {
    "dissimilar",
    "problematic",
    "incorrect",
    "dont know",
    "deformation",
    "background-change",
    "occlusion-increased",
    "blur-increase",
    "bad-anchor",
}
SWAPPED = {22: 23, 23: 22}  # two classes changed places between the anchors' table and the class index


def read_ytbb_robust(folder: Path, k: int) -> ImagesLater:
    """The anchor frames (k 0), or these with their up to ten reviewed neighbours on both sides (k 10).

    Reads ``ytbb_videos/`` and, from ``metadata/``, the files that the reference code keeps for this set:
    anchor_labels.json, pmk_labels.json, ytbb_class_index.json, rev_class_idx_map.json and
    ytbb_robustness_test_anchors_full.csv.
    """
    place = folder / "metadata"
    try:
        names = {int(i): name for i, name in read_json(place / "ytbb_class_index.json").items()}
        classes = {int(i): tuple(them) for i, them in read_json(place / "rev_class_idx_map.json").items()}
        first = first_labels(place / "ytbb_robustness_test_anchors_full.csv")
        pairs = {key: notes for key, notes in notes_of(place / "pmk_labels.json").items() if "," in key}
        bad = {key.split(",")[0] for key, notes in pairs.items() if "bad-anchor" in notes}
        anchors = {}
        for key, notes in notes_of(place / "anchor_labels.json").items():
            if "good" in notes and not notes & {"bad", "unsure"} and key not in bad:
                added = {i for i, name in names.items() if name in notes}
                anchors[key] = tuple(sorted(added | {first[key.split("/")[0]]}))
        like = {key for key, notes in pairs.items() if "similar" in notes and not notes & UNLIKE}
        neighbours = {
            anchor: [anchor, *(f for f in around(anchor, k) if f"{anchor},{f}" in like)] for anchor in anchors
        }
        accepted = {frame: anchors[anchor] for anchor, inside in neighbours.items() for frame in inside}
        groups = tuple(classes.get(i, ()) for i in range(len(names)))  # one class ImageNet does not know
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WiseftError(
            f"{place} does not hold YTBB-Robust's notes ({reason(error)}): copy the files of the reference code's "
            "ytbb-robust_metadata there"
        ) from error
    return judged_frames(folder / "ytbb_videos", neighbours, accepted, groups)


def notes_of(path: Path) -> dict[str, set[str]]:
    """The reviewers' notes on each frame, or pair of frames; of several reviews the last."""
    said = read_json(path)
    return {short(row["key"]): {said["labels"][i] for i in row["labels"]} for row in said["annotations"]}


def short(key: str) -> str:
    """A frame as ``video_milliseconds/frame-7.jpg``, a pair of them with a comma between, without what leads there."""
    return ",".join("/".join(path.split("/")[-2:]) for path in key.split(","))


def first_labels(path: Path) -> dict[str, int]:
    """The class each anchor was found for, by ``video_milliseconds``."""
    table = pd.read_csv(path)
    labels = [SWAPPED.get(label, label) for label in table.label.astype(int)]
    return dict(zip(table.ytid.astype(str) + "_" + table.time_ms.astype(str), labels, strict=True))


def around(anchor: str, k: int) -> list[str]:
    """The frames before and after an anchor, of the same video, nearest ones last and first."""
    video, frame = anchor.split("/")
    number = int(frame.removeprefix("frame-").removesuffix(".jpg"))
    return [f"{video}/frame-{number + i}.jpg" for i in range(-k, k + 1) if i]
