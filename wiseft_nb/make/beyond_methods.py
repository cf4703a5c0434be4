"""The methods that notebook 10 compares: what each trains, and the one set of weights it ends with.

Every method ends in a theta_1 of its own, and has an alpha curve of its own: from zero-shot to that theta_1.

Explained in notebook 10_go_beyond.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wiseft_nb.analyse import lora
from wiseft_nb.analyse.contrastive import Contrastive
from wiseft_nb.analyse.layers import lines, tpgm
from wiseft_nb.analyse.merging import greedy_soup, model_stock, uniform_soup
from wiseft_nb.analyse.objectives import DistilToTrajectory, DistilToZeroShot, L2ToZeroShot, LipsumFT
from wiseft_nb.engine.batches import shuffled
from wiseft_nb.make.beyond_world import LOW, OTHER, World, loaded
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.zero_shot import zero_shot_classifier


def lp_ft(world: World, seed: int, _: None) -> ImageClassifier:
    """From the linear classifier, end to end."""
    return world.run("lp-ft", seed, start=world.probed(seed))


def l2(world: World, seed: int, lam: float) -> ImageClassifier:
    """L2-SP; ||tau||^2 of a plain run is about 800. AdamW's decay to zero stays, as in all other runs."""
    return world.run(f"l2-{lam:g}", seed, objective=L2ToZeroShot(world.zero_shot.state_dict(), lam))


def distillation(world: World, seed: int, lam: float) -> ImageClassifier:
    """KL from zero-shot."""
    teacher = DistilToZeroShot(world.zero_shot, lam, world.temperature)
    return world.run(f"distillation-{lam:g}", seed, objective=teacher, teachers=1)


def trajectory(world: World, seed: int, lam: float) -> ImageClassifier:
    """KL from the average along the run."""
    recipe, n = world.recipe, len(world.benchmark.train)
    steps = len(shuffled(n, recipe.batch_size, recipe.epochs, seed))
    return world.run(f"trajectory-{lam:g}", seed, objective=DistilToTrajectory(steps, lam), teachers=1)


def lipsum(world: World, seed: int, lam: float) -> ImageClassifier:
    """Lipsum-FT."""
    return world.run(f"lipsum-ft-{lam:g}", seed, objective=LipsumFT(world.clip, lam), teachers=1)


def flyp(positives: str) -> Callable[[World, int, float], ImageClassifier]:
    """FLYP, at a learning rate."""

    def made(world: World, seed: int, lr: float) -> ImageClassifier:
        return world.run(
            f"flyp-{positives}-{lr:g}", seed, start=world.with_texts, objective=Contrastive(positives), lr=lr
        )

    return made


def with_lora(world: World, seed: int, knob: tuple[int, float]) -> ImageClassifier:
    """Rank and learning rate."""
    r, lr = knob
    start = lora.with_lora(world.zero_shot, r=r)

    def merged(made: ImageClassifier) -> ImageClassifier:
        return lora.merged(made, world.zero_shot)

    return world.run(f"lora-{r}-{lr:g}", seed, start=start, finish=merged, lr=lr)


def soup(world: World, seed: int, _: None) -> ImageClassifier:
    """The mean of the pool."""
    return loaded(world.zero_shot, uniform_soup(world.pool(seed)))


def greedily(world: World, seed: int, _: None) -> ImageClassifier:
    """The pool, by validation accuracy."""
    return loaded(world.zero_shot, greedy_soup(world.pool(seed), world.zero_shot, world.benchmark)[0])


def diwa(world: World, seed: int, _: None) -> ImageClassifier:
    """Four runs from one linear classifier, with mildly differing recipes."""
    start, lr = world.probed(seed), world.recipe.lr
    runs = [world.run("lp-ft", seed, start=start)]
    mild = ((lr / 1.5, 0.1), (lr / 2, 0.03), (lr / 3, 0.3))
    for k, (rate, decay) in enumerate(mild):
        runs.append(world.run(f"diwa-{k}", seed + OTHER * (k + 1), start=start, lr=rate, weight_decay=decay))
    return loaded(world.zero_shot, uniform_soup([run.state_dict() for run in runs]))


def stock(world: World, seed: int, _: None) -> ImageClassifier:
    """Model Stock of two plain runs."""
    runs = [world.plain(s).state_dict() for s in (seed, seed + OTHER)]
    return loaded(world.zero_shot, model_stock(world.zero_shot.state_dict(), runs)[0])


def ramp(world: World, seed: int, a: float) -> ImageClassifier:
    """LiNeS of a plain run."""
    return loaded(world.zero_shot, lines(world.zero_shot.state_dict(), world.plain(seed).state_dict(), a))


def per_tensor(world: World, seed: int, _: None) -> ImageClassifier:
    """TPGM of a plain run."""
    plain, epochs, val = world.plain(seed), 5, world.benchmark.val

    def learned() -> ImageClassifier:
        return tpgm(world.zero_shot, plain, world.benchmark, epochs=epochs, seed=seed)[0]

    cost = {"steps": len(shuffled(len(val), 128, epochs, seed)), "head_steps": 0, "passes": 1, "labels": 0}
    return world.keep(f"tpgm-{seed}", world.zero_shot, learned, cost)


def patched(world: World, seed: int, _: None = None) -> ImageClassifier:
    """PAINT: the head is frozen."""
    return world.run("frozen-head", seed, start=world.frozen_head)


def letters_run(world: World, seed: int) -> ImageClassifier:
    """The encoder fine-tuned on the second task, its head frozen."""
    start = zero_shot_classifier(world.clip, world.letters)
    start.classification_head.requires_grad_(False)
    return world.run("letters", seed, start=start, benchmark=world.letters, recipe=world.elsewhere)


@dataclass(frozen=True)
class Method:
    """A method: what makes theta_1 of a seed and a knob; knobs, the strongest hold on zero-shot first.

    ``networks`` is how many fine-tuned sets of weights must be kept until they are merged; ``decides`` whether the
    labels of validation data decide its weights, beside the knob's choice.
    """

    make: Callable[[World, int, object], ImageClassifier]
    knobs: tuple = (None,)
    networks: int = 1
    decides: bool = False


METHODS: dict[str, Method] = {
    "plain": Method(lambda world, seed, _: world.plain(seed)),
    "plain-low": Method(lambda world, seed, _: world.plain(seed, LOW)),
    "lp-ft": Method(lp_ft),
    "l2": Method(l2, (1e-1, 1e-2, 1e-3, 1e-4)),
    "distillation": Method(distillation, (3.0, 1.0, 0.3), decides=True),  # its temperature
    "flyp": Method(flyp("single"), (1e-3, 3e-3)),
    "flyp-multi": Method(flyp("multi"), (1e-3, 3e-3)),
    "lipsum-ft": Method(lipsum, (1.0, 0.1, 0.01)),
    "trajectory": Method(trajectory, (1.0, 0.3)),
    "uniform-soup": Method(soup, networks=4),
    "greedy-soup": Method(greedily, networks=4, decides=True),
    "diwa": Method(diwa, networks=4),
    "model-stock": Method(stock, networks=2),
    "lines": Method(ramp, (0.0, 0.25, 0.5, 0.75)),
    "tpgm": Method(per_tensor, decides=True),
    "lora": Method(with_lora, ((16, 3e-3), (16, 1e-2))),
    "paint": Method(patched),
}


def name_of(knob: object) -> str:
    """A knob in a table."""
    return "" if knob is None else " ".join(f"{value:g}" for value in (knob if isinstance(knob, tuple) else (knob,)))
