"""Whether a classifier, a benchmark and another classifier belong together, and what a key says of them.

Explained in notebook 03_interpolate.
"""

import torch
from torch.utils.data import Dataset

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.benchmarks.asked import asked_of
from wiseft_nb.engine.batches import check_dataset, pair
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.engine.compute import EXACT, device_of, evaluating, seeded
from wiseft_nb.engine.processes import from_main
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier


def check_classes(classifier: ImageClassifier, benchmark: Benchmark) -> None:
    """Refuse a benchmark whose classes, or their order, are not the classifier's."""
    ours, theirs = tuple(classifier.class_names), tuple(benchmark.class_names)
    if ours != theirs:
        where = next(
            (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
        )
        raise WiseftError(
            f"the classifier's {len(ours)} classes are not the {len(theirs)} of benchmark {benchmark.name}, or stand in "
            f"another order, first at number {where}: build the classifier from this benchmark's class names"
        )


def check_same_inputs(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, dataset: Dataset) -> None:
    """Refuse endpoints that see a dataset differently: a transform's text may not tell all that it does."""
    check_dataset(dataset)
    first = pair(dataset[0])[0]
    if fingerprint(zero_shot.collate([first])) != fingerprint(fine_tuned.collate([first])):
        raise WiseftError(
            "the endpoints make different inputs of one image, so a mixture of their weights fits neither: give both "
            "the same preprocess"
        )


@torch.no_grad()
def fingerprint_input(classifier: ImageClassifier, dataset: Dataset, augment: bool = False) -> str:
    """The fingerprint of a dataset as a classifier sees it.

    Its samples, what it asks for, and of its first and last sample what preprocessing makes and what the
    classifier says: neither a transform's text nor a network's weights tell all that they do.
    """
    check_dataset(dataset)

    def told() -> str:
        ends = [pair(dataset[i])[0] for i in sorted({0, len(dataset) - 1})]
        with seeded(0), evaluating(classifier):  # crops draw from torch's generator
            seen = [classifier.collate([value], augment) for value in ends]
            said = [EXACT.prepare(classifier)(batch) for batch in seen]
        device = device_of(classifier)
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return fingerprint(dataset, asked_of(dataset), seen, said, where)

    return from_main(told)
