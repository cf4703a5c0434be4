"""Detectors whose weights others averaged: the table ``detection`` of published figures.

Explained in notebook 14_try_detection.
"""

from pathlib import Path

import pandas as pd

from wiseft_nb.make.published_failures import DETECTION
from wiseft_nb.robustness.published import SCHEMA

OWLV2 = {
    "no self-training": "OWL-ViT",
    "self-training": "self-training",
    "self-training, then fine-tuning on LVIS base classes": "self-training, then LVIS base classes",
    "weight ensemble of the two": "weight ensemble",
}


def detection(folder: Path) -> pd.DataFrame:
    """WiSE-OD (Faster R-CNN, COCO to infrared, fourteen corruptions) and OWLv2's weight ensembles; details: sd over runs.

    An ensemble has an alpha nowhere: WiSE-OD's table prints none, and OWLv2's 0.5 and 0.4 stand in file names that
    do not say which end they weigh. No n: an average precision is no plain accuracy.
    """
    rows = []
    for row in pd.read_csv(folder / "detection.csv").query("checked == 'yes'").to_dict("records"):
        wise = row["paper"] == "WiSE-OD"
        method, alpha = DETECTION[row["method"]] if wise else (OWLV2[row["method"]], float("nan"))
        what = "" if row["corruption"] == "none" else f", {row['corruption'].replace('_', ' ')}"
        metric = "AP50" if wise else row["metric"].removeprefix("LVIS ").removesuffix(" (rare classes)")
        dataset = f"{row['dataset']}{what} ({metric})"
        key = (row["source"], row["model"], "COCO" if wise else "", method, alpha, dataset)
        rows.append((*key, row["value"] / 100, row["sd"] / 100))
    table = pd.DataFrame(rows, columns=[*SCHEMA[:-1], "sd"]).round({"accuracy": 8, "sd": 8})
    details = table.drop(columns="accuracy").dropna(subset="sd")
    table = table[SCHEMA[:-1]].assign(n=pd.array([pd.NA] * len(table), dtype="Int64"))
    table.attrs["details"] = details
    return table
