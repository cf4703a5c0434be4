"""Judge rules for alpha, for notebook 09: ``python -m wiseft_nb.make.choosing`` (two minutes an endpoint on one
core; one that stands in the tables is not judged again).

Reads what ``wiseft_nb.make.endpoints`` kept. No rule has a number that was tuned on a shift. Writes under
``data/results/choosing``, each row with recipe and seed:

    curves.csv      accuracy of every alpha on every dataset
    choices.csv     the alpha that each rule chose for each dataset
    conditions.csv  the same on few images, under label shift, in a mixed stream and among junk: means over draws
    labels.csv      with a few labelled images of the target: means over draws
    kinds.csv       which changes of the validation images a temperature can be fitted on
    bias.csv        confidence minus accuracy along alpha, by what the temperatures were fitted on
"""

import os
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from wiseft_nb.analyse import estimates
from wiseft_nb.analyse.calibration import at_temperature
from wiseft_nb.analyse.estimates import Along, average_confidence
from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.compare import paired
from wiseft_nb.make.alpha_rules import (
    CALIBRATIONS,
    FIXED_RULES,
    SHORT,
    TARGET_RULES,
    Known,
    accuracy,
    nearest,
    part,
    pooled,
    second_opinion,
)
from wiseft_nb.make.endpoints import ENDPOINTS, RATES, Endpoint, datasets_of, paths_of
from wiseft_nb.make.results import RESULTS, SEEDS
from wiseft_nb.models.clip import load_clip
from wiseft_nb.zero_shot import zero_shot_classifier

FOLDER = RESULTS / "choosing"
DRAWS = 10


def curves(known: Known) -> pd.DataFrame:
    """Accuracy of every alpha on validation data and all test sets."""
    names = [name for name in known.paths if not name.startswith(("val,", "junk"))]
    return pd.concat(
        [accuracy(known.paths[name]).rename("accuracy").reset_index().assign(dataset=name) for name in names]
    )


def choices(known: Known, datasets: list[str]) -> Iterator[dict]:
    """The alpha of every rule for every dataset."""
    for name in datasets:
        path, other = known.paths[name], known.other[name]
        rules = FIXED_RULES | TARGET_RULES
        found = {rule: choose(known, path) for rule, choose in rules.items()}
        found["agreement of two runs"] = estimates.agreement(path, other)
        found["second run's confidence, validation"] = second_opinion(known, path, other)
        if name.startswith("test, "):  # what changed these images changed none that the temperatures were fitted on
            others = known.cooled(path, f"all but {name.removeprefix('test, ')}")
            found["confidence, ten other kinds"] = average_confidence(others)
        for rule, chosen in found.items():
            alpha = nearest(chosen)
            pair = paired(path[alpha], path[0.5])
            row = {"dataset": name, "rule": rule, "alpha": alpha}
            row |= {"only_rule": pair.only_first, "only_half": pair.only_second, "n": pair.n}
            if isinstance(chosen, pd.Series) and {alpha, 0.5} <= {*chosen.index}:
                row["promised"] = chosen[alpha] - chosen[0.5]  # points of accuracy only where the estimate is one
            yield row


def judged(path: Along, chosen: Mapping[str, "pd.Series | float"], about: dict) -> Iterator[dict]:
    """Gain and regret of chosen alphas on some images."""
    true = accuracy(path)
    for rule, choice in chosen.items():
        alpha = nearest(choice)
        yield about | {
            "rule": rule,
            "alpha": alpha,
            "gain": true[alpha] - true[0.5],
            "regret": true.max() - true[alpha],
        }


