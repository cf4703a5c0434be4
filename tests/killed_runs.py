"""What test_resume.py kills: fine-tuning and a sweep, both with the cache.

Imported once by a server process, which forks a fresh copy of itself for every run.
"""

import dataclasses
import hashlib
import os
import sys

import torch

from wiseft_nb import FineTuneConfig, fine_tune, load_benchmark, load_clip, sweep, zero_shot_classifier
from wiseft_nb.engine import training
from wiseft_nb.engine.files import write_whole
from wiseft_nb.engine.forward import forward_over

torch.set_num_threads(1)  # a process whose threads were started cannot be forked
# many places to be killed at; the package's name of the room sweep is its function
sys.modules["wiseft_nb.sweep"].BATCHES_AT_ONCE = 1
forward_over.__wrapped__.__kwdefaults__["batch_size"] = 40
training.SAVE_SECONDS = 0.2
digits = load_benchmark("digits")
benchmark = dataclasses.replace(
    digits,
    **{name: getattr(digits, name).subset(slice(60)) for name in ("train", "val", "reference")},
    shifts={"pose": digits.shifts["pose"].subset(slice(100))},
    groups={},
)
zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)


def run(cache, out):
    """Fine-tune, sweep, and write down the weights' hash, the history and the table."""
    os.environ["WISEFT_NB_CACHE"] = str(cache)
    fine_tuned = fine_tune(zero_shot, benchmark, FineTuneConfig(epochs=3, batch_size=10), progress=False, cache=True)
    table = sweep(zero_shot, fine_tuned, benchmark, (0, 0.5, 1), progress=False, cache=True)
    digest = hashlib.sha256()
    for tensor in fine_tuned.state_dict().values():
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    write_whole(out, f"{digest.hexdigest()}\n{fine_tuned.history}\n{table.to_csv()}".encode())
