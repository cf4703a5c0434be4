"""Ensembles of models of which none, or one, is robust; and of linear classifiers, where weights and outputs are one.

Explained in notebook 07_compare_ensembles.
"""

import numpy as np
import torch

from wiseft_nb.analyse.bootstrap import Statistic
from wiseft_nb.analyse.calibration import at_temperature, fit_temperature
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.make.measured import Measured, Said, minus, together
from wiseft_nb.make.results import HAS_LINE
from wiseft_nb.make.standard_models import StandardModel, fit, images_of
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.robustness import fit_table, load_standard_models

STANDARD = (StandardModel("CNN", "32", 3500, "affine", 15), StandardModel("ResNet", "8", 3500, "affine", 15))
MIXES = (0.25, 0.5, 0.75)


def robust_or_not(measured: Measured, zero_shot: Said, val: Predictions) -> None:
    """Two standard models together, and each with the zero-shot classifier: effective robustness, mean of the lines."""
    benchmark, standard = measured.benchmark, load_standard_models()
    lines = {shift: fit_table(standard, shift, benchmark.reference_name) for shift in benchmark.shifts}
    lines = {shift: line for shift, line in lines.items() if line.r2 >= HAS_LINE}
    said = {}
    for model in STANDARD:
        predict = fit(model, benchmark.train, seed=measured.seed)
        answers = {
            name: Predictions.on(data, predict(images_of(data)), torch.from_numpy(data.labels))
            for name, data in {"val": benchmark.val, **benchmark.test_sets}.items()
        }
        temperature = fit_temperature(answers.pop("val"))
        said[model.family] = {name: at_temperature(p, temperature) for name, p in answers.items()}
    temperature = fit_temperature(val)
    said["zero-shot"] = {name: at_temperature(p, temperature) for name, p in zero_shot.items()}

    def rho(column: int) -> Statistic:
        def mean(found: dict[str, np.ndarray]) -> np.ndarray:
            x = found[benchmark.reference_name][:, column]
            of_each = [line.effective_robustness(x, found[shift][:, column]) for shift, line in lines.items()]
            return np.mean(of_each, axis=0)

        return mean

    place = "shifts with a line"
    for name, answers in said.items():
        measured.accuracies("robust or not", name, np.nan, answers)
        measured.figures("robust or not", name, np.nan, {("rho", place): rho(0)}, answers)
    wanted = {
        ("rho", place): rho(0),
        ("rho above the mean of both", place): lambda found: rho(0)(found) - (rho(1)(found) + rho(2)(found)) / 2,
        ("rho above the first", place): minus(rho(0), rho(1)),
    }
    for first, second in (("CNN", "ResNet"), ("CNN", "zero-shot"), ("ResNet", "zero-shot")):
        for alpha in MIXES:
            mixed, name = together(said[first], said[second], alpha), f"{first} + {second}"
            measured.accuracies("robust or not", name, alpha, mixed, against=said[first])
            measured.figures("robust or not", name, alpha, wanted, mixed, said[first], said[second])


def linear_classifier(measured: Measured, zero_shot: ImageClassifier) -> None:
    """The largest difference between logits of averaged weights and averaged logits."""
    benchmark = measured.benchmark
    config = FineTuneConfig(method="linear", lr=3e-2, epochs=20, seed=measured.seed)
    linear = fine_tune(zero_shot, benchmark, config, progress=False)
    worst = 0.0
    for alpha in (0.25, 0.5, 0.75):
        mixed = evaluate(wise_ft(zero_shot, linear, alpha), benchmark.reference, progress=False).logits
        ends = (evaluate(model, benchmark.reference, progress=False).logits for model in (zero_shot, linear))
        worst = max(worst, (mixed - torch.lerp(*ends, alpha)).abs().max().item())
    measured.add("linear classifier", "weights", np.nan, "largest difference of a logit", "reference", worst)
