"""Measure what the README states: ``python -m wiseft_nb.make.results`` (about 15 minutes on 2 cores).

With ``--again`` the headline and the README are made from the sweeps that are there, without any training.

Learning rates are chosen on validation data alone, over three seeds; then each test set is looked at
once a seed. Writes under ``data/results``:

    learning_rates.csv   validation and shifts for three learning rates, seed 0, and which was chosen
    linear_rates.csv     validation for learning rates of the linear classifier, and which was chosen
    digits.csv           the sweep of every seed with the chosen recipe
    prompts.csv          zero-shot by other prompts, on fonts never seen in pretraining
    headline.csv         the figures that matter, medians over the seeds

and from them the README's table and figure.
"""

import argparse
from collections.abc import Sequence

import matplotlib.pyplot as plt
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
from wiseft_nb.plots import ROLES, plot_robustness, plot_schematic, set_style
from wiseft_nb.plots.seeds import add_seeds
from wiseft_nb.robustness import Baseline, by_seed, fit_table, load_standard_models
from wiseft_nb.robustness.points import MEAN, mean_of_shifts
from wiseft_nb.sweep import sweep
from wiseft_nb.zero_shot import zero_shot_classifier

RESULTS = DATA / "results"
FIGURE = ROOT / "docs" / "effective_robustness.png"
SCHEMATIC = ROOT / "docs" / "schematic.png"
SEEDS = (0, 1, 2)
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
LINEAR_RATES, LINEAR_EPOCHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 20
ALPHAS = tuple(i / 10 for i in range(11))
HOW = {"progress": False, "cache": True}
ENDS = {"zero-shot": 0.0, "fine-tuned": 1.0, "alpha 0.5": 0.5}
HAS_LINE = 0.7  # R²; below it standard models are a cloud
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
    tables, groups = [], places_of_mean(benchmark)
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


def headline(sweeps: pd.DataFrame, by_prompt: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """The figures that matter: of each its value for every seed, then median, lowest and highest.

    Differences are taken within a seed first: a difference of medians is none of any model.
    """
    lines = {shift: fit_table(load_standard_models(), shift, benchmark.reference_name) for shift in benchmark.shifts}
    table = pd.DataFrame([figures_of(curve, lines, benchmark) for _, curve in sweeps.groupby("seed")])
    rows = pd.DataFrame(
        {"figure": table.columns, "median": table.median(), "lowest": table.min(), "highest": table.max()}
    )
    more = [(f"zero-shot by other prompts, {row.task}", row.accuracy) for row in by_prompt.itertuples()]
    more += [(f"R² of the line of standard models, {shift}", line.r2) for shift, line in lines.items()]
    rest = pd.DataFrame([{"figure": name, "median": v, "lowest": v, "highest": v} for name, v in more])
    return pd.concat([rows, rest], ignore_index=True)


def figures_of(sweep_of_a_seed: pd.DataFrame, lines: dict[str, Baseline], benchmark: Benchmark) -> dict[str, float]:
    """The figures of one seed, by name."""
    curve = sweep_of_a_seed.pivot(index="alpha", columns="dataset", values="accuracy")
    places = {"reference": curve[benchmark.reference_name]}
    for name, members in places_of_mean(benchmark).items():
        places[name] = curve[list(members)].mean(axis=1)
    found = {f"{model}, {place}": along[alpha] for place, along in places.items() for model, alpha in ENDS.items()}
    for first, second in (("fine-tuned", "zero-shot"), ("alpha 0.5", "zero-shot"), ("alpha 0.5", "fine-tuned")):
        for place in places:
            found[f"{first} minus {second}, {place}"] = found[f"{first}, {place}"] - found[f"{second}, {place}"]
    mean, x = places[MEAN], places["reference"]
    allowed = mean[x >= x[1.0] - REFERENCE_LOSS]
    found[f"alpha 0.5 above the better endpoint, {MEAN}"] = mean[0.5] - max(mean[0.0], mean[1.0])
    found[f"best point within 1.5 points of the reference, above fine-tuned, {MEAN}"] = allowed.max() - mean[1.0]
    found["alpha of that point"] = allowed.idxmax()
    with_line = [shift for shift, line in lines.items() if line.r2 >= HAS_LINE]
    for model, alpha in ENDS.items():
        rho = [float(lines[shift].effective_robustness(x[alpha], curve.loc[alpha, shift])) for shift in with_line]
        found[f"rho of {model}, mean of the shifts with a line"] = sum(rho) / len(rho)
    return found


def places_of_mean(benchmark: Benchmark) -> dict[str, Sequence[str]]:
    """The groups of shifts, and all of them."""
    return {**benchmark.groups, MEAN: list(benchmark.shifts)}


def draw(sweeps: pd.DataFrame, benchmark: Benchmark) -> None:
    """The README's figures: the method, and the shifts by group, first seed, the other seeds as thin lines."""
    standard, reference = load_standard_models(), benchmark.reference_name
    set_style()
    plot_schematic()[0].savefig(SCHEMATIC, bbox_inches="tight")
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharex=True, layout="constrained")
    for ax, (name, shifts) in zip(axes, benchmark.groups.items(), strict=True):
        models = pd.concat([standard, mean_of_shifts(standard, shifts).assign(dataset=name)])
        curves = pd.concat([sweeps[sweeps.dataset != MEAN], mean_of_shifts(sweeps, shifts).assign(dataset=name)])
        first = curves[curves.seed == SEEDS[0]].drop(columns="seed")
        plot_robustness(models, first, name, reference, ax=ax)
        others = by_seed(curves[curves.seed != SEEDS[0]], {})
        add_seeds(ax, others, name, reference, color=ROLES["interpolated"]["color"], lw=0.8, alpha=0.6)
        ax.set(title=f"{name}: mean of {len(shifts)} shifts", xlabel="", ylabel="accuracy under shift (%)")
    fig.supxlabel(f"{reference} accuracy (%)", fontsize=12)
    axes[1].legend(fontsize=9, loc="lower right")
    fig.savefig(FIGURE, bbox_inches="tight")
    plt.close(fig)


