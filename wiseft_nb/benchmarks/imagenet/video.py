"""ImageNet-Vid-Robust: frames of videos, judged together with the frames around them (Shankar et al. 2021).

Explained in notebook 11_use_real_clip.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wiseft_nb.benchmarks.images import ImagesLater
from wiseft_nb.benchmarks.parts import check_count, read_json
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.metrics import PmK

ANCHORS = 1_109


def read_vid_robust(folder: Path, k: int, wnids: Sequence[str], complete: bool = True) -> ImagesLater:
    """The anchor frames (k 0), or these with their up to ten reviewed neighbours on both sides (k 10).

    Thirty classes, each of which stands for one or several of ImageNet's; a frame may show several.
    """
    try:
        pmsets, labels, vid, merged = (
            read_json(folder / name)
            for name in (
                "metadata/pmsets.json",
                "metadata/labels.json",
                "misc/imagenet_vid_class_index.json",
                "misc/rev_wnid_map.json",
            )
        )
        groups = tuple(tuple(wnids.index(wnid) for wnid in merged[vid[str(i)][0]]) for i in range(len(vid)))
        neighbours = {anchor: [anchor, *(pmsets[anchor] if k else ())] for anchor in pmsets}
        accepted = {frame: tuple(labels[frame]) for inside in neighbours.values() for frame in inside}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WiseftError(
            f"{folder} does not hold ImageNet-Vid-Robust's metadata and misc ({reason(error)}): fetch it again"
        ) from error
    check_count("ImageNet-Vid-Robust, anchor frames,", len(pmsets), ANCHORS, complete)
    return judged_frames(folder, neighbours, accepted, groups)


def judged_frames(
    folder: Path,
    neighbours: Mapping[str, Sequence[str]],
    accepted: Mapping[str, tuple[int, ...]],
    groups: tuple[tuple[int, ...], ...],
) -> ImagesLater:
    """Frames below a folder, those of one anchor judged together, each right with any label it accepts."""
    frames = sorted(accepted)
    gone = [frame for frame in frames if not (folder / frame).is_file()]
    if gone:
        raise WiseftError(f"{folder} lacks {len(gone):,} frames, first {gone[0]}: fetch it again")
    number = {frame: i for i, frame in enumerate(frames)}
    metric = PmK([[number[f] for f in inside] for inside in neighbours.values()], [accepted[f] for f in frames])
    files = [(folder / frame, accepted[frame][0]) for frame in frames]
    return ImagesLater(folder, lambda: files, class_groups=groups, metric=metric)
