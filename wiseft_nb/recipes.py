"""How to fine-tune: the settings, the paper's recipes, and what they ask of a machine.

Explained in notebook 02_fine_tune.
"""

import math
import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import pandas as pd

from wiseft_nb.errors import WiseftError, unknown
from wiseft_nb.paths import DATA

METHODS = ("end-to-end", "linear")
# OpenAI's spelling and open_clip's
PAPER = {
    "ViT-B/32": "ViT-B-32",
    "ViT-B/16": "ViT-B-16",
    "ViT-L/14": "ViT-L-14",
    "ViT-L/14@336px": "ViT-L-14-336",
}
# the kind of each number, what is allowed, and that in words
SETTINGS = {
    "epochs": (int, lambda value: value >= 1, "a whole number, 1 or more"),
    "batch_size": (int, lambda value: value >= 1, "a whole number, 1 or more"),
    "lr": (float, lambda value: 0 <= value < math.inf, "a finite number, 0 or more"),
    "weight_decay": (float, lambda value: 0 <= value < math.inf, "a finite number, 0 or more"),
    "warmup": (float, lambda value: 0 <= value < 1, "a number in [0, 1)"),
    "warmup_steps": (int, lambda value: value >= 0, "a whole number, 0 or more, or None"),
    "label_smoothing": (float, lambda value: 0 <= value < 1, "a number in [0, 1)"),
    "clip_norm": (float, lambda value: value > 0, "a number above 0, or None not to clip"),
    "seed": (int, lambda value: value >= 0, "a whole number, 0 or more"),
}


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune. The defaults suit the bundled CLIP on ``digits``; ``paper`` has the paper's recipe.

    Attributes
    ----------
    method : {"end-to-end", "linear"}
        Train all weights, or the classification head alone.
    epochs, batch_size : int
    lr : float
        Peak learning rate of AdamW: a linear warm-up to it, a cosine from it to 0.
    weight_decay : float
    warmup : float
        Length of the warm-up as a fraction of all steps, in [0, 1).
    warmup_steps : int, optional
        Its length in steps instead. Beyond a fifth of the run it is shortened to a tenth, with a warning.
    label_smoothing : float
        In [0, 1).
    clip_norm : float or None
        Gradients are scaled down to this norm; None, or infinity, leaves them as they are.
    train_batchnorm : bool
        False keeps BatchNorm's statistics at their pretrained values and its layers in evaluation
        mode, so that what changes are the weights alone; True also moves the statistics.
    seed : int
        Decides the order of the images and their crops.

    Explained in notebook 02_fine_tune.
    """

    method: str = "end-to-end"
    epochs: int = 8
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.1
    warmup: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float | None = 1.0
    train_batchnorm: bool = False
    seed: int = 0
    warmup_steps: int | None = None

    @classmethod
    def paper(cls, model: str = "ViT-B/16") -> "FineTuneConfig":
        """The recipe of Wortsman et al. 2022, appendix D, for end-to-end fine-tuning of CLIP on ImageNet.

        AdamW with learning rate 3e-5 and weight decay 0.1, 500 warm-up steps and a cosine, gradients
        clipped to 1, 10 epochs in batches of 512, CLIP's random crop. The paper states it for ViT-B/16;
        its authors advise the same for other sizes (github.com/mlfoundations/wise-ft, issue 6).

        Parameters
        ----------
        model : str
            In OpenAI's or open_clip's spelling: ViT-B/32, ViT-B/16, ViT-L/14, ViT-L/14@336px.

        Raises
        ------
        WiseftError
            If the model has no recipe.

        Examples
        --------
        >>> FineTuneConfig.paper("ViT-B/16").lr
        3e-05

        Explained in notebook 11_use_real_clip.
        """
        if model not in PAPER and model not in PAPER.values():
            raise unknown("model with a recipe of the paper's", model, PAPER)
        return cls(epochs=10, batch_size=512, lr=3e-5, weight_decay=0.1, warmup_steps=500, clip_norm=1.0)

    def warmup_share(self, steps: int) -> float:
        """The warm-up as a fraction of a run of that many steps; a warning says where it had to be shortened.

        Explained in notebook 11_use_real_clip.
        """
        if self.warmup_steps is None:
            return self.warmup
        if self.warmup_steps > steps / 5:
            shorter = steps // 10
            warnings.warn(
                f"a warm-up of {self.warmup_steps} steps does not suit a run of {steps}, so it is {shorter} steps "
                "long: train longer, or choose warmup_steps yourself",
                stacklevel=3,
            )
            return (shorter + 0.5) / steps if shorter else 0.0
        return (self.warmup_steps + 0.5) / steps if self.warmup_steps else 0.0  # half a step, lest rounding loses one

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("fine-tuning method", self.method, METHODS)
        if self.clip_norm is None:
            object.__setattr__(self, "clip_norm", math.inf)
        for name, (kind, allowed, wanted) in SETTINGS.items():
            value = getattr(self, name)
            if name == "warmup_steps" and value is None:
                continue
            number = Integral if kind is int else Real
            if isinstance(value, bool) or not isinstance(value, number) or not allowed(value):
                hint = "; YAML reads 1e-5 as a text, write 1.0e-5" if isinstance(value, str) and kind is float else ""
                raise WiseftError(f"FineTuneConfig.{name} is {value!r}: expected {wanted}{hint}")
            object.__setattr__(self, name, kind(value))  # numbers of numpy become Python's


def recipe_table(images: int = 1_281_167, flops_per_second: float = 1e14, dataset_gb: float = 145) -> pd.DataFrame:
    """What the paper's recipes ask for on ImageNet: estimated, not measured.

    Parameters
    ----------
    images : int
        Of the training set; by default ImageNet's.
    flops_per_second : float
        What the GPU sustains; 1e14 is about a third of an A100's peak in bfloat16.
    dataset_gb : float
        Of the dataset on disk.

    Returns
    -------
    pandas.DataFrame
        A row a model: parameters of the image encoder (millions), GFLOPs (a forward pass of one image),
        steps, GPU memory (GB) for whole batches and for micro-batches of 64, hours, disk (GB).

    Notes
    -----
    Parameters, operations and activations of each image encoder are those of
    ``data/results/image_encoders.csv``; the README beside it says how they were counted. Memory is 20 bytes
    a parameter (weights, gradients, AdamW's two moments, the last good weights, all float32) and the
    activations kept for the backward pass, half of them bfloat16's size. A training step takes three times
    the forward pass. Disk is the dataset and three sets of weights.

    Explained in notebook 11_use_real_clip.
    """
    encoders, rows = pd.read_csv(DATA / "results" / "image_encoders.csv", index_col="model"), []
    for model in PAPER:
        config, (parameters, flops, activations) = FineTuneConfig.paper(model), map(int, encoders.loc[model])
        steps = config.epochs * math.ceil(images / config.batch_size)
        memory = {n: (20 * parameters + n * activations / 2) / 1e9 for n in (config.batch_size, 64)}
        rows.append(
            {
                "model": model,
                "lr": config.lr,
                "batch_size": config.batch_size,
                "epochs": config.epochs,
                "steps": steps,
                "million_parameters": parameters / 1e6,
                "gflops": flops / 1e9,
                "gpu_gb": memory[config.batch_size],
                "gpu_gb_micro_batch_64": memory[64],
                "hours": 3 * flops * images * config.epochs / flops_per_second / 3600,
                "disk_gb": dataset_gb + 3 * 4 * parameters / 1e9,
            }
        )
    return pd.DataFrame(rows)
