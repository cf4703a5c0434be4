"""Build the published tables from a folder of source tables.

    python -m wiseft_nb.make.published FOLDER

The folder holds what the sources published, as wide CSV files in percent (``data/published/README.md``
names the sources). Out come tidy tables in one schema, a row for each accuracy: source, model,
pretrained, method, alpha, dataset, accuracy (a fraction), n (images behind it). What more is known of a
model (learning rate, size, ...) goes into ``NAME.details.csv``.

Explained in notebook 05_redraw_the_paper.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from wiseft_nb.make.published_detection import detection
from wiseft_nb.make.published_failures import failures
from wiseft_nb.make.published_fields import other_fields
from wiseft_nb.make.published_names import DATASETS, METHODS, PAPER, TABLE_3, TRAINING
from wiseft_nb.paths import DATA
from wiseft_nb.robustness.published import KEY, SCHEMA


def tidy(wide: pd.DataFrame) -> pd.DataFrame:
    """Wide table in percent, with the key columns in place -> the schema; empty cells are dropped."""
    columns = [c for c in DATASETS if c in wide.columns]
    keys = [*KEY, "alpha"]
    wide = wide.assign(**{key: "" if key == "pretrained" else np.nan for key in keys if key not in wide.columns})
    table = wide.melt(id_vars=keys, value_vars=columns, var_name="dataset", value_name="accuracy", ignore_index=False)
    table = table.dropna(subset="accuracy").sort_index(kind="stable")
    n = table.dataset.map(lambda name: DATASETS[name][1])
    dataset = table.dataset.map(lambda name: DATASETS[name][0])
    return table.assign(dataset=dataset, accuracy=(table.accuracy / 100).round(8), n=n)[SCHEMA]


def paper_tables(folder: Path) -> pd.DataFrame:
    """Tables 1 and 8, as printed."""
    wide = pd.read_csv(folder / "paper_tables.csv")
    method = wide.method.replace({f" {short}": f", {long}" for short, long in METHODS.items()}, regex=True)
    method = method.mask(wide.alpha == "optimal", method + ", optimal alpha")
    alpha = pd.to_numeric(wide.alpha, errors="coerce")
    return tidy(wide.assign(source=PAPER + wide.table, method=method, alpha=alpha))


def paper_alpha_sweeps(folder: Path) -> pd.DataFrame:
    """Tables 4, 5, 9 and 10: the whole curves."""
    wide = pd.read_csv(folder / "paper_alpha_sweeps.csv")
    numbers = {"CLIP ViT-L/14@336px": 4, "CLIP ViT-B/16": 5, "ALIGN": 9, "JFT ViT-H/14": 10}
    source = PAPER + "Table " + wide.model.map(numbers).astype(str)
    return tidy(wide.assign(source=source, method=wide.method.map(METHODS)))


def paper_differences(folder: Path) -> pd.DataFrame:
    """Table 3: accuracy at the best alpha minus accuracy at 0.5, as printed."""
    columns = list(DATASETS)[:8]
    rows = [
        {"source": PAPER + "Table 3", "model": model, "method": METHODS[kind]} | dict(zip(columns, row, strict=True))
        for (model, kind), row in TABLE_3.items()
    ]
    return tidy(pd.DataFrame(rows))


def by_endpoint(wide: pd.DataFrame, numbers: dict[str, float]) -> pd.DataFrame:
    """Tables 2 and 6, one row a dataset and one column a method -> the schema."""
    columns = {
        "zero_shot": ("zero-shot", 0.0),
        "fine_tuned": ("fine-tuned", 1.0),
        "alpha_0_5": ("WiSE-FT", 0.5),
        "optimal_alpha": ("WiSE-FT", np.nan),
    }
    rows = []
    for row in wide.to_dict("records"):
        for column, (name, alpha) in columns.items():
            if column not in row:
                continue
            method = name if name == "zero-shot" else f"{name}, {METHODS[row['method']]}"
            method += ", optimal alpha" if column == "optimal_alpha" else ""
            metric = row.get("metric", "top-1")
            dataset = row["dataset"] + (f" ({metric})" if metric in ("macro-F1", "worst-region top-1") else "")
            dataset += " pm-0" if metric == "pm-0" else ""
            rows.append((PAPER + row["table"], row["model"], "", method, alpha, dataset, row[column] / 100))
    table = pd.DataFrame(rows, columns=SCHEMA[:-1])
    return table.assign(accuracy=table.accuracy.round(8), n=table.dataset.map(numbers).astype("Int64"))


def paper_further_shifts(folder: Path) -> pd.DataFrame:
    """Table 6. No n for a worst region or a macro-F1: no binomial interval holds for them."""
    numbers = {"ImageNet-Vid-Robust pm-0": 1_109, "YTBB-Robust pm-0": 2_030, "WILDS-FMoW ID": 11_327}
    numbers |= {"CIFAR-10.1 v6": 2_000, "CIFAR-10.2": 2_000}
    wide = pd.read_csv(folder / "paper_further_shifts.csv").replace({"dataset": {"CIFAR-10.1": "CIFAR-10.1 v6"}})
    return by_endpoint(wide, numbers)


def paper_transfer(folder: Path) -> pd.DataFrame:
    """Table 2. SUN397 is scored on CLIP's own test split here."""
    numbers = {name: n for name, n in DATASETS.values()} | {"SUN397": 19_850}
    return by_endpoint(pd.read_csv(folder / "paper_transfer.csv"), numbers)


