"""How to run a network: exact by default, faster on request.

Explained in notebook 03_interpolate.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wiseft_nb.engine.nested import Batch, mapped, move
from wiseft_nb.engine.processes import own_device
from wiseft_nb.errors import WiseftError, unknown

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Compute:
    """What may be traded for speed; ``make benchmark`` measures gain and loss on your machine.

    Attributes
    ----------
    precision : {"float32", "bfloat16"}
        bfloat16 runs under autocast, on CPU and GPU; logits come back as float32.
    channels_last : bool
        Store images channels last, which many convolutions prefer; rounding differs in the last digits.
    compile : bool
        Let ``torch.compile`` build the network first (needs a C++ compiler on the CPU; minutes at first).
    micro_batch : int, optional
        Fine-tuning works through a batch in pieces of that many images and adds up their gradients, so that
        the paper's batch of 512 fits one GPU. Crops are drawn piece by piece: the result depends on the
        size of a piece, but not on how many processes share them.
    checkpointing : bool
        Fine-tuning keeps only some activations and computes the others again: less memory, a third more
        time, the same result. For transformers.

    Explained in notebook 03_interpolate.
    """

    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    micro_batch: int | None = None
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.micro_batch is not None and self.micro_batch < 1:
            raise WiseftError(f"Compute.micro_batch is {self.micro_batch}: expected 1 or more, or None")

    def prepare(self, network: nn.Module) -> Callable[[Batch], Tensor]:
        """A function from inputs, on any device, to the network's float32 outputs on its own device.

        Explained in notebook 03_interpolate.
        """
        device, run = self.placed(network), self.compiled(network)

        def forward(inputs: Batch) -> Tensor:
            with self.autocast(device):
                return run(self.laid_out(inputs, device)).float()

        return forward

    def placed(self, network: nn.Module) -> torch.device:
        """The device a network computes on: its own, or that of this process where there are several."""
        odd = [tensor.dtype for tensor in network.state_dict().values() if tensor.dtype in (torch.half, torch.bfloat16)]
        if odd:
            raise WiseftError(
                f"the network's weights are {odd[0]}, expected float32: call .float() on it first, and "
                "Compute(precision='bfloat16') for speed"
            )
        here = device_of(network)
        device = own_device(here)
        if device != here:
            network.to(device)
        return device

    def compiled(self, network: nn.Module) -> nn.Module:
        """The network, built by ``torch.compile`` where that is asked for."""
        return torch.compile(network) if self.compile else network

    def laid_out(self, inputs: Batch, device: torch.device) -> Batch:
        """Inputs on the device, images channels last where that is asked for."""
        inputs = move(inputs, device)
        if not self.channels_last:
            return inputs
        return mapped(lambda t: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t, inputs)

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """What to compute under; in float32 whatever the caller computes under stays in force."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, PRECISIONS[self.precision])

    @property
    def exactness(self) -> tuple[str, bool, bool]:
        """What of all this decides the digits of a forward pass."""
        return self.precision, self.channels_last, self.compile


EXACT = Compute()


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights lie; one without any, such as an identity, computes on the CPU."""
    first = next(itertools.chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if first is None else first.device


@contextlib.contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; afterwards every layer is in the mode it was in."""
    before = [(layer, layer.training) for network in networks for layer in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for layer, training in before:
            layer.training = training


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random numbers from a seed for a while, on every device in use; then they go on as before."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        reseed(seed)
        yield


def reseed(seed: int) -> None:
    """Seed the CPU's generator, and those of GPUs that are in use: others would stay seeded afterwards."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
