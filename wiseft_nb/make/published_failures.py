"""Where others found that averaging weights fails: the table ``failures`` of published figures.

Explained in notebook 08_break_it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from wiseft_nb.robustness.published import SCHEMA

DETECTION = {  # name in the source -> ours, alpha
    "zero-shot": ("zero-shot", 0.0),
    "plain fine-tuning": ("fine-tuned", 1.0),
    "linear probing": ("linear probing", np.nan),
    "LP-FT": ("LP-FT", np.nan),
    "WiSE-OD_ZS": ("WiSE-FT", np.nan),
    "WiSE-OD_LP": ("WiSE-FT from linear probing", np.nan),
}
ENDS = {"base": ("zero-shot", 0.0), "fine_tuned": ("fine-tuned", 1.0), "interpolated": ("WiSE-FT", np.nan)}
ELSEWHERE = {  # task in the source -> dataset, what figures are divided by
    "MedCalc (the tuned domain)": ("MedCalc, the tuned task", 1),
    "general benchmarks": ("general benchmarks", 1),
    "MTIL order II, Transfer": ("MTIL, tasks not yet trained", 100),
    "MTIL order II, Last": ("MTIL, all tasks at the end", 100),
}
MEAN_MODEL = "mean over the models of the paper"


def failures(folder: Path) -> pd.DataFrame:
    """Detection under contrast, with another corruption beside it; the tuned skill of language models; continual learning.

    No n: average precision and means over models are no plain accuracies.
    """
    seen = pd.read_csv(folder / "detection.csv").query("paper == 'WiSE-OD' and model == 'Faster R-CNN'")
    rows = []
    for row in seen[seen.corruption.isin(["contrast", "gaussian_noise"])].to_dict("records"):
        method, alpha = DETECTION[row["method"]]
        dataset = f"{row['dataset']}, {row['corruption'].replace('_', ' ')} (AP50)"
        rows.append((row["source"], "Faster R-CNN", "COCO", method, alpha, dataset, row["value"] / 100))
    told = pd.read_csv(folder / "other_fields.csv")
    mean_or_clip = (told.model == MEAN_MODEL) | (told.field == "continual learning")
    for row in told[mean_or_clip & told.task.isin(ELSEWHERE)].to_dict("records"):
        dataset, whole = ELSEWHERE[row["task"]]
        for column, (method, alpha) in ENDS.items():
            rows.append((row["source"], row["model"], "", method, alpha, dataset, row[column] / whole))
    table = pd.DataFrame(rows, columns=SCHEMA[:-1]).dropna(subset="accuracy")
    return table.assign(accuracy=table.accuracy.round(8), n=pd.array([pd.NA] * len(table), dtype="Int64"))