def label_shifts(labels: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Indices of images with other classes in other shares."""
    order = rng.permutation(10)
    zipf = (1 / np.arange(1, 11))[np.argsort(order)][labels]
    size = min(300, len(labels) // 2)
    return {
        "two classes": np.flatnonzero(np.isin(labels, order[:2])),
        "five classes": np.flatnonzero(np.isin(labels, order[:5])),
        "Zipf": rng.choice(len(labels), size, replace=False, p=zipf / zipf.sum()),
    }


def conditions(known: Known, benchmark: Benchmark, rng: np.random.Generator) -> Iterator[dict]:
    """Rules on fewer images (judged on all), under label shift, in a mixed stream, among junk, and without a shift."""
    for _ in range(DRAWS):
        mixed = []
        for name in benchmark.shifts:
            path = known.paths[name]
            n, labels = path[0.0].n, path[0.0].labels.numpy()
            for size in (200, 50, 20):
                if size < n:
                    few = part(path, rng.permutation(n)[:size])
                    chosen = {rule: TARGET_RULES[rule](known, few) for rule in SHORT}
                    yield from judged(path, chosen, {"condition": f"{size} images", "dataset": name})
            for condition, indices in label_shifts(labels, rng).items():
                few = part(path, indices)
                chosen = {rule: TARGET_RULES[rule](known, few) for rule in SHORT}
                yield from judged(few, chosen, {"condition": condition, "dataset": name})
            if f"junk, {name}" in known.paths:
                junk = known.paths[f"junk, {name}"]
                for share, count in (("quarter", junk[0.0].n // 3), ("half", junk[0.0].n)):
                    clean = part(path, rng.permutation(n)[: junk[0.0].n])
                    among = pooled([clean, part(junk, rng.permutation(junk[0.0].n)[:count])])
                    chosen = {rule: TARGET_RULES[rule](known, among) for rule in SHORT}
                    yield from judged(path, chosen, {"condition": f"a {share} junk", "dataset": name})
            mixed.append(part(path, rng.permutation(n)[:100]))
        stream = pooled(mixed)
        chosen = {rule: TARGET_RULES[rule](known, stream) for rule in SHORT}
        yield from judged(stream, chosen, {"condition": "mixed stream", "dataset": "all shifts"})
    reference = known.paths[benchmark.reference_name]
    chosen = {rule: TARGET_RULES[rule](known, reference) for rule in SHORT}
    yield from judged(reference, chosen, {"condition": "no shift", "dataset": benchmark.reference_name})


def few_labels(known: Known, benchmark: Benchmark, rng: np.random.Generator) -> Iterator[dict]:
    """A few labelled images of the target, by accuracy and by likelihood; judged on all others."""
    for name in benchmark.shifts:
        path = known.paths[name]
        for _ in range(DRAWS):
            order = rng.permutation(path[0.0].n)
            for size in (10, 20, 50, 128):
                if size > len(order) / 3:
                    continue
                few, rest = part(path, order[:size]), part(path, order[size:])
                chosen = {"accuracy": accuracy(few)}
                for how, on in CALIBRATIONS.items():
                    chosen[f"likelihood{how}"] = estimates.likelihood(known.cooled(few, on))
                chosen["none: confidence, rotated"] = average_confidence(known.cooled(rest, "rotate"))
                chosen["none: alpha 0.5"] = 0.5
                yield from judged(rest, chosen, {"labels": size, "dataset": name})


def kinds(known: Known, benchmark: Benchmark) -> Iterator[dict]:
    """Average confidence with temperatures from one kind of change, from several, or without those alike."""
    hardness = {name: 1 - path[1.0].accuracy() for name, path in known.hard.items()}
    for name in benchmark.shifts:
        path = known.paths[name]
        wanted = [on for on in known.hard if not on.startswith("unlike")] + [f"unlike {name}"]
        chosen = {on: average_confidence(known.cooled(path, on)) for on in wanted}
        chosen["one temperature"] = average_confidence(
            {alpha: at_temperature(said, known.temperatures["rotate"][0.5]) for alpha, said in path.items()}
        )
        for row in judged(path, chosen, {"dataset": name}):
            row["wrong"] = hardness.get(row["rule"])
            row["rule"] = "unlike the shift" if row["rule"].startswith("unlike") else row["rule"]
            yield row


def bias(known: Known, benchmark: Benchmark) -> Iterator[dict]:
    """Confidence and accuracy along alpha."""
    for name in benchmark.shifts:
        path = known.paths[name]
        true = accuracy(path)
        for on in CALIBRATIONS.values():
            sure = average_confidence(known.cooled(path, on))
            for alpha in path:
                temperature = known.temperatures[on][alpha] if on else 1.0
                yield {
                    "dataset": name,
                    "on": on or "none",
                    "alpha": alpha,
                    "temperature": temperature,
                    "confidence": sure[alpha],
                    "accuracy": true[alpha],
                }


def of_endpoint(endpoint: Endpoint, known: Known, benchmark: Benchmark) -> dict[str, pd.DataFrame]:
    """All tables' rows of one endpoint."""
    rng = np.random.default_rng(endpoint.seed)
    datasets = [name for name in known.paths if name in benchmark.shifts or name.startswith("test, ")]
    tables = {"curves": curves(known), "choices": pd.DataFrame(choices(known, datasets))}
    if endpoint.recipe in RATES:
        tables["conditions"] = averaged(conditions(known, benchmark, rng), ["condition", "rule", "dataset"])
        tables["labels"] = averaged(few_labels(known, benchmark, rng), ["labels", "rule", "dataset"])
        tables["kinds"] = pd.DataFrame(kinds(known, benchmark))
        tables["bias"] = pd.DataFrame(bias(known, benchmark))
    about = {"recipe": endpoint.recipe, "seed": endpoint.seed}
    return {name: table.assign(**about) for name, table in tables.items()}


def averaged(rows: Iterator[dict], by: list[str]) -> pd.DataFrame:
    """Means over draws."""
    return pd.DataFrame(rows).groupby(by, sort=False).mean().reset_index()


def partner(endpoint: Endpoint) -> Endpoint:
    """The run of the next seed."""
    return Endpoint(endpoint.recipe, SEEDS[(SEEDS.index(endpoint.seed) + 1) % len(SEEDS)])


def todo() -> list[Endpoint]:
    """Endpoints of which both runs were kept, and that the tables lack."""
    path = FOLDER / "choices.csv"
    there = pd.read_csv(path, usecols=["recipe", "seed"]).drop_duplicates() if path.exists() else pd.DataFrame()
    done = {Endpoint(*row) for row in there.itertuples(index=False)}
    kept = [endpoint for endpoint in ENDPOINTS if endpoint.file.exists() and partner(endpoint).file.exists()]
    return [endpoint for endpoint in kept if endpoint not in done]


def main() -> None:
    """Judge what the tables lack, endpoint after endpoint."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    benchmark = load_benchmark("digits")
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    labels = {name: torch.tensor([label for _, label in data]) for name, data in datasets_of(benchmark).items()}
    for endpoint in tqdm(todo(), desc="endpoints"):
        runs = endpoint, partner(endpoint)
        stock = estimates.model_stock_ratio(zero_shot, [run.fine_tuned(zero_shot, benchmark) for run in runs])
        known = Known(*(paths_of(run, labels) for run in runs), stock)
        found = of_endpoint(endpoint, known, benchmark)
        for name in sorted(found, key="choices".__eq__):  # the table that says what is done comes last
            path = FOLDER / f"{name}.csv"
            there = [pd.read_csv(path)] if path.exists() else []
            there = [table[(table.recipe != endpoint.recipe) | (table.seed != endpoint.seed)] for table in there]
            pd.concat([*there, found[name].round(5)]).to_csv(path.with_suffix(".tmp"), index=False)
            os.replace(path.with_suffix(".tmp"), path)


if __name__ == "__main__":
    main()
