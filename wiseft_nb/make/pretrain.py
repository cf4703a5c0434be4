"""Pretrain the bundled CLIP on captioned drawings of characters: ``python -m wiseft_nb.make.pretrain``.

Contrastive pretraining as in Radford et al. 2021 (arXiv 2103.00020, section 2.3): images and captions
are encoded, and each image should be closest to its own caption. No handwritten digit is used.
The run is seeded and can be interrupted: it goes on from its last checkpoint under ``build/pretrain``.

Explained in notebook A1_pretrain_tiny_clip.
"""

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import open_clip
import pandas as pd
import torch
from open_clip.model import CLIP
from safetensors.torch import save
from torch import Tensor
from tqdm.auto import tqdm

from wiseft_nb.benchmarks.digits.draw import COLOURS, HAND_DRAWN, STYLES, Drawings, draw
from wiseft_nb.benchmarks.digits.glyphs import CHARACTERS, font_table, load_glyphs
from wiseft_nb.paths import BUILD, DATA

MODEL = DATA / "models" / "digits-rn"
MODEL_CFG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 32, "patch_size": None},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 80, "heads": 4, "layers": 2},
}
PREPROCESS_CFG = {"mean": [0.5] * 3, "std": [0.27] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
STYLE_WORDS = (
    ("printed", "typed", "plain"),
    ("hand-drawn", "handwritten", "scribbled"),
    ("outlined", "hollow", "sketched"),
    ("painted", "textured", "rough"),
    ("tilted", "cluttered", "off-center"),
)


def caption(character: str, style: int, foreground: str, background: str, font: str, dice: random.Random) -> str:
    """Say what was drawn, naming now these and now those of its attributes."""
    digit = character.isdigit()
    if dice.random() < 0.1:
        name = dice.choice(["digit", "number"] if digit else ["letter", "character"])
    elif digit:
        word = dice.choice([character, DIGIT_NAMES[int(character)]])
        name = dice.choice(["digit ", "number ", ""]) + word
    else:
        case = "capital " if character.isupper() else "lowercase "
        name = (case if dice.random() < 0.3 else "") + dice.choice(["letter ", "letter ", ""]) + character.lower()
    words = [dice.choice(STYLE_WORDS[style])] if dice.random() < 0.45 else []
    words += [foreground] if dice.random() < 0.5 else []
    text = " ".join([*words, name])
    if dice.random() < 0.25:
        text += f" on a {background} background"
    if font and dice.random() < 0.08:
        text += f" in a {font} font"
    article = "an" if text[0] in "aeiou" and len(text.split()[0]) > 1 else "a"
    carrier = dice.choice([f"{article} ", "", "the ", f"a photo of {article} ", "a photo of the ", "an image of the "])
    return carrier + text


class Pairs:
    """Image-caption pairs without end: ``pairs(step)`` depends on the seed and the step alone."""

    def __init__(self, batch_size: int, seed: int):
        self.glyphs = torch.from_numpy(load_glyphs("pretraining"))
        self.fonts = font_table().query("split == 'pretraining'")["style"].str.lower().tolist()
        self.batch_size, self.seed = batch_size, seed

    def __call__(self, step: int) -> tuple[Drawings, list[str]]:
        n, seed = self.batch_size, self.seed * 1_000_003 + step
        generator = torch.Generator().manual_seed(seed)
        fonts = torch.randint(len(self.fonts), (n,), generator=generator)
        digits, letters = (
            torch.randint(low, high, (n,), generator=generator) for low, high in ((0, 10), (10, len(CHARACTERS)))
        )
        characters = torch.where(torch.rand(n, generator=generator) < 0.5, digits, letters)
        styles = torch.randint(len(STYLES) + 1, (n,), generator=generator)  # hand-drawn twice as often
        styles = torch.where(styles == len(STYLES), HAND_DRAWN, styles)
        drawings = draw(self.glyphs[fonts, characters], styles, seed)
        dice, colours = random.Random(seed), list(COLOURS)
        captions = [
            caption(CHARACTERS[c], s, colours[f], colours[b], self.fonts[font], dice)
            for c, s, f, b, font in zip(
                characters.tolist(),
                styles.tolist(),
                drawings.foregrounds.tolist(),
                drawings.backgrounds.tolist(),
                fonts.tolist(),
                strict=True,
            )
        ]
        return drawings, captions


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] as the model wants them: the mean and standard deviation of PREPROCESS_CFG."""
    return (images - PREPROCESS_CFG["mean"][0]) / PREPROCESS_CFG["std"][0]


def new_model(seed: int) -> CLIP:
    """The untrained model."""
    torch.manual_seed(seed)
    return CLIP(**MODEL_CFG)


def make_optimizer(model: CLIP, lr: float) -> torch.optim.AdamW:
    """AdamW; as in CLIP, gains, biases and the temperature are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))


def pretrain(steps: int, batch_size: int, lr: float, seed: int, folder: Path, save_every: int = 250) -> CLIP:
    """Train, or go on training, and return the model. ``folder`` keeps checkpoint and log."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = open_clip.SimpleTokenizer(context_length=MODEL_CFG["text_cfg"]["context_length"])
    model, pairs, loss_function = new_model(seed), Pairs(batch_size, seed), open_clip.ClipLoss()
    optimizer, log, first = make_optimizer(model, lr), [], 0
    settings = {"steps": steps, "batch_size": batch_size, "lr": lr, "seed": seed}
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["settings"] != settings:
            raise SystemExit(
                f"{checkpoint} belongs to a run with {state['settings']}, not {settings}: remove it or use --build"
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        log, first = state["log"], state["step"]
    model.train()
    start = time.monotonic() - (log[-1]["seconds"] if log else 0)
    progress = tqdm(range(first, steps), initial=first, total=steps, desc="pretraining", mininterval=5)
    for step in progress:
        drawings, captions = pairs(step)
        rate = lr * min((step + 1) / 200, 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        # bfloat16 is what makes a CLIP of one's own affordable on two cores
        with torch.autocast("cpu", dtype=torch.bfloat16):
            images, texts, scale = model(normalise(drawings.images), tokenizer(captions))[:3]
        loss = loss_function(images.float(), texts.float(), scale.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        if (step + 1) % 25 == 0:
            row = {"step": step + 1, "seconds": round(time.monotonic() - start, 1)}
            log.append(row | {"loss": round(loss.item(), 4), "logit_scale": round(scale.item(), 3)})
            progress.set_postfix(loss=f"{loss.item():.3f}")
        if (step + 1) % save_every == 0 or step + 1 == steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "log": log}
            torch.save(state | {"step": step + 1, "settings": settings}, checkpoint.with_suffix(".tmp"))
            os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    pd.DataFrame(log).to_csv(folder / "pretraining_log.csv", index=False)
    return model.eval()


def save_clip(model: CLIP, folder: Path) -> None:
    """Write the folder ``open_clip.create_model_and_transforms("local-dir:...")`` reads; weights as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "open_clip_model.safetensors.tmp").write_bytes(save(weights))
    os.replace(folder / "open_clip_model.safetensors.tmp", folder / "open_clip_model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=Path, default=BUILD / "pretrain", help="checkpoint and log")
    parser.add_argument("--out", type=Path, default=MODEL)
    args = parser.parse_args()
    model = pretrain(args.steps, args.batch_size, args.lr, args.seed, args.build)
    save_clip(model, args.out)
    os.replace(args.build / "pretraining_log.csv", args.out / "pretraining_log.csv")
    print(f"saved in {args.out}")


if __name__ == "__main__":
    main()
