"""What ``make benchmark`` compares: each function makes ours and the other way, and checks that they agree."""

import copy
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.benchmarks.own.folder import ImageFiles
from wiseft_nb.engine.compute import Compute
from wiseft_nb.engine.training import set_train_mode
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune, schedule, training_batches
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import Clip, load_clip
from wiseft_nb.sweep import BATCH, sweep
from wiseft_nb.zero_shot import zero_shot_classifier, zero_shot_head

Sides = dict[str, Callable[[], object]]
ALPHAS = tuple(i / 10 for i in range(11))
FEW_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
CLASSES = tuple("0123456789")


@dataclasses.dataclass(frozen=True)
class Size:
    """How large everything is."""

    architecture: str = "ViT-B-32"
    classes: int = 50
    files: int = 2000
    few: int = 200
    images: int = 1000


FULL = Size()
QUICK = Size("RN50", classes=1, files=12, few=4, images=40)


def random_clip(architecture: str) -> Clip:
    """A CLIP of an architecture with random weights: as slow as a trained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, augment, preprocess = open_clip.create_model_and_transforms(architecture)
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    return Clip(architecture, model.eval(), open_clip.get_tokenizer(architecture), preprocess, augment, config)


def two_ends(zero_shot: ImageClassifier, linear: bool = False) -> tuple[ImageClassifier, ImageClassifier]:
    """A classifier and one whose weights, or whose head's weights, lie a little off."""
    other = copy.deepcopy(zero_shot)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for p in (other.classification_head if linear else other).parameters():
            p.mul_(1 + 0.02 * torch.randn_like(p))
    return zero_shot, other


