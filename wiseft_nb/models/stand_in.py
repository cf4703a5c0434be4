"""Stand-ins for what is downloaded elsewhere: a tiny CLIP in open_clip's folder layout, and a text model.

Their weights are random; they show how such models are called, and nothing about them.

Explained in notebooks 11_use_real_clip and 12_bring_your_own_model.
"""

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn


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


class Letters(nn.Module):
    """Stands for a text model of Hugging Face: called alike, with an answer of the same form.

    Explained in notebook 12_bring_your_own_model.
    """

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32)
        self.layer = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """``last_hidden_state``, float ``(n, tokens, 32)``, of int64 ``(n, tokens)``; the mask is not needed."""
        hidden = self.embedding(input_ids)
        return SimpleNamespace(last_hidden_state=hidden + self.layer(hidden))


def tokenise(text: str, length: int = 40) -> dict[str, Tensor]:
    """Groups of three letters, each with a number from 1 to 999, as a tokenizer would give word pieces.

    Returns
    -------
    dict
        ``input_ids`` and ``attention_mask``, int64 ``(length,)``: 0 where the text has ended.

    Explained in notebook 12_bring_your_own_model.
    """
    ids = [1 + zlib.crc32(text[i : i + 3].encode()) % 999 for i in range(len(text) - 2)][:length]
    rest = [0] * (length - len(ids))
    return {"input_ids": torch.tensor(ids + rest), "attention_mask": torch.tensor([1] * len(ids) + rest)}
