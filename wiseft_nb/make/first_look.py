"""Sixteen test images whose answers change along alpha, for the slider that the course begins with.

    python -m wiseft_nb.make.first_look        # a minute or two; fine-tunes if no notebook has kept the model

Writes ``data/results/first_look.csv``: group, dataset, index, label, alpha, answer. Seed 0, the recipe of notebook 02. From
each of four shifts of print the first two images that zero-shot reads, the fine-tuned model does not and alpha 0.5 does
again; from each of four of handwriting the first two that zero-shot does not read and both others do. Different digits.
"""

import pandas as pd

from wiseft_nb.analyse.ensembles import predict_along
from wiseft_nb.benchmarks import load_benchmark
from wiseft_nb.course.notebook import keep
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.models.clip import load_clip
from wiseft_nb.paths import DATA
from wiseft_nb.zero_shot import zero_shot_classifier

ALPHAS = [i / 10 for i in range(11)]
FROM = {"print": ("fonts", "posters", "scrawl", "clutter"), "handwriting": ("uci", "photo", "outline", "rendition")}
EACH = 2


def main() -> None:
    """See the module's first lines."""
    benchmark = load_benchmark("digits")
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    config = FineTuneConfig(seed=0)
    key = (zero_shot, benchmark.train, benchmark.val, config)
    fine_tuned = keep("fine_tuned", key, lambda: fine_tune(zero_shot, benchmark, config))
    rows = []
    for group, shifts in FROM.items():
        for shift in shifts:
            along = predict_along(zero_shot, fine_tuned, benchmark.shifts[shift], ALPHAS)
            zero, half, tuned = (along[alpha].correct for alpha in (0.0, 0.5, 1.0))
            changed = (zero & half & ~tuned) if group == "print" else (~zero & half & tuned)
            labels = {}
            for index in changed.nonzero().flatten().tolist():
                labels.setdefault(int(along[0.0].labels[index]), index)
            for label, index in list(labels.items())[:EACH]:
                for alpha in ALPHAS:
                    rows.append((group, shift, index, label, alpha, int(along[alpha].predicted[index])))
    table = pd.DataFrame(rows, columns=["group", "dataset", "index", "label", "alpha", "answer"])
    table.to_csv(DATA / "results" / "first_look.csv", index=False)
    print(table.pivot(index=["group", "dataset", "label"], columns="alpha", values="answer"))


if __name__ == "__main__":
    main()
