"""Prompt templates by name; ``{}`` stands for the class name.

Explained in notebook 01_build_zero_shot.
"""

from collections.abc import Sequence

import open_clip

from wiseft_nb.benchmarks.base import Template
from wiseft_nb.errors import unknown

# what OpenAI says of pictures of 32 x 32 pixels: github.com/openai/CLIP, data/prompts.md
CIFAR_KINDS = ("", "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good ")
CIFAR = [
    *(f"a {kind}photo of {article} {{}}." for article in ("a", "the") for kind in CIFAR_KINDS),
    *(f"a photo of {article} {size} {{}}." for article in ("a", "the") for size in ("small", "big")),
]
REGIONS = ("", *(f" in {region}" for region in ("africa", "the americas", "asia", "europe", "oceania")))
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
    "cifar10": CIFAR,
    "cifar100": CIFAR,
    "wilds-fmow": [f"{kind} photo of a {{}}{where}." for kind in ("satellite", "aerial") for where in REGIONS],
    "wilds-iwildcam": ("a photo of {}.", "{} in the wild."),
    "cars": ("a photo of a {}.", "a photo of the {}, a type of car.", "a photo of my {}.", "a photo of a clean {}."),
    "dtd": [f"a photo of a {{}} {thing}." for thing in ("texture", "pattern", "thing", "object")],
    "food101": ("a photo of {}, a type of food.",),
    "sun397": ("a photo of a {}.", "a photo of the {}."),
    "openai-imagenet": open_clip.OPENAI_IMAGENET_TEMPLATES,
}


def load_templates(name: str) -> Sequence[Template]:
    """The templates of that name: ``simple``, ``openai-imagenet`` (CLIP's 80), or those of a benchmark.

    Examples
    --------
    >>> load_templates("simple")
    ('a photo of a {}.',)

    Explained in notebook 01_build_zero_shot.
    """
    if name not in TEMPLATES:
        raise unknown("template name", name, TEMPLATES)
    return TEMPLATES[name]
