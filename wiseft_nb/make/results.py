"""Measure what the README states: ``python -m wiseft_nb.make.results`` (about 15 minutes on 2 cores).

Learning rates are chosen on validation data alone, over three seeds; then each test set is looked at
once a seed. Writes under ``data/results``:

    learning_rates.csv   validation and shifts for three learning rates, seed 0, and which was chosen
    linear_rates.csv     validation for learning rates of the linear classifier, and which was chosen
    digits.csv           the sweep of every seed with the chosen recipe
    prompts.csv          zero-shot by other prompts, on fonts never seen in pretraining
    headline.csv         the figures that matter, medians over the seeds

and from them the README's table and figure.
"""

import pandas as pd
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.benchmarks.digits.other_prompts import other_prompts
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.make.readme import write_between
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import Clip, load_clip
from wiseft_nb.paths import DATA, ROOT
from wiseft_nb.plots import plot_robustness, set_style
from wiseft_nb.robustness import fit_baseline, load_standard_models
from wiseft_nb.robustness.points import MEAN, mean_of_shifts
from wiseft_nb.sweep import sweep
from wiseft_nb.zero_shot import zero_shot_classifier

RESULTS = DATA / "results"
FIGURE = ROOT / "docs" / "effective_robustness.png"
SEEDS = (0, 1, 2)
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
LINEAR_RATES, LINEAR_EPOCHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 20
ALPHAS = tuple(i / 10 for i in range(11))
HOW = {"progress": False, "cache": True}
REFERENCE_LOSS = 0.015  # reference accuracy one may give up against fine-tuned, for the best curve point


def fine_tuned(zero_shot: ImageClassifier, benchmark: Benchmark, **recipe: object) -> list[ImageClassifier]:
    """One classifier a seed, each made once: a run that was killed goes on."""
    configs = [FineTuneConfig(seed=seed, **recipe) for seed in SEEDS]
    return [fine_tune(zero_shot, benchmark, config, **HOW) for config in configs]


def validation(models: list[ImageClassifier]) -> float:
    """Mean validation accuracy at the end of training."""
    return sum(model.history[-1]["val_accuracy"] for model in models) / len(models)


def learning_rates(zero_shot: ImageClassifier, benchmark: Benchmark) -> pd.DataFrame:
    """Validation accuracy over all seeds, and the whole picture for seed 0, for each learning rate.

    Chosen is the largest rate that validation cannot tell from the best: within one standard error.
    """
    tables, groups = [], {MEAN: list(benchmark.shifts)}
    for lr in tqdm(LEARNING_RATES, desc="learning rates"):
        models = fine_tuned(zero_shot, benchmark, lr=lr)
        datasets = {"val": benchmark.val, **benchmark.test_sets}
        table = sweep(zero_shot, models[0], benchmark, (0, 0.3, 0.5, 0.7, 1), datasets, groups=groups, **HOW)
        tables.append(table.assign(lr=lr, mean_val_accuracy=validation(models)))
    rates = pd.concat(tables, ignore_index=True)
    best = rates.mean_val_accuracy.max()
    error = (best * (1 - best) / len(benchmark.val)) ** 0.5
    return rates.assign(chosen=rates.lr == rates.lr[rates.mean_val_accuracy >= best - error].max())


def linear_rates(zero_shot: ImageClassifier, benchmark: Benchmark) -> pd.DataFrame:
    """Validation accuracy over all seeds for each learning rate of the linear classifier.

    Chosen is the best; of equal ones the smallest.
    """
    rows = []
    for lr in tqdm(LINEAR_RATES, desc="linear classifiers"):
        models = fine_tuned(zero_shot, benchmark, method="linear", lr=lr, epochs=LINEAR_EPOCHS)
        rows.append({"lr": lr, "epochs": LINEAR_EPOCHS, "mean_val_accuracy": validation(models)})
    rates = pd.DataFrame(rows).round(6)
    return rates.assign(chosen=rates.index == rates.mean_val_accuracy.idxmax())


def prompts(clip: Clip) -> pd.DataFrame:
    """Accuracy of zero-shot classifiers that differ in nothing but their prompts."""
    rows = []
    for name, task in other_prompts().items():
        predictions = evaluate(zero_shot_classifier(clip, task), task.reference)
        rows.append({"task": name, "classes": len(task.class_names)} | predictions.row())
    return pd.DataFrame(rows)


