"""Interpolated weights outside of image classification: the table ``other_fields`` of published figures.

Explained in notebook 13_try_text.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from wiseft_nb.robustness.published import SCHEMA

FIELDS = (
    "language models, domain tuning",
    "language models, forgetting",
    "image-text retrieval",
    "speech recognition",
    "speech, lip reading",
)
FRACTION = {  # metric in the source -> name, the same as a fraction of which more is better
    "accuracy (fraction)": ("accuracy", lambda value: value),
    "accuracy (%)": ("accuracy", lambda value: value / 100),
    "score": ("score", lambda value: value / 100),
    "R@1 (%)": ("R@1", lambda value: value / 100),
    "R@1 image to text (%)": ("R@1, image to text", lambda value: value / 100),
    "R@1 text to image (%)": ("R@1, text to image", lambda value: value / 100),
    "word error rate (%)": ("1 - word error rate", lambda value: 1 - value / 100),
}
CLIPS = "clips correct"  # counts; the task says of how many
ENDS = {"base": ("zero-shot", 0.0), "fine_tuned": ("fine-tuned", 1.0), "interpolated": ("WiSE-FT", np.nan)}
ELSEWHERE = "mean over the models of the paper"  # stands in the table ``failures``


def other_fields(folder: Path) -> pd.DataFrame:
    """Language models, retrieval, speech: both ends where they are known, and what lies between.

    The method of an end is "zero-shot" where training began from it, whatever it was trained on before. No n but where
    clips were counted: the other figures are no plain accuracies.
    """
    told = pd.read_csv(folder / "other_fields.csv").dropna(subset="interpolated")
    told = told[told.field.isin(FIELDS) & (told.model != ELSEWHERE) & told.metric.isin([*FRACTION, CLIPS])]
    rows = []
    for row in told.to_dict("records"):
        if row["metric"] == CLIPS:
            n = int(row["task"].rpartition(", ")[2].split()[0])
            name, whole = "clips recognised", lambda value, n=n: value / n
        else:
            n, (name, whole) = pd.NA, FRACTION[row["metric"]]
        for column, (method, alpha) in ENDS.items():
            alpha = float(row["alpha"]) if column == "interpolated" and pd.notna(row["alpha"]) else alpha
            dataset = f"{row['task']} ({name})"
            rows.append((row["source"], row["model"], "", method, alpha, dataset, whole(row[column]), n))
    table = pd.DataFrame(rows, columns=SCHEMA).dropna(subset="accuracy").drop_duplicates()
    return table.assign(accuracy=table.accuracy.round(8), n=table.n.astype("Int64"))
