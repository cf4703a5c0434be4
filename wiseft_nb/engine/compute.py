"""How to run a network: exact by default, faster on request.

Explained in notebook 03_interpolate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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

    def prepare(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """A function from inputs, on any device, to the network's float32 outputs on its own device.

        Explained in notebook 03_interpolate.
        """
        device = next(network.parameters()).device
        run = torch.compile(network) if self.compile else network
        reduced = self.precision != "float32"

        def forward(inputs: Tensor) -> Tensor:
            inputs = inputs.to(device, non_blocking=True)
            if self.channels_last and inputs.ndim == 4:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, PRECISIONS[self.precision], enabled=reduced):
                return run(inputs).float()

        return forward


EXACT = Compute()