def headline(sweeps: pd.DataFrame, by_prompt: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The figures that matter: median over seeds of each."""
    standard, figures = load_standard_models(), []
    shifts = sorted(set(sweeps.dataset) - {reference, MEAN})
    wide = standard.pivot(index="model", columns="dataset", values="accuracy")
    lines = {shift: fit_baseline(wide[reference], wide[shift]) for shift in shifts}
    for seed, table in sweeps.groupby("seed"):
        curve = table.pivot(index="alpha", columns="dataset", values="accuracy")
        x, mean = curve[reference], curve[MEAN]
        allowed = mean[x >= x[1.0] - REFERENCE_LOSS]
        above = {s: float(lines[s].effective_robustness(x[0.0], curve.loc[0.0, s])) for s in shifts}
        figures.append(
            {
                "zero-shot, reference": x[0.0],
                "zero-shot, mean of shifts": mean[0.0],
                "fine-tuned, reference": x[1.0],
                "fine-tuned, mean of shifts": mean[1.0],
                "alpha 0.5, reference": x[0.5],
                "alpha 0.5, mean of shifts": mean[0.5],
                "alpha 0.5 above the better endpoint, mean of shifts": mean[0.5] - max(mean[0.0], mean[1.0]),
                "best point within 1.5 points of the reference, above fine-tuned, mean of shifts": allowed.max()
                - mean[1.0],
                "alpha of that point": allowed.idxmax(),
                "zero-shot above the line of standard models, mean of shifts": sum(above.values()) / len(above),
                "seed": seed,
            }
        )
    table = pd.DataFrame(figures).set_index("seed")
    rows = pd.DataFrame(
        {"figure": table.columns, "median": table.median(), "lowest": table.min(), "highest": table.max()}
    )
    more = [(f"zero-shot by other prompts, {row.task}", row.accuracy) for row in by_prompt.itertuples()]
    more += [(f"R² of the line of standard models, {shift}", line.r2) for shift, line in lines.items()]
    rest = pd.DataFrame([{"figure": name, "median": v, "lowest": v, "highest": v} for name, v in more])
    return pd.concat([rows, rest], ignore_index=True)


def draw(sweeps: pd.DataFrame, benchmark: Benchmark) -> None:
    """The README's figure: the mean of all shifts, first seed."""
    standard = load_standard_models()
    standard = pd.concat([standard, mean_of_shifts(standard, benchmark.shifts)])
    curve = sweeps[sweeps.seed == SEEDS[0]].drop(columns="seed")
    set_style()
    fig, ax = plot_robustness(standard, curve, MEAN, benchmark.reference_name)
    ax.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    fig.savefig(FIGURE, bbox_inches="tight")


def readme_rows(table: pd.DataFrame, n_shifts: int) -> list[str]:
    """The README's headline table."""
    figures = table.set_index("figure")["median"]
    rows = [f"| digits, median of three seeds | MNIST | mean of {n_shifts} shifts |", "|---|---|---|"]
    for model in ("zero-shot", "fine-tuned", "alpha 0.5"):
        name = "WiSE-FT, alpha 0.5" if model == "alpha 0.5" else model
        reference, mean = (figures[f"{model}, {place}"] for place in ("reference", "mean of shifts"))
        rows.append(f"| {name} | {reference:.1%} | {mean:.1%} |")
    return rows


def main() -> None:
    """Write all tables, the README's figure and its headline."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    benchmark, clip = load_benchmark("digits"), load_clip("digits-rn")
    zero_shot = zero_shot_classifier(clip, benchmark)
    rates = learning_rates(zero_shot, benchmark)
    lr = float(rates.lr[rates.chosen].iloc[0])
    sweeps = []
    for seed, model in zip(SEEDS, fine_tuned(zero_shot, benchmark, lr=lr), strict=True):
        table = sweep(zero_shot, model, benchmark, ALPHAS, groups={MEAN: list(benchmark.shifts)}, **HOW)
        sweeps.append(table.assign(seed=seed))
    by_prompt, sweeps = prompts(clip), pd.concat(sweeps, ignore_index=True)
    linear = linear_rates(zero_shot, benchmark)
    tables = {"learning_rates": rates, "linear_rates": linear, "digits": sweeps, "prompts": by_prompt}
    tables["headline"] = headline(sweeps, by_prompt, benchmark.reference_name)
    for name, table in tables.items():
        table.round(6).to_csv(RESULTS / f"{name}.csv", index=False)
    draw(sweeps, benchmark)
    write_between("headline", readme_rows(tables["headline"], len(benchmark.shifts)))
    print(tables["headline"].round(4).to_string(index=False))


if __name__ == "__main__":
    main()
