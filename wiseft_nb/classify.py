"""Classifier + images of your own -> a table of labels and probabilities.

Explained in notebook 11_use_real_clip.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.images import ENDINGS, read_image, to_rgb
from wiseft_nb.benchmarks.own.problems import look_at
from wiseft_nb.engine.batches import batches, in_order
from wiseft_nb.engine.compute import EXACT, Compute
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier

Images = str | Path | Dataset | Sequence[str | Path | Image.Image]


class Unlabelled(Dataset):
    """Images without labels; yields ``(PIL.Image, 0)``."""

    def __init__(self, images: Sequence[Path | Image.Image]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = self.images[index]
        return (image if isinstance(image, Image.Image) else read_image(image)), 0


@torch.no_grad()
def classify(
    classifier: ImageClassifier,
    images: Images,
    *,
    top: int = 3,
    batch_size: int = 250,
    progress: bool = True,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> pd.DataFrame:
    """What a classifier says about images, a row each.

    Parameters
    ----------
    classifier : ImageClassifier
        Put into evaluation mode.
    images : path, sequence of paths or PIL images, or Dataset
        A folder is searched at every depth, its files taken in order.
    top : int
        How many classes to name; at most as many as there are.
    batch_size : int
    progress : bool
        Whether to show a progress bar.
    compute : Compute
        Reduced precision and the like, for speed.
    workers : int, optional
        Processes that read images ahead.

    Returns
    -------
    pandas.DataFrame
        ``image`` (the path, or the number of an image in memory), ``label`` and ``probability`` of the
        most probable class, then ``label_2``, ``probability_2`` and so on. Probabilities, in [0, 1], are
        the softmax of the logits. ``to_csv("predictions.csv", index=False)`` writes it.

    Raises
    ------
    WiseftError
        If there is no image, or files are missing or unreadable; all of them are named.

    Examples
    --------
    >>> from wiseft_nb import load_benchmark, load_clip, zero_shot_classifier
    >>> digits = load_benchmark("digits")
    >>> reader = zero_shot_classifier(load_clip("digits-rn"), digits)
    >>> table = classify(reader, [image for image, label in digits.reference.subset(range(3))], progress=False)
    >>> list(table.columns)[:4], len(table)
    (['image', 'label', 'probability', 'label_2'], 3)

    Explained in notebook 11_use_real_clip.
    """
    if not 1 <= top:
        raise WiseftError(f"top is {top}: expected 1 or more")
    names, dataset = named(images)
    top, rows = min(top, len(classifier.class_names)), []
    forward = compute.prepare(classifier.eval())
    with tqdm(total=len(names), desc="classifying", disable=not progress) as bar:
        for inputs, _ in batches(
            dataset, in_order(len(names), batch_size), classifier.collate, len(classifier.class_names), workers
        ):
            found = forward(inputs).softmax(dim=1).cpu().topk(top, dim=1)
            rows += zip(found.indices.tolist(), found.values.tolist(), strict=True)
            bar.update(len(inputs))
    columns: dict[str, list] = {"image": names}
    for k in range(top):
        suffix = f"_{k + 1}" if k else ""
        columns[f"label{suffix}"] = [classifier.class_names[classes[k]] for classes, _ in rows]
        columns[f"probability{suffix}"] = [probabilities[k] for _, probabilities in rows]
    return pd.DataFrame(columns)


def named(images: Images) -> tuple[list[str] | list[int], Dataset]:
    """Images with their names: paths, or numbers for images in memory. Unreadable files are refused, all named."""
    if isinstance(images, str | Path):
        path = Path(images)
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not found:
            raise WiseftError(f"{path} holds no images: expected files that end in {', '.join(ENDINGS)}")
        images = found
    if isinstance(images, Dataset):
        names, dataset = list(range(len(images))), images
    elif all(isinstance(image, str | Path) for image in images):
        paths = [Path(path) for path in images]
        _, unreadable = look_at(paths)
        if unreadable:
            raise WiseftError("some images cannot be classified:\n" + "\n".join(f"- {line}" for line in unreadable))
        names, dataset = [path.as_posix() for path in paths], Unlabelled(paths)
    elif all(isinstance(image, Image.Image) for image in images):
        names, dataset = list(range(len(images))), Unlabelled([to_rgb(image) for image in images])
    else:
        raise WiseftError("images of several kinds: pass a path, or a list of paths or of PIL images")
    if not names:
        raise WiseftError("there is no image to classify: pass at least one")
    return names, dataset
