"""What notebook 14 fixes before any test scene is drawn: ``python -m wiseft_nb.make.scene_choices``.

Five minutes on one core. Scenes are made of training digits, pretraining's fonts and the photographs that the proposals
learned on. Writes under ``data/results/detection``:

    severities.csv  how many digits the proposals find, by shift and severity. Chosen is the strongest severity at which
                    they find at least 85 %: a digit that no box frames can be neither forgotten nor won back. A shift
                    without such a severity is not used.
    choices.csv     the zero-shot detector by background row and by how a score is mixed. Chosen is the best mAP, in
                    the mean of the reference, letters and photographs at their chosen severities.

No classifier has a say in the severities, no fine-tuned one in anything.
"""

import string

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.digits.digits import mnist
from wiseft_nb.benchmarks.digits.scene_sets import REFERENCE, SEVERITY, make_sets
from wiseft_nb.detect.average_precision import average_precision
from wiseft_nb.detect.detector import classify_regions, name_regions, recall_of
from wiseft_nb.detect.proposals import load_proposals, propose
from wiseft_nb.detect.regions import background_row, crop_regions, region_classifier
from wiseft_nb.make.results import RESULTS
from wiseft_nb.models.clip import Clip, load_clip
from wiseft_nb.zero_shot import zero_shot_head

DETECTION = RESULTS / "detection"
GRID, FOUND = tuple(k / 10 for k in range(2, 11)), 0.85
SCENES, SEED = 60, 1000
MIXES = (0.1, 0.3, 0.5, 0.7)
LETTERS = ("a photo of the letter {}", "the letter {}", "a handwritten letter {}", "a painted capital letter {}")


def severities() -> pd.DataFrame:
    """Recall of the proposals by shift and severity, and which is chosen."""
    network, rows = load_proposals(), []
    for severity in tqdm(GRID, desc="severities"):
        made = make_sets(
            mnist()["train"],
            dict.fromkeys(SEVERITY, severity),
            SCENES,
            SEED,
            glyphs="pretraining",
            photographs="learned",
        )
        for name, scenes in made.items():
            if name != REFERENCE or severity == GRID[0]:
                recall = recall_of(propose(network, scenes.images), scenes)
                boxes = sum(map(len, scenes.boxes))
                rows.append({"shift": name, "severity": severity, "recall": recall, "boxes": boxes})
    table = pd.DataFrame(rows).sort_values(["shift", "severity"], ignore_index=True).round(4)
    table.loc[table["shift"] == REFERENCE, "severity"] = 0.0
    able = table[(table.recall >= FOUND) & (table["shift"] != REFERENCE)]
    return table.assign(chosen=table.index.isin(able.groupby("shift").severity.idxmax()))


def backgrounds(clip: Clip) -> dict[str, Tensor]:
    """Rows that might stand for "none of the digits"."""
    scale = clip.model.logit_scale.detach().exp()
    thing, letters = background_row(clip), zero_shot_head(clip, list(string.ascii_lowercase), LETTERS)
    letter = scale * F.normalize(letters.mean(0, keepdim=True), dim=-1)
    both = scale * F.normalize(thing + letter, dim=-1)
    return {"a character": thing, "letters": letter, "both": both, "nothing": torch.zeros_like(thing)}


def choices(severity: dict[str, float]) -> pd.DataFrame:
    """Average precision of the zero-shot detector by background row and mix of scores, and which is chosen."""
    clip, network, rows = load_clip("digits-rn"), load_proposals(), []
    wanted = {name: severity[name] for name in ("letters", "photo")}
    made = make_sets(mnist()["train"], wanted, SCENES, SEED + 1, glyphs="pretraining", photographs="learned")
    for name, scenes in tqdm(made.items(), desc="choices"):
        found = propose(network, scenes.images)
        crops = crop_regions(scenes.images, [said["boxes"] for said in found])
        for row, background in backgrounds(clip).items():
            probabilities = classify_regions(region_classifier(clip, background), crops)
            for mix in MIXES:
                figures = average_precision(name_regions(found, probabilities, mix), scenes)
                rows.append({"background": row, "mix": mix, "dataset": name, **figures})
    table = pd.DataFrame(rows).round(4)
    best = table.groupby(["background", "mix"], sort=False)["mAP"].mean().idxmax()
    return table.assign(chosen=[pair == best for pair in zip(table.background, table["mix"], strict=True)])


def main() -> None:
    """Write both tables and print them."""
    DETECTION.mkdir(parents=True, exist_ok=True)
    table = severities()
    table.to_csv(DETECTION / "severities.csv", index=False)
    print(table.to_string(index=False), flush=True)
    chosen = table[table.chosen].set_index("shift").severity.to_dict()
    found = choices(chosen)
    found.to_csv(DETECTION / "choices.csv", index=False)
    print(found.to_string(index=False))


if __name__ == "__main__":
    main()
