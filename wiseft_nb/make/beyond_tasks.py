"""One encoder for two tasks, digits and letters: PAINT, task arithmetic, TIES, DARE and Fisher.

Heads are zero-shot and frozen, so that what is merged is the encoder alone. The coefficient of each merged step is
chosen on the validation data of both tasks, the best mean accuracy, of equal ones the smallest.

Explained in notebook 10_go_beyond.
"""

import copy
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from wiseft_nb.analyse.fisher import fisher_diagonal, fisher_merge
from wiseft_nb.analyse.merging import add_task_vectors, dare, task_vector, ties
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.evaluate import evaluate
from wiseft_nb.make.beyond_methods import letters_run, patched
from wiseft_nb.make.beyond_world import World
from wiseft_nb.make.measured import Measured
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.zero_shot import zero_shot_classifier

COEFFICIENTS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
FISHER_IMAGES = 100


def tasks(world: World, seed: int) -> list[dict]:
    """The rows of a seed: validation accuracy of every coefficient, test accuracy of the chosen one."""
    measured = Measured(world.benchmark, seed)
    zero = world.zero_shot, zero_shot_classifier(world.clip, world.letters)
    theta_0 = zero[0].image_encoder.state_dict()
    for name, step in steps_of(world, seed, theta_0).items():
        validation = {}
        for a in COEFFICIENTS if step else (0.0,):
            both = with_encoder(zero, add_task_vectors(theta_0, [step], a) if step else theta_0)
            of_each = [evaluate(m, b.val, progress=False).accuracy() for m, b in each(both, world)]
            validation[a] = np.mean(of_each)
            for place, found in zip(("val", "letters val"), of_each, strict=True):
                measured.add("tasks", name, a, "accuracy", place, found)
        chosen = max(validation, key=validation.get)  # of equal ones the first, which is the smallest
        both = with_encoder(zero, add_task_vectors(theta_0, [step], chosen) if step else theta_0)
        tests = world.benchmark.test_sets
        measured.accuracies("tasks", name, chosen, {n: evaluate(both[0], d, progress=False) for n, d in tests.items()})
        said = evaluate(both[1], world.letters.reference, progress=False)
        measured.add("tasks", name, chosen, "accuracy", "letters", said.accuracy(), *said.interval())
        measured.add("tasks", name, chosen, "chosen coefficient", "val", chosen)
    return measured.rows


def steps_of(world: World, seed: int, theta_0: Mapping[str, Tensor]) -> dict[str, dict | None]:
    """Of each way to merge its step away from theta_0; none for zero-shot."""
    runs = patched(world, seed), letters_run(world, seed)
    thetas = [run.image_encoder.state_dict() for run in runs]
    taus = [task_vector(theta_0, theta) for theta in thetas]
    still = {name: t.new_zeros(t.shape) for name, t in theta_0.items()}
    fishers = [
        {name.removeprefix("image_encoder."): t for name, t in fisher_diagonal(run, task, FISHER_IMAGES, seed).items()}
        for run, task in zip(runs, (world.benchmark, world.letters), strict=True)
    ]
    return {
        "zero-shot": None,
        "PAINT, digits": taus[0],
        "PAINT, letters": taus[1],
        "task arithmetic": add_task_vectors(still, taus),
        "TIES": ties(taus),
        "DARE": add_task_vectors(still, [dare(tau, seed=2 * seed + k) for k, tau in enumerate(taus)]),
        "Fisher": task_vector(theta_0, fisher_merge(thetas, fishers)),
    }


def each(both: tuple[ImageClassifier, ...], world: World) -> list[tuple[ImageClassifier, Benchmark]]:
    """The classifier of each task with its benchmark."""
    return list(zip(both, (world.benchmark, world.letters), strict=True))


def with_encoder(
    classifiers: tuple[ImageClassifier, ...], encoder: Mapping[str, Tensor]
) -> tuple[ImageClassifier, ...]:
    """Copies of the classifiers with another encoder."""
    made = copy.deepcopy(classifiers)
    for classifier in made:
        classifier.image_encoder.load_state_dict(encoder)
    return made
