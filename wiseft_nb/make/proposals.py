"""Train the proposals of notebook 14 on scenes of letters: ``python -m wiseft_nb.make.proposals``.

Three minutes on one core. Writes ``data/models/proposals/proposals.safetensors`` as float16. A run that was killed goes
on from its last checkpoint under ``build/proposals``.
"""

import argparse

import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.digits.letter_scenes import letter_scenes
from wiseft_nb.benchmarks.digits.scenes import Scenes
from wiseft_nb.detect.proposals import PROPOSALS, proposal_net, train_proposals
from wiseft_nb.engine.files import replacing
from wiseft_nb.paths import BUILD

SCENES, PARTS = 2500, 10  # drawn in parts, which takes less memory
STEPS, RATE, DECAY = 1000, 2e-3, 1e-2
EVERY = 100  # steps between two checkpoints


def draw_letters() -> Scenes:
    """All training scenes."""
    parts = [letter_scenes(SCENES // PARTS, seed=1000 + part) for part in tqdm(range(PARTS), desc="scenes")]
    boxes, labels = ([thing for part in parts for thing in getattr(part, name)] for name in ("boxes", "labels"))
    return Scenes(torch.cat([part.images for part in parts]), boxes, labels)


def main() -> None:
    """Go on where the last checkpoint stands, to the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    steps, checkpoint = parser.parse_args().steps, BUILD / "proposals" / "checkpoint.pt"
    torch.manual_seed(0)
    network = proposal_net().to(memory_format=torch.channels_last)
    optimizer, first = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY), 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    bar = tqdm(desc="proposals", total=steps, initial=first)
    for step, loss in train_proposals(network, draw_letters(), optimizer, steps, first=first, train_batchnorm=True):
        bar.update()
        bar.set_postfix(loss=f"{loss:.3f}")
        if step % EVERY == 0 or step == steps:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            with replacing(checkpoint) as part:
                torch.save(state, part)
    weights = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    with replacing(PROPOSALS) as part:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, part)


if __name__ == "__main__":
    main()
