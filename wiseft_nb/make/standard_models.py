"""Train the standard models that effective robustness is measured against.

    python -m wiseft_nb.make.standard_models

Each is trained on reference training images alone, from scratch, in the spirit of the ImageNet
testbed (Taori et al. 2020, arXiv 2007.00644): linear, kernel, tree and neighbour models, CNNs and
ResNets of several sizes, 100 to all training images, with and without augmentation. Writes
``data/baselines/digits.csv``, and ``digits.npz`` with a bit for each image; a model that stands in
both already is not trained again.

Explained in notebook 04_measure_robustness.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import Tensor, nn
from tqdm.auto import tqdm

from wiseft_nb.benchmarks import Benchmark, ImageSet, load_benchmark
from wiseft_nb.benchmarks.digits.draw import Dice, warp
from wiseft_nb.intervals import accuracy_row
from wiseft_nb.paths import DATA

TABLE = DATA / "baselines" / "digits.csv"
ANSWERS = TABLE.with_suffix(".npz")  # model -> a bit an image, of all test sets in order: was it read?
Predictor = Callable[[Tensor], Tensor]  # images (n, 3, 32, 32) in [0, 1] -> scores (n, 10)


@dataclass(frozen=True)
class StandardModel:
    """One model of the baseline: what it is, how much it sees, how it is trained."""

    family: str
    size: str
    train_size: int
    augmentation: str = "none"
    epochs: int = 0

    @property
    def name(self) -> str:
        """Unique, readable."""
        epochs = f", {self.epochs} epochs" if self.epochs else ""
        return f"{self.family} {self.size}, {self.train_size} images{epochs}, {self.augmentation} augmentation"


SKLEARN = {
    "logistic regression": {"C=0.01": LogisticRegression(C=0.01, max_iter=300)},
    "support vector machine": {"rbf": SVC(C=5), "linear": SVC(kernel="linear", C=0.1)},
    "nearest neighbours": {"k=1": KNeighborsClassifier(1), "k=5": KNeighborsClassifier(5)},
    "random forest": {"200 trees": RandomForestClassifier(200, random_state=0)},
    "extra trees": {"200 trees": ExtraTreesClassifier(200, random_state=0)},
    "naive Bayes": {"gaussian": GaussianNB(var_smoothing=0.1)},
}
SIZES = (100, 300, 1000, 3500)


def all_models() -> list[StandardModel]:
    """The whole baseline, fixed before any test set is looked at."""
    classical = [StandardModel(family, size, n) for family, sizes in SKLEARN.items() for size in sizes for n in SIZES]
    networks = [
        StandardModel(family, size, n, augmentation, epochs)
        for family, size in (("CNN", "8"), ("CNN", "32"), ("ResNet", "8"), ("ResNet", "16"))
        for n, epochs in ((100, 200), (500, 60), (3500, 3), (3500, 15))
        for augmentation in ("none", "affine")
    ]
    return classical + networks


class CNN(nn.Sequential):
    """Three strided convolutions and a linear layer; ``width`` channels after the first."""

    def __init__(self, width: int):
        widths = (3, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16 * width, 10))


def new_network(family: str, width: int) -> nn.Module:
    """An untrained network; ResNets are of the kind of the bundled CLIP's image encoder."""
    if family == "CNN":
        return CNN(width)
    return ModifiedResNet([1, 1, 1, 1], output_dim=10, heads=8, image_size=32, width=width)


def images_of(dataset: ImageSet) -> Tensor:
    """All images as a tensor ``(n, 3, 32, 32)`` in [0, 1]."""
    return torch.from_numpy(dataset.images).permute(0, 3, 1, 2).float() / 255


def affine(images: Tensor, dice: Dice) -> Tensor:
    """Small rotations, scalings and shifts of white-on-black digits."""
    n = len(images)
    size = dice(0.85, 1.15, n)
    jitter = dict(rotation=dice(-0.25, 0.25, n), width=size, height=size, shear=dice(-0.15, 0.15, n))
    masks = warp(images[:, 0], **jitter, x=dice(-0.12, 0.12, n), y=dice(-0.12, 0.12, n))
    return masks[:, None].expand(-1, 3, -1, -1)


def fit(model: StandardModel, train: ImageSet, seed: int = 0) -> Predictor:
    """Train one model on the first ``train_size`` images."""
    few = train.subset(np.arange(model.train_size))
    if model.family in SKLEARN:
        return fit_classical(model, few)
    return fit_network(model, images_of(few), torch.from_numpy(few.labels), seed)


def fit_classical(model: StandardModel, few: ImageSet) -> Predictor:
    """A scikit-learn model on grey pixels."""

    def pixels(images: Tensor) -> np.ndarray:
        return images.mean(1).flatten(1).numpy()

    estimator = SKLEARN[model.family][model.size].fit(pixels(images_of(few)), few.labels)
    return lambda images: F.one_hot(torch.from_numpy(estimator.predict(pixels(images))), 10).float()


def fit_network(model: StandardModel, images: Tensor, labels: Tensor, seed: int) -> Predictor:
    """A network trained from scratch with AdamW and a cosine."""
    torch.manual_seed(seed)
    network, dice = new_network(model.family, int(model.size)).train(), Dice(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    steps = model.epochs * max(1, len(labels) // 100)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        if step * 100 % len(labels) == 0:
            order = dice.permutation(len(labels))
        chosen = order.roll(-step * 100 % len(labels))[:100]
        batch = affine(images[chosen], dice) if model.augmentation == "affine" else images[chosen]
        loss = F.cross_entropy(network((batch - 0.5) / 0.27), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine.step()
    network.eval()

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        return torch.cat([network((batch - 0.5) / 0.27) for batch in images.split(500)])

    return predict


def correct(predictor: Predictor, datasets: dict[str, ImageSet]) -> dict[str, np.ndarray]:
    """Whether the model read each image: bool ``(n,)`` for every dataset."""
    return {name: predictor(images_of(data)).argmax(1).numpy() == data.labels for name, data in datasets.items()}


def rows(model: StandardModel, right: dict[str, np.ndarray]) -> pd.DataFrame:
    """Tidy rows: the model on every dataset."""
    about = {"model": model.name, "family": model.family, "train_size": model.train_size}
    about["augmentation"] = model.augmentation
    return pd.DataFrame(
        about | {"dataset": name} | accuracy_row(int(found.sum()), len(found)) for name, found in right.items()
    )


def main(benchmark: Benchmark | None = None) -> None:
    """Train what is missing from either table, one model after the other."""
    benchmark = benchmark or load_benchmark("digits")
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["model"])
    bits = dict(np.load(ANSWERS)) if ANSWERS.exists() else {}
    for model in tqdm([m for m in all_models() if m.name not in {*table.model} & {*bits}], desc="standard models"):
        right = correct(fit(model, benchmark.train), benchmark.test_sets)
        table = pd.concat([table[table.model != model.name], rows(model, right)])
        bits[model.name] = np.packbits(np.concatenate(list(right.values())))
        drafts = [path.with_name(f"{path.name}.tmp") for path in (TABLE, ANSWERS)]
        table.round(6).to_csv(drafts[0], index=False)
        with drafts[1].open("wb") as file:
            np.savez_compressed(file, **bits)
        for draft, path in zip(drafts, (TABLE, ANSWERS), strict=True):
            os.replace(draft, path)


if __name__ == "__main__":
    main()
