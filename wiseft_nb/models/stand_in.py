"""A stand-in for a published CLIP: a tiny vision transformer with random weights, in open_clip's folder layout.

Explained in notebook 11_use_real_clip.
"""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file


def write_tiny_clip(folder: str | Path, seed: int = 0) -> Path:
    """Write the two files of an open_clip model: 32 pixels, two blocks of width 64, nothing learned.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.
    seed : int
        Of the random weights; torch's own generator is left as it was.

    Returns
    -------
    Path
        The folder, for ``load_clip``.

    Explained in notebook 11_use_real_clip.
    """
    folder, tower = Path(folder), {"layers": 2, "width": 64}
    config = {
        "embed_dim": 64,
        "vision_cfg": tower | {"image_size": 32, "patch_size": 8, "head_width": 32},
        "text_cfg": tower | {"heads": 2},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder
