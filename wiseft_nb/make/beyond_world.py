"""What the methods of notebook 10 start from, and the runs they share: each is trained once, and kept by its name.

Explained in notebook 10_go_beyond.
"""

import copy
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from wiseft_nb.analyse.calibration import fit_temperature
from wiseft_nb.analyse.contrastive import TextHead, contrastive_classifier, with_plain_head
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.batches import shuffled
from wiseft_nb.engine.files import independent, replacing
from wiseft_nb.engine.training import Objective
from wiseft_nb.errors import WiseftError
from wiseft_nb.evaluate import evaluate
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.interpolate import wise_ft
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier
from wiseft_nb.models.clip import Clip
from wiseft_nb.zero_shot import zero_shot_classifier, zero_shot_head

OTHER = 100  # added to a seed: a second run of the same recipe
LOW = 1e-3  # the lower learning rate; the other is the course's own


@dataclass
class World:
    """What all methods start from, and the runs that are kept.

    Attributes
    ----------
    recipe, probe, elsewhere : FineTuneConfig
        End to end on the benchmark, the linear classifier, and end to end on the second task.
    used : dict
        Run -> what it cost, of all that were asked for since it was last emptied.
    """

    benchmark: Benchmark
    letters: Benchmark
    clip: Clip
    folder: Path
    recipe: FineTuneConfig
    probe: FineTuneConfig
    elsewhere: FineTuneConfig
    used: dict[str, dict] = field(default_factory=dict)

    @cached_property
    def zero_shot(self) -> ImageClassifier:
        """theta_0."""
        return zero_shot_classifier(self.clip, self.benchmark)

    @cached_property
    def with_texts(self) -> ImageClassifier:
        """theta_0 with its text tower."""
        return contrastive_classifier(self.clip, self.benchmark)

    @cached_property
    def frozen_head(self) -> ImageClassifier:
        """theta_0, whose encoder alone will train."""
        start = copy.deepcopy(self.zero_shot)
        start.classification_head.requires_grad_(False)
        return start

    @cached_property
    def temperature(self) -> float:
        """Of the zero-shot classifier as a teacher, fitted on validation data."""
        return fit_temperature(evaluate(self.zero_shot, self.benchmark.val, progress=False))

    def run(
        self,
        name: str,
        seed: int,
        *,
        start: ImageClassifier | None = None,
        objective: Objective | None = None,
        benchmark: Benchmark | None = None,
        recipe: FineTuneConfig | None = None,
        finish: Callable[[ImageClassifier], ImageClassifier] = lambda made: made,
        teachers: int = 0,
        **changes: object,
    ) -> ImageClassifier:
        """A fine-tuning of a name and a seed, made once: its weights in the shape of ``finish(start)``."""
        start, benchmark = start or self.zero_shot, benchmark or self.benchmark
        config = dataclasses.replace(recipe or self.recipe, seed=seed, **changes)
        steps = len(shuffled(len(benchmark.train), config.batch_size, config.epochs, seed))
        head_alone = config.method == "linear"
        cost = {"steps": steps * (not head_alone), "head_steps": steps * head_alone, "passes": 1 + teachers}
        return self.keep(
            f"{name}-{seed}",
            finish(start),
            lambda: finish(fine_tune(start, benchmark, config, progress=False, objective=objective)),
            cost | {"labels": len(benchmark.train)},
            repr(config),
        )

    def keep(
        self,
        name: str,
        template: ImageClassifier,
        make: Callable[[], ImageClassifier],
        cost: dict[str, int],
        recipe: str = "",
    ) -> ImageClassifier:
        """Weights of a name: read, or made and written, with what they cost."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            began = time.monotonic()
            state = independent(make().state_dict())
            facts = cost | {"seconds": round(time.monotonic() - began, 1)}
            with replacing(path) as part:
                save_file(state, part, {"recipe": recipe} | {key: str(value) for key, value in facts.items()})
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no mapping)
        if (made_with := facts.pop("recipe")) != recipe:
            raise WiseftError(f"{path} was made with {made_with}, now it is {recipe}: delete {self.folder}")
        self.used[name] = {key: float(value) for key, value in facts.items()}
        return loaded(template, state)

    def plain(self, seed: int, lr: float | None = None) -> ImageClassifier:
        """Plain fine-tuning, at the course's learning rate or another."""
        lr = lr or self.recipe.lr
        return self.run(f"plain-{lr:g}", seed, lr=lr)

    def probed(self, seed: int) -> ImageClassifier:
        """The linear classifier."""
        return self.run("probe", seed, recipe=self.probe)

    def pool(self, seed: int) -> list[dict[str, Tensor]]:
        """Four plain runs: two learning rates, two seeds each."""
        return [self.plain(s, lr).state_dict() for lr in (self.recipe.lr, LOW) for s in (seed, seed + OTHER)]

    def start_of(self, end: ImageClassifier) -> ImageClassifier:
        """Where the alpha curve of an end begins."""
        return self.with_texts if isinstance(end.classification_head, TextHead) else self.zero_shot

    def at(self, end: ImageClassifier, alpha: float) -> tuple[ImageClassifier, ImageClassifier]:
        """The classifier at alpha on the curve to an end, and its encoder with a head for the second task.

        That head is zero-shot's; where the text tower is interpolated too, it is made by that tower.
        """
        mixed = wise_ft(self.start_of(end), end, alpha)
        if isinstance(mixed.classification_head, TextHead):
            tower = copy.deepcopy(self.clip.model)
            missing = tower.load_state_dict(mixed.classification_head.tower.state_dict(), strict=False).unexpected_keys
            assert not missing
            weights = zero_shot_head(
                dataclasses.replace(self.clip, model=tower), self.letters.class_names, self.letters.templates
            )
            mixed = with_plain_head(mixed)
        else:
            weights = self.letters_head
        about = (mixed.preprocess, mixed.augment, self.letters.class_names, mixed.config)
        return mixed, ImageClassifier(mixed.image_encoder, ClassificationHead(weights), *about).eval()

    @cached_property
    def letters_head(self) -> Tensor:
        """Zero-shot weights for the second task."""
        return zero_shot_head(self.clip, self.letters.class_names, self.letters.templates)


def loaded(template: ImageClassifier, state: dict[str, Tensor]) -> ImageClassifier:
    """A copy of a classifier with other weights."""
    made = copy.deepcopy(template)
    made.load_state_dict(state)
    return made.requires_grad_(True).eval()
