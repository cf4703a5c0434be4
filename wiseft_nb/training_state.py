"""What fine-tuning needs to go on where it was killed: weights, the optimizer's state, the step, the history.

Explained in notebook 03_interpolate.
"""

import torch
from torch import Tensor, nn

from wiseft_nb.cache import recall, remember


def save_training(
    key: str, module: nn.Module, optimizer: torch.optim.Optimizer, step: int, losses: list[float], history: list[dict]
) -> None:
    """Remember all that the next step depends on; crops and order depend on the step's number alone."""
    tensors = {f"module.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": tensor.contiguous() for name, tensor in state.items()}
    remember(key, tensors, {"step": step, "losses": losses, "history": history})


def restore_training(
    key: str, module: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]
) -> tuple[int, list[float]]:
    """Go back to what ``save_training`` remembered: the step to go on with, and the losses of its epoch so far."""
    found = recall(key)
    if found is None:
        return 0, []
    tensors, facts = found
    state: dict[int, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        kind, _, name = path.partition(".")
        if kind == "optimizer":
            i, _, name = name.partition(".")
            state.setdefault(int(i), {})[name] = tensor
    module.load_state_dict({k.removeprefix("module."): t for k, t in tensors.items() if k.startswith("module.")})
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    history.extend(facts["history"])
    return facts["step"], facts["losses"]
