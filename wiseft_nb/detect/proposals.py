"""Where something might be: a small FCOS that knows one class, "a character".

Explained in notebook 14_try_detection.
"""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead

from wiseft_nb.benchmarks.digits.scenes import SIDE, Scenes
from wiseft_nb.engine.compute import evaluating
from wiseft_nb.engine.training import schedule, set_train_mode
from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import DATA

PROPOSALS = DATA / "models" / "proposals" / "proposals.safetensors"
WIDTH, STRIDE = 64, 8
BATCH = 50  # scenes at a time


class Backbone(nn.Sequential):
    """Three convolutions of stride 2 and two dilated ones with a shortcut: one map, an eighth of the scene's size."""

    out_channels = WIDTH

    def __init__(self):
        stem = [convolution(3, 16, stride=2), convolution(16, 32, stride=2), convolution(32, WIDTH, stride=2)]
        super().__init__(*stem, Shortcut(WIDTH), Shortcut(WIDTH))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return OrderedDict({"0": super().forward(x)})


class Shortcut(nn.Module):
    """What comes in plus a dilated convolution of it."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = convolution(channels, channels, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution(x)


def convolution(into: int, out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3, BatchNorm, ReLU."""
    layer = nn.Conv2d(into, out, 3, stride, dilation, dilation=dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def proposal_net() -> FCOS:
    """torchvision's FCOS (Tian et al. 2019, arXiv 1904.01355) with one class, one level and 249,366 weights.

    Explained in notebook 14_try_detection.
    """
    return FCOS(
        Backbone(),
        num_classes=1,
        min_size=SIDE,
        max_size=SIDE,
        image_mean=[0.5] * 3,
        image_std=[0.27] * 3,
        anchor_generator=AnchorGenerator(((STRIDE,),), ((1.0,),)),
        head=FCOSHead(WIDTH, 1, 1, num_convs=2),
        score_thresh=0.15,  # a lower one doubles what has to be classified, and finds little
        nms_thresh=0.5,
        detections_per_img=15,
        topk_candidates=200,
    )


def load_proposals(path: str | Path = PROPOSALS) -> FCOS:
    """The proposals that ship: trained on scenes of letters alone (``python -m wiseft_nb.make.proposals``).

    Parameters
    ----------
    path : str or Path, optional
        A safetensors file of such weights.

    Returns
    -------
    torchvision.models.detection.FCOS
        In evaluation mode.

    Raises
    ------
    WiseftError
        If there is no such file, or its weights are of another network.

    Explained in notebook 14_try_detection.
    """
    if not Path(path).is_file():
        raise WiseftError(f"there is no file {path}: make it with python -m wiseft_nb.make.proposals")
    network, weights = proposal_net(), load_file(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in weights.items()}:
        raise WiseftError(f"{path} holds weights of another network: use what wiseft_nb.make.proposals wrote")
    network.load_state_dict(weights)  # float16 in the file, float32 here
    return network.eval()


@torch.no_grad()
def propose(network: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
    """Boxes in which something stands.

    Parameters
    ----------
    network : nn.Module
        Takes a list of images ``(3, h, w)`` in [0, 1], as torchvision's detectors do.
    images : Tensor
        uint8 ``(n, 3, h, w)``.

    Returns
    -------
    list of dict
        Of each image ``boxes`` ``(k, 4)``, in pixels, and ``scores`` ``(k,)``, how sure the network is that
        something stands there, in [0, 1].

    Explained in notebook 14_try_detection.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise WiseftError(f"images are {images.dtype} {tuple(images.shape)}: expected uint8 (n, 3, height, width)")
    found: list[dict[str, Tensor]] = []
    with evaluating(network):
        for batch in images.split(BATCH):
            found += [{key: said[key] for key in ("boxes", "scores")} for said in network(list(batch.float() / 255))]
    return found


def train_proposals(
    network: FCOS,
    scenes: Scenes,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    first: int = 0,
    batch_size: int = 8,
    train_batchnorm: bool = False,
    seed: int = 0,
) -> Iterator[tuple[int, float]]:
    """Train a network of proposals where it stands, step after step: yields the number of steps done, and the loss.

    Every labelled box counts as "something"; which class it is, is not looked at. The learning rate warms up over a
    tenth of the steps and falls as a cosine. Which scenes a step sees follows from ``seed`` and its number, so a
    training that was interrupted goes on from ``first``.

    Parameters
    ----------
    network : FCOS
        Changed in place.
    scenes : Scenes
    optimizer : torch.optim.Optimizer
        Its learning rate at the beginning is the highest one.
    steps, first, batch_size, seed : int
    train_batchnorm : bool
        False keeps BatchNorm's statistics, as ``FineTuneConfig`` does: for what is to be interpolated.

    Explained in notebook 14_try_detection.
    """
    rates = [group["initial_lr"] if "initial_lr" in group else group["lr"] for group in optimizer.param_groups]
    for step in range(first, steps):
        set_train_mode(network, train_batchnorm)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group.update(initial_lr=rate, lr=rate * schedule(step, steps, warmup=0.1))
        chosen = np.random.default_rng([seed, step]).integers(0, len(scenes), batch_size).tolist()
        targets = [{"boxes": scenes.boxes[i], "labels": torch.zeros_like(scenes.labels[i])} for i in chosen]
        loss = sum(network(list(scenes.images[chosen].float() / 255), targets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if not loss.isfinite():
            raise WiseftError(f"the proposals' loss at step {step} is not finite: lower the learning rate")
        yield step + 1, loss.item()
    network.eval()
