"""Figures of ensembles with their intervals over images, collected for one seed.

Explained in notebook 07_compare_ensembles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wiseft_nb.analyse.bootstrap import Statistic, accuracy_of, best_at_equal_reference, bootstrapped
from wiseft_nb.analyse.ensembles import output_ensemble, predict_along
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.make.results import places_of_mean
from wiseft_nb.models.classifier import ImageClassifier

Said = Mapping[str, Predictions]  # dataset -> predictions


@dataclass
class Measured:
    """The rows of one seed, and what they are measured with."""

    benchmark: Benchmark
    seed: int
    rows: list[dict] = field(default_factory=list)

    @property
    def places(self) -> dict[str, Sequence[str]]:
        """The reference, the groups of shifts, and all of them."""
        return {"reference": [self.benchmark.reference_name], **places_of_mean(self.benchmark)}

    def add(self, part: str, method: str, alpha: float, figure: str, place: str, *found: float) -> None:
        """One row: a value and, where there is one, its interval."""
        about = {"seed": self.seed, "part": part, "method": method, "alpha": alpha, "figure": figure, "place": place}
        low, high = found[1:] or (np.nan, np.nan)
        self.rows.append(about | {"value": float(found[0]), "low": float(low), "high": float(high)})

    def figures(
        self, part: str, method: str, alpha: float, wanted: Mapping[tuple[str, str], Statistic], *models: Said
    ) -> None:
        """Several figures of some models, (figure, place) -> statistic, with their intervals over images."""
        right = {name: np.stack([said[name].correct.numpy() for said in models], axis=1) for name in models[0]}
        sources = {name: getattr(data, "source", None) for name, data in self.benchmark.test_sets.items()}

        def every(found: dict[str, np.ndarray]) -> np.ndarray:
            found = {name: values.clip(0, 1) for name, values in found.items()}
            return np.stack([statistic(found) for statistic in wanted.values()], axis=1)

        for (figure, place), *row in zip(wanted, *bootstrapped(every, right, sources), strict=True):
            self.add(part, method, alpha, figure, place, *row)

    def accuracies(
        self, part: str, method: str, alpha: float, said: Said, against: Said | None = None, where: Sequence[str] = ()
    ) -> None:
        """Accuracy in every place; and how much higher than another's, on the same images, there or everywhere."""
        wanted = {("accuracy", place): accuracy_of(names) for place, names in self.places.items()}
        if against is not None:
            for place in where or self.places:
                names = self.places[place]
                wanted["difference", place] = minus(accuracy_of(names, 0), accuracy_of(names, 1))
        self.figures(part, method, alpha, wanted, said, *([] if against is None else [against]))

    def above_curve(self, part: str, method: str, alpha: float, said: Said, curve: Mapping[float, Said]) -> None:
        """Accuracy in every place above the curve's best that has no less reference accuracy."""
        reference = self.benchmark.reference_name

        def gap(names: Sequence[str]) -> Statistic:
            def statistic(found: dict[str, np.ndarray]) -> np.ndarray:
                x, y = found[reference], np.mean([found[name] for name in names], axis=0)
                return y[:, 0] - best_at_equal_reference(x[:, 1:], y[:, 1:], x[:, 0])

            return statistic

        places = list(self.places.items())[1:]
        self.figures(
            part,
            method,
            alpha,
            {("above the curve", place): gap(names) for place, names in places},
            said,
            *curve.values(),
        )


def minus(first: Statistic, second: Statistic) -> Statistic:
    """The difference of two statistics."""
    return lambda found: first(found) - second(found)


def along(zero_shot: ImageClassifier, fine_tuned: ImageClassifier, benchmark: Benchmark, alphas: tuple) -> dict:
    """Alpha -> dataset -> predictions of interpolated weights."""
    found = {
        name: predict_along(zero_shot, fine_tuned, data, alphas, False) for name, data in benchmark.test_sets.items()
    }
    return {alpha: {name: path[alpha] for name, path in found.items()} for alpha in alphas}


def says(model: ImageClassifier, benchmark: Benchmark) -> Said:
    """Predictions on every test set."""
    return {name: evaluate(model, data, progress=False) for name, data in benchmark.test_sets.items()}


def together(first: Said, second: Said, alpha: float | Callable, space: str = "probabilities") -> Said:
    """An ensemble of outputs on every test set; alpha may be a function from a dataset's name."""
    share = alpha if callable(alpha) else lambda name: alpha
    return {name: output_ensemble(first[name], second[name], share(name), space) for name in first}