def testbed(folder: Path) -> pd.DataFrame:
    """The ImageNet testbed; its ObjectNet has 18,514 images."""
    wide = pd.read_csv(folder / "testbed.csv")
    method = wide.nat_type.map(TRAINING).mask(wide.type == "LP_ADV", TRAINING["ROBUST_INTV"] + ", adversarial")
    source = "Taori et al. 2020, github.com/modestyachts/imagenet-testbed"
    table = tidy(wide.assign(source=source, method=method))
    return table.assign(n=table.n.mask(table.dataset == "ObjectNet", 18_514))


def open_clip_zero_shot(folder: Path) -> pd.DataFrame:
    """Zero-shot CLIP models."""
    wide = pd.read_csv(folder / "open_clip_zero_shot.csv")
    source = "github.com/mlfoundations/open_clip, docs/openclip_results.csv"
    return with_details(wide.assign(source=source, method="zero-shot", alpha=0.0), ["params_millions", "gflops"])


def timm(folder: Path) -> pd.DataFrame:
    """timm weights; those whose name has clip and in1k are CLIP models fine-tuned on ImageNet."""
    wide = pd.read_csv(folder / "timm.csv")
    clip = wide.model.str.contains("clip") & wide.model.str.contains("in1k")
    method = pd.Series(np.where(clip, "fine-tuned CLIP", "other training"), wide.index)
    method += ", " + wide.img_size.astype(str) + " px"
    tag = wide.model.str.partition(".")[2]
    source = "github.com/huggingface/pytorch-image-models, results/"
    wide = wide.assign(source=source, pretrained=tag, method=method)
    return with_details(wide, ["img_size", "params_millions"])


def fine_tuned_clip_b32_runs(folder: Path) -> pd.DataFrame:
    """72 fine-tunings of one CLIP and their soups; percent signs of the sources are three decimals."""
    wide = pd.read_csv(folder / "fine_tuned_clip_b32_runs.csv")
    method = wide.kind.replace({"single": "end-to-end"})
    wide = wide.assign(
        source="Wortsman et al. 2022, arXiv 2203.05482, github.com/mlfoundations/model-soups",
        run=wide.model,
        pretrained="openai",
        method=method,
    )
    columns = {f"hp_{name}": name for name in ("aug", "wd", "lr", "mix", "smoothing", "epochs")}
    columns |= {"hp_lr": "learning_rate", "hp_wd": "weight_decay", "hp_aug": "augmentation", "hp_mix": "mixup"}
    return with_details(wide.rename(columns=columns), list(columns.values()))


def alpha_sweeps_third_party(folder: Path) -> pd.DataFrame:
    """Alpha sweeps run by others. The RN101 sweep was logged in two halves; they are joined."""
    wide = pd.read_csv(folder / "alpha_sweeps_third_party.csv").rename(columns={"lr": "learning_rate"})
    owner = wide.source.replace(
        {"beyond-wise-ft": "github.com/RohanSubramani/beyond-wise-ft", "mnpham0417": "github.com/mnpham0417/wise-ft"}
    )
    run = wide.run.replace(
        {"mnpham-2-RN101-openai": "mnpham-RN101-openai", "mnpham-3-RN101-openai": "mnpham-RN101-openai"}
    )
    run = run.str.removeprefix("mnpham-").str.replace("results-results", "results/results")
    method = np.where(wide.frozen_encoder == True, "linear classifier", "end-to-end")
    wide = wide.assign(source=owner + ", " + run, method=method).drop(columns="run")
    wide = wide.rename(columns={"wd": "weight_decay", "train": "trained_on"})
    details = ["trained_on", "epochs", "learning_rate", "batch_size", "weight_decay", "augmentation"]
    return with_details(wide, details)


