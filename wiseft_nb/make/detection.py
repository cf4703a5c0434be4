"""Measure, over seeds, what notebook 14 says of detectors: ``python -m wiseft_nb.make.detection``.

About half an hour on one core. Made act after act and seed after seed, so a run that was killed goes on; delete the tables
to make them anew. Acts: in ``classifier`` both ends have the proposals that ship, and what is fine-tuned and interpolated
is the classifier of regions; in ``whole detector`` the proposals are fine-tuned too, and interpolated with the same
alpha. Seed 0 of the first act has eleven alphas, the others six. Writes under ``data/results/detection``:

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
ACTS, WHOLE = ("classifier", "whole detector"), "whole detector"
FEW, ENDS_AND_MIDDLE = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0), (0.0, 0.5, 1.0)
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


def ends(act: str, seed: int) -> tuple[Detector, Detector]:
    """Zero-shot and fine-tuned detector of an act."""
    proposals, classifier = load_proposals(), region_classifier(load_clip("digits-rn"))
    train, val = (reference_scenes(part, n, seed) for part, n in (("train", TRAIN), ("val", VAL)))
    regions = region_benchmark(proposals, train, val, seed)
    tuned = fine_tune(classifier, regions, FineTuneConfig(epochs=EPOCHS, seed=seed), progress=False, cache=True)
    zero_shot = Detector(proposals, classifier)
    changed = tuned_proposals(proposals, train, seed) if act == WHOLE else proposals
    return zero_shot, Detector(changed, tuned)


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
    todo = [(act, seed) for act in ACTS for seed in SEEDS]
    todo = [
        (act, seed) for act, seed in todo if not there("proposals" if act == WHOLE else "gains", act=act, seed=seed)
    ]
    for act, seed in tqdm(todo, desc="acts and seeds"):
        zero_shot, fine_tuned = ends(act, seed)
        if not there("gains", seed=seed, act=act):
            alphas = ALPHAS if (act, seed) == (ACTS[0], SEEDS[0]) else FEW
            drawn = draw_scenes(detect_along(zero_shot, fine_tuned, sets, alphas), sets)
            if not there("path", seed=seed, act=act):
                append("path", path_table(drawn), seed=seed, act=act)
            append("gains", gain_table(drawn), seed=seed, act=act)
        if act == WHOLE:
            append("proposals", boxes_alone(zero_shot, fine_tuned, sets), seed=seed, act=act)


if __name__ == "__main__":
    main()
