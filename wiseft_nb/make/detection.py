"""Measure, over seeds, what notebook 14 says of detectors: ``python -m wiseft_nb.make.detection``.

About half an hour on one core. Made seed after seed and act after act, so a run that was killed goes on; delete a table
to make it anew. Acts: in ``classifier`` both ends have the proposals that ship, and what is fine-tuned and interpolated
is the classifier of regions; in ``whole detector`` the proposals are fine-tuned too, and interpolated with the same
alpha. Writes under ``data/results/detection``:

    path.csv       AP50 and mAP along alpha
    gains.csv      what alpha 0.5 gains over either end, on the same scenes
    proposals.csv  the boxes alone, whatever they are called: recall, AP50 and mAP along alpha
"""

import copy

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.digits.scene_sets import load_scenes, reference_scenes
from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.detect.average_precision import average_precision
from wiseft_nb.detect.detector import Detections, Detector, detect_along, recall_of
from wiseft_nb.detect.intervals import draw_scenes, gain_table, path_table
from wiseft_nb.detect.proposals import load_proposals, propose, train_proposals
from wiseft_nb.detect.regions import region_benchmark, region_classifier
from wiseft_nb.engine.files import replacing
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.make.results import ALPHAS, RESULTS, SEEDS
from wiseft_nb.models.clip import load_clip
from wiseft_nb.paths import BUILD
from wiseft_nb.recipes import FineTuneConfig

DETECTION = RESULTS / "detection"
ACTS = {"classifier": ALPHAS, "whole detector": (0.0, 0.25, 0.5, 0.75, 1.0)}  # and at which alphas
ENDS_AND_MIDDLE = (0.0, 0.5, 1.0)
TEST, TRAIN, VAL = 60, 220, 30  # scenes: of each test set, and to fine-tune on
EPOCHS = 5
STEPS, RATE, DECAY = 165, 1e-3, 1e-2  # of the proposals: six times through the scenes


def tuned_proposals(start: nn.Module, scenes: Scenes, seed: int) -> nn.Module:
    """The proposals trained on: made once a seed."""
    path, network = BUILD / "detection" / f"proposals-{seed}.safetensors", copy.deepcopy(start)
    if not path.exists():
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        for _ in train_proposals(network, scenes, optimizer, STEPS, seed=seed):
            pass
        with replacing(path) as part:
            save_file(network.state_dict(), part)
    network.load_state_dict(load_file(path))
    return network.eval()


def ends(seed: int) -> dict[str, tuple[Detector, Detector]]:
    """Zero-shot and fine-tuned detector of each act."""
    proposals, classifier = load_proposals(), region_classifier(load_clip("digits-rn"))
    train, val = (reference_scenes(part, n, seed) for part, n in (("train", TRAIN), ("val", VAL)))
    regions = region_benchmark(proposals, train, val, seed)
    tuned = fine_tune(classifier, regions, FineTuneConfig(epochs=EPOCHS, seed=seed), progress=False, cache=True)
    zero_shot = Detector(proposals, classifier)
    changed = {"classifier": proposals, "whole detector": tuned_proposals(proposals, train, seed)}
    return {act: (zero_shot, Detector(changed[act], tuned)) for act in ACTS}


def boxes_alone(zero_shot: Detector, fine_tuned: Detector, sets: dict[str, Scenes]) -> pd.DataFrame:
    """Recall and average precision of the proposals along alpha, every box of one class."""
    rows = []
    for alpha in ENDS_AND_MIDDLE:
        network = wise_ft(zero_shot.proposals, fine_tuned.proposals, alpha)
        for name, scenes in sets.items():
            found = propose(network, scenes.images)
            figures = average_precision(of_one_class(found), scenes, classes=False)
            rows.append({"alpha": alpha, "dataset": name, "recall": recall_of(found, scenes), **figures})
    return pd.DataFrame(rows)


def of_one_class(found: Detections) -> Detections:
    """Proposals with a label, as detections have it."""
    return [said | {"labels": torch.zeros(len(said["boxes"]), dtype=torch.long)} for said in found]


def append(name: str, rows: pd.DataFrame, **place: object) -> None:
    """Rows after those that are there, with the columns that say whose they are."""
    path = DETECTION / f"{name}.csv"
    rows = rows.assign(**place).round(5)
    rows = rows[[*place, *(column for column in rows if column not in place)]]
    there = [pd.read_csv(path)] if path.exists() else []
    with replacing(path) as part:
        pd.concat([*there, rows]).to_csv(part, index=False)


def there(name: str, **place: object) -> bool:
    """Whether a table has such rows."""
    path = DETECTION / f"{name}.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(place))
    return bool((table[list(place)] == pd.Series(place)).all(axis=1).any())


def main() -> None:
    """Make what is missing."""
    sets = load_scenes(TEST)
    todo = [
        (seed, act)
        for seed in SEEDS
        for act in ACTS
        if not (there("gains", seed=seed, act=act) and (act == "classifier" or there("proposals", seed=seed)))
    ]
    for seed, act in tqdm(todo, desc="seeds and acts"):
        zero_shot, fine_tuned = ends(seed)[act]
        if not there("gains", seed=seed, act=act):
            drawn = draw_scenes(detect_along(zero_shot, fine_tuned, sets, ACTS[act]), sets)
            if not there("path", seed=seed, act=act):
                append("path", path_table(drawn), seed=seed, act=act)
            append("gains", gain_table(drawn), seed=seed, act=act)
        if act == "whole detector":
            append("proposals", boxes_alone(zero_shot, fine_tuned, sets), seed=seed)


if __name__ == "__main__":
    main()
