"""What else to minimise while fine-tuning: objectives for ``fine_tune`` that hold on to the zero-shot model.

Each is cross-entropy plus lambda times a penalty; ``wiseft_nb.analyse.contrastive`` has those that train the text
tower too.

Explained in notebook 10_go_beyond.
"""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.analyse.averages import Follow, beta_weights, running_average
from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.engine.nested import Batch
from wiseft_nb.engine.training import CrossEntropy, Objective
from wiseft_nb.errors import WiseftError
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.interpolate import StateDict
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.models.clip import Clip

COMPILED = "_orig_mod."  # what torch.compile puts before every name


def check_weight(name: str, value: float) -> None:
    """Refuse a penalty's weight that rewards what it should punish."""
    if not 0 <= value < float("inf"):
        raise WiseftError(f"{name} is {value!r}: expected a finite number, 0 or more")


def frozen(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that nothing trains."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def kl_from(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """KL(p_0 || p), the mean over images, of logits ``(n, classes)``; the teacher's are divided by the temperature."""
    log_p, log_q = (teacher / temperature).log_softmax(1), student.log_softmax(1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class L2ToZeroShot:
    """Cross-entropy + lam * ||theta - theta_0||^2, over all weights that are trained.

    L2-SP (Li et al. 2018, arXiv 1802.01483, equation 2; theirs has lam / 2). AdamW's own weight decay pulls to
    zero instead: set it to 0 beside this one, or keep it, but say which.

    Parameters
    ----------
    theta_0 : state dict
        ``zero_shot.state_dict()``. A copy is kept.
    lam : float
        0 or more.

    Explained in notebook 10_go_beyond.
    """

    theta_0: StateDict
    lam: float
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_weight("lam", self.lam)
        object.__setattr__(self, "theta_0", {name: t.detach().clone() for name, t in self.theta_0.items()})

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        named = {name.removeprefix(COMPILED): p for name, p in network.named_parameters() if p.requires_grad}
        if lacking := sorted(named.keys() - self.theta_0.keys()):
            raise WiseftError(f"theta_0 lacks {lacking[0]}: give the state dict of the classifier that is fine-tuned")
        squares = [(p - self.theta_0[name].to(p.device)).square().sum() for name, p in named.items()]
        return self.objective(network, inputs, labels) + self.lam * torch.stack(squares).sum()


@dataclass(frozen=True)
class DistilToZeroShot:
    """Cross-entropy + lam * KL(p_0 || p), p_0 what the zero-shot model says of the same crops.

    Distillation (Hinton et al. 2015, arXiv 1503.02531) from a teacher that stays as it was, as in Li and Hoiem
    2016 (arXiv 1606.09282). An overconfident p_0 teaches overconfidence: fit its temperature on validation data.

    Parameters
    ----------
    zero_shot : ImageClassifier
        A frozen copy is kept; it runs on every batch.
    lam : float
        0 or more.
    temperature : float
        Divides the teacher's logits: ``fit_temperature(evaluate(zero_shot, benchmark.val))``.

    Explained in notebook 10_go_beyond.
    """

    zero_shot: nn.Module
    lam: float
    temperature: float = 1.0
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_weight("lam", self.lam)
        if not self.temperature > 0:
            raise WiseftError(f"temperature is {self.temperature!r}: expected a number above 0")
        object.__setattr__(self, "zero_shot", frozen(self.zero_shot))

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        with torch.no_grad():
            taught = self.zero_shot(inputs).float()
        kept = Remember(network)
        loss = self.objective(kept, inputs, labels)
        return loss + self.lam * kl_from(taught, kept.logits, self.temperature)


class Remember:
    """A network that is called once, and whose logits are used twice."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.logits = network, torch.empty(0)

    def __call__(self, inputs: Batch) -> Tensor:
        self.logits = self.network(inputs).float()
        return self.logits


@dataclass
class DistilToTrajectory:
    """Cross-entropy + lam * KL(p_T || p), p_T of the average of all weights so far, theta_0 among them.

    The teacher of TRACER (arXiv 2605.29380): theta_T <- (1 - w_t) theta_T + w_t theta_t, the weights w from the
    Beta(b, b) density (``beta_weights``). TRACER adds it to a contrastive loss, this is for a classifier's logits.
    The teacher lives in this object, and is not saved with a run: ``cache=False``, one object a run.

    Parameters
    ----------
    steps : int
        Of the run; the shape of the average needs its length.
    lam : float
        0 or more.
    b : float
        0.5 in the paper. Below 1 the two ends of the run weigh most, so theta_0 stays in the teacher.
    temperature : float
        Divides the teacher's logits.

    Explained in notebook 10_go_beyond.
    """

    steps: int
    lam: float
    b: float = 0.5
    temperature: float = 1.0
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_weight("lam", self.lam)
        average = {"multi_avg_fn": running_average(beta_weights(self.steps, self.b))}
        self.follow = Follow({"teacher": average}, {"teacher": (0, self.steps)})

    @property
    def teacher(self) -> ImageClassifier:
        """The average as it is now."""
        return self.follow.models["teacher"].module

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        self.follow.look(network)
        with torch.no_grad():
            taught = self.teacher(inputs).float()
        kept = Remember(network)
        loss = self.objective(kept, inputs, labels)
        return loss + self.lam * kl_from(taught, kept.logits, self.temperature)

    def content(self) -> Iterator[bytes]:
        """Refused: a run that goes on half-way would begin with another teacher."""
        raise WiseftError("the teacher along the trajectory is not saved with a run: fine_tune(..., cache=False)")


@dataclass(frozen=True)
class LipsumFT:
    """Cross-entropy + lam * mean over x of ||s (F(x) - F_0(x)) G^T||^2 / (2 K), G of K random texts.

    Lipsum-FT (Nam et al. 2024, arXiv 2404.00860): the image encoder may change what it says of the classes, but
    keeps what it says of texts without meaning. F are unit features, F_0 the zero-shot encoder's, G unit features
    of texts of random tokens, fresh in every step, s = exp(logit_scale). The text tower stays as it is.

    Parameters
    ----------
    clip : Clip
        What the classifier was made of; its towers are copied, frozen.
    lam : float
        1 in the paper.
    texts : int
        K, 80 in the paper.
    length : int
        Random tokens between a text's start and its end, 8 in the paper.

    Explained in notebook 10_go_beyond.
    """

    clip: Clip
    lam: float = 1.0
    texts: int = 80
    length: int = 8
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_weight("lam", self.lam)
        room = self.clip.tokenizer([""]).shape[1] - 2
        if not (1 <= self.length <= room and self.texts >= 1):
            raise WiseftError(
                f"{self.texts} texts of {self.length} tokens: give 1 or more, of 1 to {room} tokens, the context's room"
            )
        object.__setattr__(self, "clip", dataclasses.replace(self.clip, model=frozen(self.clip.model)))

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        model = self.clip.model
        with torch.no_grad():
            random_texts = F.normalize(type(model).encode_text(model, self.random_tokens()), dim=1).float()
            before = F.normalize(model.visual(inputs).float(), dim=1)
        features = network.image_encoder(inputs)
        change = model.logit_scale.exp() * (F.normalize(features.float(), dim=1) - before) @ random_texts.T
        penalty = change.square().sum(1).mean() / (2 * self.texts)
        return self.objective(lambda _: network.classification_head(features), inputs, labels) + self.lam * penalty

    def random_tokens(self) -> Tensor:
        """Start, random tokens, end: int64 ``(texts, context)``."""
        tokens = self.clip.tokenizer([""]).repeat(self.texts, 1)
        start, end = tokens[0, 0].item(), tokens[0, 1].item()  # the two highest numbers; all below are words
        tokens[:, 1 : 1 + self.length] = torch.randint(1, min(start, end), (self.texts, self.length))
        tokens[:, 1 + self.length] = end
        return tokens.to(self.clip.model.logit_scale.device)

    def content(self) -> Iterator[bytes]:
        """What it is, for the cache."""
        yield repr((self.lam, self.texts, self.length, self.objective)).encode()
        yield fingerprint(self.clip.model.state_dict()).encode()


def lp_ft(
    zero_shot: ImageClassifier, benchmark: Benchmark, probe: FineTuneConfig, config: FineTuneConfig, cache: bool = False
) -> tuple[ImageClassifier, ImageClassifier]:
    """Linear probing, then fine-tuning: the head alone first, then all weights from there.

    LP-FT (Kumar et al. 2022, arXiv 2202.10054). A random head would distort the features it is fine-tuned with;
    a zero-shot head is none, so that less is to be gained here than in that paper.

    Parameters
    ----------
    zero_shot : ImageClassifier
    benchmark : Benchmark
    probe, config : FineTuneConfig
        Of method ``"linear"`` and ``"end-to-end"``.
    cache : bool
        As for ``fine_tune``.

    Returns
    -------
    ImageClassifier, ImageClassifier
        The linear classifier, and what came of it.

    Explained in notebook 10_go_beyond.
    """
    if (probe.method, config.method) != ("linear", "end-to-end"):
        raise WiseftError(f"LP-FT is linear, then end-to-end; got {probe.method}, then {config.method}")
    linear = fine_tune(zero_shot, benchmark, probe, progress=False, cache=cache)
    return linear, fine_tune(linear, benchmark, config, progress=False, cache=cache)