def readme_rows(table: pd.DataFrame, benchmark: Benchmark) -> list[str]:
    """The README's headline table."""
    figures, groups = table.set_index("figure")["median"], dict(reversed(benchmark.groups.items()))
    places = {"reference": "MNIST"} | {name: f"{len(of)} shifts in {name}" for name, of in groups.items()}
    places[MEAN] = f"mean of all {len(benchmark.shifts)}"
    rows = ["| digits, median of three seeds | " + " | ".join(places.values()) + " |", "|---" * (1 + len(places)) + "|"]
    for model in ENDS:
        name = "WiSE-FT, alpha 0.5" if model == "alpha 0.5" else model
        rows.append(f"| {name} | " + " | ".join(f"{figures[f'{model}, {place}']:.1%}" for place in places) + " |")
    return rows


def main() -> None:
    """Write all tables, the README's figure and its headline."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--again", action="store_true", help="headline and README from the sweeps that are there")
    if not parser.parse_args().again:
        measure()
    state(load_benchmark("digits"))


def state(benchmark: Benchmark) -> None:
    """Headline, README and figure, from the sweeps of all seeds."""
    sweeps, by_prompt = (pd.read_csv(RESULTS / f"{name}.csv") for name in ("digits", "prompts"))
    table = headline(sweeps, by_prompt, benchmark)
    table.round(6).to_csv(RESULTS / "headline.csv", index=False)
    draw(sweeps, benchmark)
    write_between("headline", readme_rows(table, benchmark))
    print(table.round(4).to_string(index=False))


def measure() -> None:
    """Train and sweep, seed after seed; write the tables."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    benchmark, clip = load_benchmark("digits"), load_clip("digits-rn")
    zero_shot = zero_shot_classifier(clip, benchmark)
    rates = learning_rates(zero_shot, benchmark)
    lr = float(rates.lr[rates.chosen].iloc[0])
    sweeps = []
    for seed, model in zip(SEEDS, fine_tuned(zero_shot, benchmark, lr=lr), strict=True):
        table = sweep(zero_shot, model, benchmark, ALPHAS, groups=places_of_mean(benchmark), **HOW)
        sweeps.append(table.assign(seed=seed))
    by_prompt, sweeps = prompts(clip), pd.concat(sweeps, ignore_index=True)
    linear = linear_rates(zero_shot, benchmark)
    tables = {"learning_rates": rates, "linear_rates": linear, "digits": sweeps, "prompts": by_prompt}
    for name, table in tables.items():
        table.round(6).to_csv(RESULTS / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