def cifar10_models(folder: Path) -> pd.DataFrame:
    """CIFAR-10 models on the two versions of CIFAR-10.1."""
    wide = pd.read_csv(folder / "cifar10_models.csv")
    source = "Recht et al. 2018, arXiv 1806.00451, github.com/modestyachts/CIFAR-10.1"
    return tidy(wide.assign(source=source, method="standard training"))


def zero_shot_vs_fine_tuned_pairs(folder: Path) -> pd.DataFrame:
    """One backbone and pretraining set: zero-shot (alpha 0) and fine-tuned on ImageNet (alpha 1)."""
    wide = pd.read_csv(folder / "zero_shot_vs_fine_tuned_pairs.csv", thousands=",")
    wide = wide.assign(model=wide.open_clip_model, pretrained=wide.open_clip_pretrained)
    source = wide.source.str.extract("zero-shot: (?P<before>.*); fine-tuned: (?P<after>.*)")
    before = wide.assign(source=source.before, method="zero-shot", alpha=0.0, image_size=wide.zero_shot_image_size)
    method = "fine-tuned, " + wide.timm_model
    after = wide.assign(source=source.after, method=method, alpha=1.0, image_size=wide.fine_tuned_image_size)
    before = before.drop_duplicates(subset=["model", "pretrained"]).assign(route="")
    ends = [
        end.rename(columns=lambda name, start=start: name.removeprefix(start))
        for end, start in ((before, "zero_shot_"), (after, "fine_tuned_"))
    ]
    ends = [end.loc[:, ~end.columns.duplicated(keep="last")] for end in ends]
    wide = pd.concat(ends, ignore_index=True)
    return with_details(wide, ["route", "image_size", "pretrained_on", "notes"])


def beyond_wise_ft(folder: Path) -> pd.DataFrame:
    """Methods that came after WiSE-FT: accuracies alone, and only those that were read in the source itself."""
    long = pd.read_csv(folder / "beyond_wise_ft.csv").query("metric == 'accuracy' and checked == 'yes'")
    setting, table = long.setting.fillna(""), long.paper + ", " + long.table
    named = setting.where(setting == "", ", " + setting)
    several = (
        long.assign(setting=setting).groupby(["paper", "table", "backbone", "method"]).setting.transform("nunique")
    )
    method = long.method + named.where(several > 1, "")
    long = long.assign(source=table + ", " + long.source, printed_in=table, name=long.method, method=method)
    keys = ["source", "backbone", "method", "printed_in", "name", "setting"]
    long = long.assign(setting=setting)
    wide = long.pivot(index=keys, columns="dataset", values="value").reset_index()
    wide = wide.assign(model=wide.backbone.str.replace(" (OpenAI)", "", regex=False), pretrained="openai")
    return with_details(wide, ["printed_in", "name", "setting"])


def newer_zero_shot(folder: Path) -> pd.DataFrame:
    """Zero-shot models that open_clip's table has not, and LAION's scaling runs."""
    long = pd.read_csv(folder / "newer_zero_shot.csv").query("checked == 'yes'")
    long = long.assign(pretrained=long.pretrained_on.fillna(""), method="zero-shot", alpha=0.0)
    details = ["family", "samples_seen", "params_millions_image", "params_millions_text", "image_size", "training"]
    keys = [*KEY, "alpha", *details]
    wide = (
        long[keys]
        .drop_duplicates(subset=KEY)
        .merge(long.pivot(index=KEY, columns="dataset", values="accuracy").reset_index(), on=KEY)
    )
    return with_details(wide, details)


def with_details(wide: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The tidy table; its ``attrs["details"]`` has one row for each model with the columns named."""
    table = tidy(wide)
    details = wide.reindex(columns=[*KEY, *columns]).drop_duplicates(subset=KEY)
    table.attrs["details"] = details
    return table


MAKERS = [
    paper_tables,
    paper_alpha_sweeps,
    paper_differences,
    paper_further_shifts,
    paper_transfer,
    testbed,
    open_clip_zero_shot,
    timm,
    fine_tuned_clip_b32_runs,
    alpha_sweeps_third_party,
    cifar10_models,
    zero_shot_vs_fine_tuned_pairs,
    beyond_wise_ft,
    newer_zero_shot,
    failures,
    other_fields,
    detection,
]


def write(table: pd.DataFrame, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path.with_suffix(".tmp"), index=False)
    os.replace(path.with_suffix(".tmp"), path)


def build(folder: Path, into: Path = DATA / "published") -> None:
    """All tables."""
    for make in MAKERS:
        table = make(folder)
        write(table, into / f"{make.__name__}.csv")
        if "details" in table.attrs:
            write(table.attrs["details"], into / f"{make.__name__}.details.csv")
        print(f"{make.__name__}: {len(table):,} rows")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the source tables")
    build(parser.parse_args().folder)
