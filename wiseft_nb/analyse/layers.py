"""Another alpha for every layer: LiNeS, a ramp over depth, and TPGM, learned on held-out reference data.

Explained in notebook 10_go_beyond.
"""

import copy
import re

import torch
from torch import Tensor
from torch.func import functional_call

from wiseft_nb.benchmarks import Benchmark
from wiseft_nb.engine.batches import batches, shuffled
from wiseft_nb.engine.compute import evaluating
from wiseft_nb.errors import WiseftError
from wiseft_nb.interpolate import StateDict, check_endpoints, check_pair
from wiseft_nb.models.classifier import ImageClassifier

ENCODER, HEAD = "image_encoder.", "classification_head"
# what stands before and after the numbered blocks, by the names that open_clip, timm and torchvision give it
STEM = r"(conv\d|bn\d|ln_pre|class_embedding|positional_embedding|patch_embed|cls_token|pos_embed|reg_token|norm_pre|conv_proj|class_token|encoder\.pos_embedding)"
END = r"(attnpool|ln_post|proj|norm|fc_norm|encoder\.ln|attn_pool|fc|head)"
NUMBERED = r"(?:layer(\d+)|transformer\.resblocks\.(\d+)|blocks\.(\d+)|encoder\.layers\.encoder_layer_(\d+))\."


def blocks(theta: StateDict) -> dict[str, int]:
    """The block of each tensor, counted from the image to the logits.

    0 is the stem: all before the first numbered block. A ResNet's blocks are its stages ``layer1`` to ``layer4``,
    a ViT's are its transformer blocks. Then comes what is behind them (attention pool, final norm, projection) and
    last the head.

    Parameters
    ----------
    theta : state dict
        Of a classifier, or of an image encoder alone.

    Returns
    -------
    dict of str to int

    Raises
    ------
    WiseftError
        If a tensor fits nowhere: it would be scaled by a guess.

    Examples
    --------
    >>> blocks(dict.fromkeys(["conv1.weight", "layer1.0.bn1.bias", "layer2.3.conv1.weight", "attnpool.c_proj.bias"]))
    {'conv1.weight': 0, 'layer1.0.bn1.bias': 1, 'layer2.3.conv1.weight': 2, 'attnpool.c_proj.bias': 3}

    Explained in notebook 10_go_beyond.
    """
    places = {}
    for name in theta:
        short = name.removeprefix(ENCODER).removeprefix("visual.").removeprefix("trunk.")
        if name.startswith(HEAD):
            places[name] = (3, 0)
        elif found := re.match(NUMBERED, short):
            places[name] = (1, int(next(filter(None, found.groups()))))
        elif re.match(STEM + r"(\.|$)", short):
            places[name] = (0, 0)
        elif re.match(END + r"(\.|$)", short):
            places[name] = (2, 0)
        else:
            raise WiseftError(f"{name} belongs to no block that is known: scale this network's layers yourself")
    if not any(kind == 1 for kind, _ in places.values()):
        raise WiseftError("no tensor's name has a numbered block, such as layer1. or resblocks.0.: there is no depth")
    order = {place: number for number, place in enumerate(sorted(set(places.values())))}
    return {name: order[place] for name, place in places.items()}


def lines(theta_0: StateDict, theta_1: StateDict, a: float) -> dict[str, Tensor]:
    """LiNeS: theta_0 + (a + (1 - a) l / (L - 1)) tau in block l of L. Early layers move less.

    Wang et al. 2024 (arXiv 2410.17146), equation 3. At a = 1 it is theta_1. The authors' code finds blocks by a
    number between dots, and scales all others, head and projection too, by a; here they are the last blocks.

    Parameters
    ----------
    theta_0, theta_1 : state dict
    a : float
        In [0, 1]: what is left of the step in the first block.

    Explained in notebook 10_go_beyond.
    """
    if not 0 <= a <= 1:
        raise WiseftError(f"a is {a!r}: expected a number in [0, 1]")
    check_endpoints(theta_0, theta_1)
    place = blocks(theta_0)
    last = max(place.values())
    return {
        name: torch.lerp(t.detach(), theta_1[name].detach(), a + (1 - a) * place[name] / last)
        if t.is_floating_point()
        else t.detach().clone()
        for name, t in theta_0.items()
    }


def tpgm(
    zero_shot: ImageClassifier,
    fine_tuned: ImageClassifier,
    benchmark: Benchmark,
    lr: float = 0.05,
    epochs: int = 5,
    batch_size: int = 128,
    seed: int = 0,
    start: float = 0.5,
) -> tuple[ImageClassifier, dict[str, float]]:
    """Learn a coefficient for every tensor: theta_0 + c tau, c in [0, 1], on held-out reference images.

    TPGM (Tian et al. 2023, arXiv 2303.10720), after fine-tuning: their theta_0 + min(1, g / ||tau||) tau, with
    c = g / ||tau||. Adam minimises cross-entropy on ``benchmark.val``, which fine-tuning did not see; after every
    step c is projected into [0, 1]. No shift is looked at.

    Parameters
    ----------
    zero_shot, fine_tuned : ImageClassifier
        Not changed.
    benchmark : Benchmark
    lr, epochs, batch_size, seed
        Of Adam; crops are off, BatchNorm is as it was.
    start : float
        The coefficients before the first step, in [0, 1].

    Returns
    -------
    ImageClassifier, dict of str to float
        The classifier, and c of each tensor that fine-tuning moved.

    Explained in notebook 10_go_beyond.
    """
    check_pair(zero_shot, fine_tuned)
    if not 0 <= start <= 1:
        raise WiseftError(f"start is {start!r}: expected a number in [0, 1]")
    theta_0, theta_1 = ({n: t.detach() for n, t in m.state_dict().items()} for m in (zero_shot, fine_tuned))
    taus = {n: theta_1[n] - t for n, t in theta_0.items() if t.is_floating_point() and not torch.equal(t, theta_1[n])}
    if not taus:
        raise WiseftError("fine-tuning moved no weight: there is nothing to scale")
    c = torch.full((len(taus),), float(start), device=next(iter(taus.values())).device, requires_grad=True)

    def mixed() -> dict[str, Tensor]:
        return {name: theta_0[name] + share * tau for share, (name, tau) in zip(c, taus.items(), strict=True)}

    made, adam = copy.deepcopy(zero_shot).eval().requires_grad_(False), torch.optim.Adam([c], lr=lr)
    plan = shuffled(len(benchmark.val), batch_size, epochs, seed)
    with evaluating(made):
        for inputs, labels in batches(benchmark.val, plan, made.collate, len(made.class_names)):
            logits = functional_call(made, mixed(), (inputs.to(c.device),))
            adam.zero_grad()
            torch.nn.functional.cross_entropy(logits, labels.to(c.device)).backward()
            adam.step()
            with torch.no_grad():
                c.clamp_(0, 1)
    with torch.no_grad():
        made.load_state_dict(theta_0 | mixed())
    made.history = []
    return made.requires_grad_(True), dict(zip(taus, c.tolist(), strict=True))
