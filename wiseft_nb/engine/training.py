"""A network in training: one object that takes a step, saves and restores itself.

Explained in notebook 02_fine_tune.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wiseft_nb.engine.batches import Plan
from wiseft_nb.engine.cache import recall, remember
from wiseft_nb.engine.compute import Compute, reseed
from wiseft_nb.engine.nested import Batch
from wiseft_nb.engine.processes import add_up
from wiseft_nb.errors import WiseftError

SAVE_SECONDS = 60  # between two saves, at least
SAVE_SHARE = 0.02  # of the time at most that goes into saving
# network, inputs, labels -> the loss, a mean over the samples, on the network's device
Objective = Callable[[nn.Module, Batch, Tensor], Tensor]


@dataclass(frozen=True)
class CrossEntropy:
    """The default objective: cross-entropy, labels smoothed as the recipe says."""

    label_smoothing: float = 0.0

    def __call__(self, network: nn.Module, inputs: Batch, labels: Tensor) -> Tensor:
        return F.cross_entropy(network(inputs).float(), labels, label_smoothing=self.label_smoothing)


class NotFinite(Exception):
    """A loss, gradient or weight is NaN or infinite; the network has the weights of the step before."""


class Training:
    """All that changes while a network is trained: its weights, the optimizer's state, the step, losses, history.

    Parameters
    ----------
    network : nn.Module
        Trained in place.
    optimizer : torch.optim.Optimizer
        Each of its parameter groups keeps its own learning rate as the peak that the schedule scales.
    objective : function
    compute : Compute
    clip_norm : float, optional
        Gradients are scaled down to this norm.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        compute: Compute,
        clip_norm: float | None,
    ):
        self.network, self.optimizer, self.objective = network, optimizer, objective
        self.compute, self.clip_norm = compute, clip_norm
        self.device, self.run = compute.placed(network), compute.compiled(network)
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.step, self.losses, self.history = 0, [], []  # losses: of each step of this epoch, with its samples
        self.start = math.nan  # accuracy on validation data before the first step
        self.good = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.saved, self.save_took = time.monotonic(), 0.0

    def set_rate(self, factor: float) -> None:
        """The learning rate of every group: its peak times a factor."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

    def forward(self, inputs: Batch) -> Tensor:
        """The network's float32 outputs, on its device."""
        with self.compute.autocast(self.device):
            return self.run(self.compute.laid_out(inputs, self.device)).float()

    def take(self, pieces: Iterable[tuple[Batch, Tensor]], plan: Plan, samples: int) -> None:
        """A step on the pieces of a batch of so many samples: accumulate, add up, clip, step.

        Raises
        ------
        NotFinite
            If the loss, a gradient or a weight is not; the weights are those of the step before.
        """
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=self.device)
        for (_, seed), (inputs, labels) in zip(plan, pieces, strict=True):
            reseed(seed)  # for dropout and the like
            with self.compute.autocast(self.device):
                part = self.objective(self.run, self.compute.laid_out(inputs, self.device), labels.to(self.device))
            part = part.float() * (len(labels) / samples)  # so that the parts of a batch add up to its mean
            part.backward()
            loss = loss + part.detach()
        loss = add_up(self.parameters, loss)
        norm = nn.utils.clip_grad_norm_(self.parameters, torch.inf if self.clip_norm is None else self.clip_norm)
        finite = torch.isfinite(loss) and torch.isfinite(norm)
        if finite:
            self.optimizer.step()
        if not (finite and all_finite(self.parameters)):
            self.network.load_state_dict(self.good)
            raise NotFinite
        for name, tensor in self.network.state_dict().items():
            self.good[name].copy_(tensor)
        self.losses.append((loss.item(), samples))
        self.step += 1

    def end_epoch(self, epoch: int, val_accuracy: float) -> dict:
        """Note an epoch in the history: its row, which is returned."""
        samples = sum(n for _, n in self.losses)
        loss = sum(value * n for value, n in self.losses) / samples
        row = {"epoch": epoch, "step": self.step, "lr": self.optimizer.param_groups[0]["lr"]}
        self.history.append(row | {"loss": loss, "val_accuracy": val_accuracy})
        self.losses = []
        return self.history[-1]

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved > max(SAVE_SECONDS, self.save_took / SAVE_SHARE)

    def save(self, key: str) -> None:
        """Remember all that the next step depends on; crops and order depend on the step's number alone."""
        began = time.monotonic()
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        plain: dict[str, dict] = {}
        for i, state in self.optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{i}.{name}"] = value
                elif isinstance(value, int | float | bool | None):
                    plain.setdefault(str(i), {})[name] = value
                else:
                    raise WiseftError(
                        f"{type(self.optimizer).__name__} keeps a {type(value).__name__}, which cannot be saved: use "
                        "another optimizer, or cache=False"
                    )
        facts = {
            "step": self.step,
            "start": self.start,
            "losses": self.losses,
            "history": self.history,
            "optimizer": plain,
        }
        remember(key, tensors, facts)
        self.saved, self.save_took = time.monotonic(), time.monotonic() - began

    def restore(self, key: str) -> None:
        """Go back to what ``save`` remembered under a key, if it did."""
        found = recall(key)
        if found is None:
            return
        tensors, facts = found
        state: dict[int, dict] = {int(i): dict(values) for i, values in facts["optimizer"].items()}
        for path, tensor in tensors.items():
            kind, _, name = path.partition(".")
            if kind == "optimizer":
                i, _, name = name.partition(".")
                state.setdefault(int(i), {})[name] = tensor
        network = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.good = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.step, self.start, self.history = facts["step"], facts["start"], facts["history"]
        self.losses = [tuple(loss) for loss in facts["losses"]]


def set_train_mode(network: nn.Module, train_batchnorm: bool) -> None:
    """Training mode, but for BatchNorm, which stays in evaluation mode unless it is trained."""
    network.train()
    if not train_batchnorm:
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()


def all_finite(parameters: Sequence[Tensor]) -> bool:
    """Whether every sum of weights is a number, as it is not with NaN or infinity among them."""
    return bool(torch.isfinite(torch.stack([p.detach().sum() for p in parameters])).all())


def schedule(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak learning rate: linear up over the warm-up, then half a cosine down to 0."""
    rising = int(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
