"""Prompt templates by name; ``{}`` stands for the class name.

Explained in notebook 01_build_zero_shot.
"""

from collections.abc import Sequence

import open_clip

from wiseft_nb.benchmarks.base import Template
from wiseft_nb.errors import unknown

# what OpenAI says of pictures of 32 x 32 pixels: github.com/openai/CLIP, data/prompts.md
CIFAR_KINDS = ("", "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good ")
TEMPLATES: dict[str, Sequence[Template]] = {
    "digits": (
        "a photo of the digit {}",
        "the number {}",
        "a handwritten number {}",
        "a hand-drawn digit {}",
        "an image of the number {}",
        "a printed digit {}",
        "an outlined number {}",
        "a painted number {}",
    ),
    "simple": ("a photo of a {}.",),
    "cifar": [f"a {kind}photo of {article} {{}}." for article in ("a", "the") for kind in CIFAR_KINDS]
    + [f"a photo of {article} {size} {{}}." for article in ("a", "the") for size in ("small", "big")],
    "openai-imagenet": open_clip.OPENAI_IMAGENET_TEMPLATES,
}


def load_templates(name: str) -> Sequence[Template]:
    """The templates of that name: ``digits``, ``simple``, ``cifar`` or ``openai-imagenet`` (CLIP's 80).

    Examples
    --------
    >>> load_templates("simple")
    ('a photo of a {}.',)

    Explained in notebook 01_build_zero_shot.
    """
    if name not in TEMPLATES:
        raise unknown("template name", name, TEMPLATES)
    return TEMPLATES[name]
