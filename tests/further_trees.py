"""Small trees in the formats of WILDS and of torchvision's datasets."""

import pickle

import numpy as np
import pandas as pd
from cifar_tree import pictures, rows
from PIL import Image
from scipy.io import savemat

rng = np.random.default_rng(0)


def save(path, size=(16, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)


def write_fmow(root, n=240):
    """Images of all years and regions; ``seq`` is sequestered, as in the official table."""
    from wiseft_nb.benchmarks.wilds_sets import import_wilds

    categories = import_wilds("fmow_dataset").categories
    folder = root / "fmow_v1.1"
    years, splits = np.arange(n) % 16 + 2002, np.array(["train", "val", "test", "seq", "test"])[np.arange(n) // 16 % 5]
    countries = np.array(["FRA", "KEN", "IND", "USA", "ATA"])[rng.integers(0, 5, n)]
    table = {
        "split": splits,
        "category": [categories[i % 62] for i in range(n)],
        "country_code": countries,
        "timestamp": [f"{year}-06-01T10:00:00Z" for year in years],
    }
    for i in range(n):
        save(folder / "images" / f"rgb_img_{i}.png")
    pd.DataFrame(table).to_csv(folder / "rgb_metadata.csv")
    regions = {"alpha-3": ["FRA", "KEN", "IND", "USA"], "region": ["Europe", "Africa", "Asia", "Americas"]}
    pd.DataFrame(regions).to_csv(folder / "country_code_mapping.csv", index=False)
    (folder / "RELEASE_v1.1.txt").write_text("")
    return folder


def write_iwildcam(root, n=60):
    folder = root / "iwildcam_v2.0"
    splits = ["train", "val", "test", "id_val", "id_test", "test"]
    table = {
        "split": [splits[i % 6] for i in range(n)],
        "filename": [f"{i}.jpg" for i in range(n)],
        "y": [i // 6 % 4 for i in range(n)],
        "location_remapped": [i % 5 for i in range(n)],
        "sequence_remapped": [i % 7 for i in range(n)],
        "datetime": ["2012-03-04 05:06:07.000"] * n,
    }
    for name in table["filename"]:
        save(folder / "train" / name)
    pd.DataFrame(table).to_csv(folder / "metadata.csv")
    categories = {"name": ["empty", "puma concolor", "gone", "unknown", "unknown"], "y": [0, 1, 99999, 2, 3]}
    pd.DataFrame(categories).to_csv(folder / "categories.csv", index=False)
    (folder / "RELEASE_v2.0.txt").write_text("")
    return folder


def write_cifar100(root, n=30):
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for seed, part in enumerate(("train", "test")):
        images, labels = pictures(n, seed)
        batch = {b"data": rows(images), b"fine_labels": labels.tolist(), b"coarse_labels": (labels // 5).tolist()}
        (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    names = [b"apple", b"aquarium_fish", *(f"thing_{i}".encode() for i in range(8))]
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": names}, protocol=2))
    return folder


def write_cars(root, n=12):
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([["Audi A4", "BMW X3"]], dtype=object)})
    for part, path in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        kinds = [("class", "u1"), ("fname", "O")]
        notes = np.array([[(i % 2 + 1, f"{i:05d}.jpg") for i in range(n)]], dtype=kinds)
        savemat(folder / path, {"annotations": notes})
        for i in range(n):
            save(folder / f"cars_{part}" / f"{i:05d}.jpg")
    return folder


def write_dtd(root, n=6):
    folder = root / "dtd/dtd"
    (folder / "labels").mkdir(parents=True)
    for split in ("train", "val", "test"):
        names = [f"{texture}/{texture}_{split}_{i}.jpg" for texture in ("banded", "dotted") for i in range(n)]
        (folder / f"labels/{split}1.txt").write_text("\n".join(names) + "\n")
        for name in names:
            save(folder / "images" / name)
    return folder


def write_food101(root, n=10):
    import json

    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    for part in ("train", "test"):
        files = {food: [f"{food}/{part}{i}" for i in range(n)] for food in ("apple_pie", "waffles")}
        (folder / f"meta/{part}.json").write_text(json.dumps(files))
        for name in [name for names in files.values() for name in names]:
            save(folder / "images" / f"{name}.jpg")
    return folder


def write_sun397(root, n=10):
    folder = root / "SUN397"
    folder.mkdir(parents=True)
    classes = ["/a/abbey", "/a/apartment_building/outdoor"]
    (folder / "ClassName.txt").write_text("\n".join(classes) + "\n")
    for part in ("Training", "Testing"):
        names = [f"{place}/sun_{part}{i}.jpg" for place in classes for i in range(n)]
        (folder / f"{part}_01.txt").write_text("\n".join(names) + "\n")
        for name in names:
            save(folder / name[1:])
    return folder