def random_classifier(architecture: str) -> ImageClassifier:
    """Ten classes and random weights."""
    clip = random_clip(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = ClassificationHead(torch.randn(len(CLASSES), clip.config["model_cfg"]["embed_dim"]))
    return ImageClassifier(clip.model.visual, head, clip.preprocess, clip.augment, CLASSES, clip.config).eval()


def bundled() -> tuple[ImageClassifier, Benchmark]:
    """The bundled CLIP as a classifier, and its benchmark."""
    benchmark = load_benchmark("digits")
    return zero_shot_classifier(load_clip("digits-rn"), benchmark), benchmark


def jpeg_files(folder: Path, n: int) -> ImageFiles:
    """Smooth coloured images of about 500 x 375 pixels, ten classes of them; made where there are none yet."""
    folder = folder / f"{n} files"
    if not folder.exists():
        dice = np.random.default_rng(0)
        for i in range(n):
            place = folder / CLASSES[i % len(CLASSES)] / f"{i}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(dice.integers(0, 256, (30, 40, 3), dtype=np.uint8))
            size = (int(dice.integers(480, 521)), int(dice.integers(360, 391)))
            coarse.resize(size, Image.Resampling.BICUBIC).save(place, quality=90)
    return ImageFiles(folder, list(CLASSES))


def agree(what: str, ours: object, other: object) -> None:
    """Refuse to time what gives another answer."""
    if not ours == other:
        raise WiseftError(f"{what}: ours gives {ours}, the other way {other}; a comparison of speed would say nothing")


def head(size: Size, folder: Path) -> Sides:
    """Prompts of ImageNet through the text tower, every class in all of the 80 templates."""
    clip = random_clip(size.architecture)
    names, templates = open_clip.IMAGENET_CLASSNAMES[: size.classes], open_clip.OPENAI_IMAGENET_TEMPLATES

    def ours(names: list[str] = names) -> Tensor:
        return zero_shot_head(clip, names, templates)

    def other(names: list[str] = names) -> Tensor:
        return open_clip.build_zero_shot_classifier(clip.model, clip.tokenizer, names, templates)

    few = names[:2]
    difference = (ours(few) / clip.model.logit_scale.exp() - other(few).T).abs().max().item()
    agree("zero_shot_head, largest difference of 1e-5 at most", difference <= 1e-5, True)
    return {"ours": ours, "open_clip": other}


def naive_sweep(
    ends: tuple[ImageClassifier, ImageClassifier], files: ImageFiles, alphas: tuple[float, ...], workers: int
) -> list[float]:
    """Each alpha on its own: mix the weights, read and decode every file, count."""
    accuracies = []
    for alpha in alphas:
        model = wise_ft(*ends, alpha)

        def collate(samples: list, model: ImageClassifier = model) -> tuple[Tensor, Tensor]:
            images, labels = zip(*samples, strict=True)
            return torch.stack([model.preprocess(image) for image in images]), torch.tensor(labels)

        loader = DataLoader(files, BATCH, num_workers=workers, collate_fn=collate)
        with torch.no_grad():
            correct = [model(images).argmax(1) == labels for images, labels in loader]
        accuracies.append(torch.cat(correct).double().mean().item())
    return accuracies


def our_sweep(
    ends: tuple[ImageClassifier, ImageClassifier], dataset: object, alphas: tuple[float, ...]
) -> pd.DataFrame:
    """``sweep`` over one dataset, without the cache."""
    benchmark = Benchmark("files", ends[0].class_names, (), dataset, dataset, dataset, {}, "reference")
    return sweep(*ends, benchmark, alphas, {"files": dataset}, progress=False)


def sweep_files(size: Size, folder: Path, workers: int = 0) -> Sides:
    """Both from the files to the table, with the bundled CLIP."""
    ends, files = two_ends(bundled()[0]), jpeg_files(folder, size.files)
    some = copy.copy(files)
    some.files = files.files[:: max(1, len(files) // 20)]
    agree("sweep", our_sweep(ends, some, FEW_ALPHAS).accuracy.tolist(), naive_sweep(ends, some, FEW_ALPHAS, 0))
    return {
        "ours": lambda: our_sweep(ends, files, ALPHAS),
        f"naive, {workers} workers": lambda: naive_sweep(ends, files, ALPHAS, workers),
    }


def sweep_files_by_workers(size: Size, folder: Path) -> Sides:
    """The same against a DataLoader that has two processes read ahead."""
    return sweep_files(size, folder, workers=2)


def sweep_forward(size: Size, folder: Path) -> Sides:
    """From the files to the table, against nothing but the forward passes."""
    ends, files = two_ends(random_classifier(size.architecture)), jpeg_files(folder, size.few)
    batches = ends[0].collate([image for image, _ in files]).split(BATCH)
    labels = torch.tensor([label for _, label in files.files])

    @torch.no_grad()
    def forward(passes: int = len(FEW_ALPHAS)) -> Tensor:
        for _ in range(passes):
            logits = torch.cat([ends[0](images) for images in batches])
        return logits

    accuracy = (forward(1).argmax(1) == labels).double().mean().item()
    agree("sweep at alpha 0", our_sweep(ends, files, (0.0,)).accuracy.tolist(), [accuracy])
    return {"ours": lambda: our_sweep(ends, files, FEW_ALPHAS), "pure forward": forward}


def sweep_linear(size: Size, folder: Path) -> Sides:
    """A hundred alphas between two heads, against the two alone."""
    zero_shot, benchmark = bundled()
    ends, images = two_ends(zero_shot, linear=True), benchmark.reference.subset(slice(size.images))
    many, two = tuple(np.linspace(0, 1, 101).tolist()), (0.0, 1.0)
    table = our_sweep(ends, images, many)
    agree("sweep", table.accuracy.iloc[[0, -1]].tolist(), our_sweep(ends, images, two).accuracy.tolist())
    return {"ours": lambda: our_sweep(ends, images, many), "two ends": lambda: our_sweep(ends, images, two)}


def fine_tuning(size: Size, folder: Path) -> Sides:
    """An epoch from images, with augmentation, against the same steps on batches that were prepared before."""
    zero_shot, benchmark = bundled()
    small = dataclasses.replace(
        benchmark, train=benchmark.train.subset(slice(size.images)), val=benchmark.val.subset(slice(10))
    )
    config = FineTuneConfig(epochs=1, batch_size=min(128, size.images // 2))
    prepared = list(training_batches(small.train, zero_shot, config))

    def ours() -> ImageClassifier:
        return fine_tune(zero_shot, small, config, progress=False)

    def by_hand() -> ImageClassifier:
        model = copy.deepcopy(zero_shot)
        parameters = list(model.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        set_train_mode(model, config.train_batchnorm)
        for step, (images, labels) in enumerate(prepared):
            optimizer.param_groups[0]["lr"] = config.lr * schedule(step, len(prepared), config.warmup)
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip_norm)
            optimizer.step()
        return model.eval()

    vectors = [nn.utils.parameters_to_vector(side().parameters()) for side in (ours, by_hand)]
    agree("fine_tune", bool(torch.allclose(*vectors, atol=1e-6)), True)
    return {"ours": ours, "by hand": by_hand}


def compute_options(size: Size) -> list[dict]:
    """Speed and accuracy of each way to compute, against float32; a row for one that cannot run says so."""
    zero_shot, benchmark = bundled()
    images = benchmark.reference.subset(slice(size.images))
    options = {
        "bfloat16": Compute("bfloat16"),
        "channels last": Compute(channels_last=True),
        "torch.compile": Compute(compile=True),
    }
    exact, rows = evaluate(zero_shot, images), []
    for name, compute in options.items():
        try:
            found = evaluate(zero_shot, images, compute=compute)  # and warm up
        except RuntimeError as error:  # torch.compile without a compiler
            rows.append({"option": name, "failed": f"cannot run here ({type(error).__name__})"})
            continue
        ratios = []
        for _ in range(5):
            seconds = [timed(lambda c=c: evaluate(zero_shot, images, compute=c)) for c in (Compute(), compute)]
            ratios.append(seconds[0] / seconds[1])
        logits = (found.logits - exact.logits).abs().max().item()
        difference = found.accuracy() - exact.accuracy()
        rows.append(
            {"option": name, "ratio": statistics.median(ratios), "ratios": ratios}
            | {"difference": difference, "logits": logits, "n": exact.n}
        )
    return rows


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_of_sweep(alphas: int, images: int) -> float:
    """Most memory this process ever had, in MiB, after a sweep."""
    import resource  # not on Windows

    zero_shot, benchmark = bundled()
    our_sweep(two_ends(zero_shot), benchmark.reference.subset(slice(images)), tuple(np.linspace(0, 1, alphas).tolist()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # Linux counts in KiB
