"""Classifier + images of your own -> a table of labels and probabilities.

Explained in notebook 11_use_real_clip.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from wiseft_nb.benchmarks.asked import asked_of
from wiseft_nb.benchmarks.images import read_image, upright_rgb
from wiseft_nb.benchmarks.listing import ENDINGS, list_images, not_taken, warn_not_taken
from wiseft_nb.benchmarks.own.problems import look_at
from wiseft_nb.engine.batches import default_workers, pair
from wiseft_nb.engine.compute import EXACT, Compute, evaluating
from wiseft_nb.engine.forward import BATCH, PATIENCE, forward_over, progress_bar
from wiseft_nb.engine.nested import Batch
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier, check_classifier, check_logits

Images = str | Path | Image.Image | Dataset | Iterable[str | Path | Image.Image]


class Unlabelled(Dataset):
    """Images whose labels, if they have any, do not matter; yields ``(input, 0)``."""

    def __init__(self, images: Sequence[Path | Image.Image] | Dataset):
        self.images = images

    @property
    def in_memory(self) -> bool:
        """Whether no file has to be read for them."""
        if isinstance(self.images, list):
            return not any(isinstance(image, Path) for image in self.images)
        return default_workers(self.images) == 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[object, int]:
        image = self.images[index]
        if isinstance(image, Path):
            return read_image(image), 0
        if isinstance(image, Mapping):
            return pair(image)[0], 0
        return (image[0] if isinstance(image, tuple | list) else image), 0


def classify(
    classifier: ImageClassifier,
    images: Images,
    *,
    top: int = 3,
    batch_size: int = BATCH,
    progress: bool = True,
    compute: Compute = EXACT,
    workers: int | None = None,
) -> pd.DataFrame:
    """What a classifier says about images, a row each.

    Parameters
    ----------
    classifier : ImageClassifier
        Run in evaluation mode, and left as it was.
    images : path, PIL image, several paths or several PIL images, or Dataset
        A folder is searched at every depth, its files taken in order; hidden ones are passed over, and a
        warning names files that are not taken. Labels of a dataset do not matter, its ``class_subset`` and
        ``class_groups`` do, as in ``evaluate``: classes of a group are named together.
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
    check_classifier(classifier)
    if not 1 <= top:
        raise WiseftError(f"top is {top}: expected 1 or more")
    names, dataset = named(images)
    answers = answers_of(classifier, dataset.images)
    top = min(top, len(answers))
    with evaluating(classifier), progress_bar(len(names), "classify (images)", progress, PATIENCE) as bar:
        forward = compute.prepare(classifier)

        def likely(inputs: Batch, _: Sequence[str]) -> dict[str, Tensor]:
            logits = forward(inputs).cpu()
            check_logits(logits)
            found = among(logits, list(answers.values())).softmax(dim=1).topk(top, dim=1)
            return {"answer": found.indices, "probability": found.values}

        found = forward_over(
            likely,
            dataset,
            ["answer", "probability"],
            classifier.collate,
            len(classifier.class_names),
            batch_size=batch_size,
            workers=workers,
            bar=bar,
        )
    columns, said = {"image": names}, list(answers)
    for k in range(top):
        suffix = f"_{k + 1}" if k else ""
        columns[f"label{suffix}"] = [said[i] for i in found["answer"][:, k].tolist()]
        columns[f"probability{suffix}"] = found["probability"][:, k].tolist()
    return pd.DataFrame(columns)


def answers_of(classifier: ImageClassifier, images: Dataset | list) -> dict[str, list[int]]:
    """What can be said of a dataset: names, and the classes of the classifier that each stands for."""
    names, asked = classifier.class_names, asked_of(images)
    groups = asked.class_groups
    if groups is None:
        groups = [(i,) for i in (range(len(names)) if asked.class_subset is None else asked.class_subset)]
    return {" or ".join(names[i] for i in group): list(group) for group in groups if group}


def among(logits: Tensor, groups: Sequence[list[int]]) -> Tensor:
    """The logit of each group of classes, the largest of theirs: ``(n, groups)``."""
    return torch.stack([logits[:, group].amax(dim=1) for group in groups], dim=1)


def named(images: Images) -> tuple[list[str] | list[int], Unlabelled]:
    """Images with their names: paths, or numbers for images in memory. Unreadable files are refused, all named."""
    if isinstance(images, Dataset):
        names, found = list(range(len(images))), images
    else:
        found = in_folder(Path(images).expanduser()) if isinstance(images, str | Path) else images
        found = [found] if isinstance(found, Image.Image) else list(found) if isinstance(found, Iterable) else [found]
        names, found = named_list([Path(image) if isinstance(image, str) else image for image in found])
    if not names:
        raise WiseftError("there is no image to classify: pass at least one")
    return names, Unlabelled(found)


def in_folder(path: Path) -> list[Path]:
    """The images in a folder; or the one file that it is."""
    if not path.is_dir():
        return [path]
    found, others = list_images(path)
    if not found:
        also = "".join(f"; {line}" for line in not_taken(others))
        raise WiseftError(f"{path} holds no images: expected files that end in {', '.join(ENDINGS)}{also}")
    warn_not_taken(others)
    return found


def named_list(images: list) -> tuple[list[str] | list[int], list[Path] | list[Image.Image]]:
    """Paths with themselves as names, or PIL images with their numbers; each is looked at."""
    if all(isinstance(image, Path) for image in images):
        paths = [path.expanduser() for path in images]
        _, unreadable = look_at(paths)
        if unreadable:
            raise WiseftError("some images cannot be classified:\n" + "\n".join(f"- {line}" for line in unreadable))
        return [path.as_posix() for path in paths], paths
    if all(isinstance(image, Image.Image) for image in images):
        return list(range(len(images))), [upright_rgb(image) for image in images]
    known = {Path: "path", Image.Image: "PIL image"}
    kinds = sorted({next((n for k, n in known.items() if isinstance(i, k)), type(i).__name__) for i in images})
    raise WiseftError(
        f"images are of the kind {' and '.join(kinds)}: expected a path, a PIL image, several of one of these, or a "
        "Dataset; PIL.Image.fromarray makes an image of an array of bytes"
    )
