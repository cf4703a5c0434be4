"""How strong should each made shift be? Ask standard models, on training digits.

    python -m wiseft_nb.make.severities

A shift on which every standard model is at chance, or as good as on the reference, makes no line to
measure effective robustness against. This trains a few small standard models on half of the training
digits, evaluates them on shifts made of the other half at several severities, and writes
``data/baselines/severities.csv``: the range of accuracies and the R² of the logit line. Chosen is the
strongest severity at which the median standard model is right on at least 30 % of the images, three
times chance, and R² is at least 0.7; where R² nowhere is, the first condition alone decides. No test
digit, no CLIP and no held-out font is used.

Explained in notebook 04_measure_robustness.
"""

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.base import ImageSet
from wiseft_nb.benchmarks.digits.digits import SEVERITY, made_shifts, mnist
from wiseft_nb.make.standard_models import TABLE, StandardModel, correct, fit, rows
from wiseft_nb.robustness import fit_baseline

GRID = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
MODELS = [
    StandardModel(family, size, n, augmentation, epochs * 1700 // n)
    for family, size, augmentation, epochs in (
        ("logistic regression", "C=0.01", "none", 0),
        ("support vector machine", "rbf", "none", 0),
        ("nearest neighbours", "k=5", "none", 0),
        ("random forest", "200 trees", "none", 0),
        ("CNN", "8", "none", 12),
        ("CNN", "8", "affine", 12),
        ("CNN", "32", "none", 12),
    )
    for n in (100, 500, 1700)
]


def shifts_at(severity: float, digits: ImageSet) -> dict[str, ImageSet]:
    """Every made shift at one severity, of training digits and of pretraining fonts."""
    return made_shifts(digits, dict.fromkeys(SEVERITY, severity), seed=100, glyphs="pretraining")


def chosen(table: pd.DataFrame) -> np.ndarray:
    """Which row of each shift the rule above picks."""
    able = table[(table["median"] >= 0.3) & (table["shift"] != "reference")]
    lined = able[able.r2 >= 0.7]
    others = able[~able["shift"].isin(lined["shift"])]
    return table.index.isin(pd.concat([lined, others]).groupby("shift").severity.idxmax())


def main() -> None:
    """Write the table and print it."""
    train = mnist()["train"]
    half, other = train.subset(np.arange(1750)), train.subset(np.arange(1750, 3500))
    sets = {("reference", 0.0): other}
    sets |= {(name, s): shift for s in GRID for name, shift in shifts_at(s, other).items()}
    results = pd.concat([rows(m, correct(fit(m, half), sets)) for m in tqdm(MODELS, desc="models")])
    wide = results.pivot(index="model", columns="dataset", values="accuracy")
    summary = []
    for name, severity in sets:
        y = wide[(name, severity)]
        line = fit_baseline(wide[("reference", 0.0)], y)
        low, middle, high = y.quantile([0, 0.5, 1])
        summary.append(dict(shift=name, severity=severity, lowest=low, median=middle, highest=high, r2=line.r2))
    table = pd.DataFrame(summary).sort_values(["shift", "severity"]).round(4)
    table["chosen"] = chosen(table)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(TABLE.with_name("severities.csv"), index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
