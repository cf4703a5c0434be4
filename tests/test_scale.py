"""Two processes work as one: same weights, same table, each sample once, one writer.

The processes are real, on the CPU, started as users start them; a deadlock is a failure, not a wait.
"""

import copy
import json
import os
import socket
import subprocess
import sys

import cifar_tree
import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from wiseft_nb import Compute, FineTuneConfig, WiseftError, fine_tune, load_clip, zero_shot_classifier
from wiseft_nb.engine.batches import in_pieces
from wiseft_nb.fine_tune import piece_size
from wiseft_nb.paths import ROOT

PATIENCE = 240  # seconds


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(arguments, cache, processes=1):
    """Run the pipeline's script as a user would, alone or under ``accelerate launch``."""
    several = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    several += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    several += ["--num_cpu_threads_per_process", "1", "--main_process_port", str(free_port())]
    command = [sys.executable, *(several if processes > 1 else []), "-m", "wiseft_nb.__main__", *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "WISEFT_NB_CACHE": str(cache), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def weights_of(folder):
    (path,) = folder.glob("*.safetensors")
    return load_file(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 40 pictures of two colours, and a shift."""
    folder, rng = tmp_path_factory.mktemp("own") / "colours", np.random.default_rng(0)
    for part, n in (("train", 30), ("val", 6), ("test", 300), ("shifts/dark", 7)):
        for label, name in enumerate(("blue", "red")):
            (folder / part / name).mkdir(parents=True)
            for i in range(n):
                noise = rng.integers(0, 120, (16, 16, 3)) + 100 * (np.arange(3) == 2 * label)
                Image.fromarray(noise.astype(np.uint8)).save(folder / part / name / f"{i}.png")
    return folder


def test_two_processes_give_the_weights_and_the_table_of_one(pictures, tmp_path):
    common = ["--benchmark", pictures, "--lr", 1e-3, "--epochs", 2, "--batch-size", 16, "--alphas", 3]
    start([*common, "--micro-batch", 8, "--out", tmp_path / "one"], tmp_path / "cache1")
    said = start([*common, "--out", tmp_path / "two"], tmp_path / "cache2", processes=2)
    one, two = (weights_of(tmp_path / name / "fine-tuned") for name in ("one", "two"))
    largest = max((one[name].float() - two[name].float()).abs().max().item() for name in one)
    before = weights_of(tmp_path / "one" / "zero-shot")
    moved = max((one[name].float() - before[name].float()).abs().max().item() for name in one)
    assert largest <= 1e-5 < moved / 100, f"weights differ by {largest}, training moved them by {moved}"
    tables = [pd.read_csv(tmp_path / name / "sweep.csv") for name in ("one", "two")]
    pd.testing.assert_frame_equal(*tables)
    sizes = tables[0].groupby("dataset").n.unique().str[0]
    assert sizes.to_dict() == {"reference": 600, "dark": 14}, "no sample is counted twice"
    assert said.count("alpha") == 1, "process 0 alone speaks"
    files = sorted(path.name for path in (tmp_path / "two").rglob("*") if path.is_file())
    assert len(files) == 5 and not [name for name in files if name.endswith(".tmp")]


def test_vit_b_32_goes_the_whole_way_on_official_cifar_10_files_with_one_process_and_two(tmp_path):
    """Random weights in open_clip's layout stand in for a download; everything else is the real thing."""
    cifar_tree.write_python_version(tmp_path / "data", n=4)
    cifar_tree.write_cifar10_1(tmp_path / "data", n=3)
    torch.manual_seed(0)
    weights = tmp_path / "vit.safetensors"
    save_file(open_clip.create_model("ViT-B-32").state_dict(), weights)
    common = ["--benchmark", "cifar10", "--root", tmp_path / "data", "--shifts", "cifar10.1-v6", "--partial"]
    common += ["--model", "ViT-B-32", "--pretrained", weights, "--recipe", "ViT-B/32"]
    common += ["--epochs", 1, "--batch-size", 8, "--alphas", 2]
    start([*common, "--micro-batch", 4, "--out", tmp_path / "one"], tmp_path / "cache1")
    start([*common, "--out", tmp_path / "two"], tmp_path / "cache2", processes=2)
    one, two = (weights_of(tmp_path / name / "fine-tuned") for name in ("one", "two"))
    before = weights_of(tmp_path / "one" / "zero-shot")
    assert max((one[name] - two[name]).abs().max().item() for name in one) <= 1e-5
    assert any(not torch.equal(one[name], before[name]) for name in one)
    tables = [pd.read_csv(tmp_path / name / "sweep.csv") for name in ("one", "two")]
    pd.testing.assert_frame_equal(*tables)
    assert set(tables[0].dataset) == {"cifar10", "cifar10.1-v6"} and set(tables[0].n) == {4, 3}


FROM_A_NOTEBOOK = """
import hashlib, json, sys
from accelerate import notebook_launcher
from wiseft_nb import evaluate, fine_tune, FineTuneConfig, load_benchmark, load_clip, zero_shot_classifier

def work():
    from wiseft_nb.engine.processes import count, is_main
    benchmark = load_benchmark(sys.argv[1])
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    tuned = fine_tune(zero_shot, benchmark, FineTuneConfig(method="linear", epochs=1, batch_size=16), progress=False)
    predictions = evaluate(tuned, benchmark.reference)
    if is_main():
        print(json.dumps([count(), predictions.n, predictions.labels.tolist()]))

notebook_launcher(work, num_processes=2, use_port=sys.argv[2])
"""


def test_it_runs_under_accelerates_launcher_for_notebooks(pictures):
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FROM_A_NOTEBOOK, str(pictures), str(free_port())],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert answers == [str([2, 600, [0] * 300 + [1] * 300])], "once, in order, every sample"


def largest_difference(one, other):
    theirs = other.state_dict()
    return max((tensor.float() - theirs[name].float()).abs().max().item() for name, tensor in one.state_dict().items())


def test_a_batch_in_pieces_is_the_same_step_where_crops_are_the_same(zero_shot, tiny):
    """Gradient accumulation: without random crops pieces change rounding alone, uneven ones too."""
    plain = copy.deepcopy(zero_shot)
    plain.augment = plain.preprocess
    config = FineTuneConfig(epochs=1, batch_size=50, lr=3e-5)
    whole = fine_tune(plain, tiny, config, progress=False)
    pieces = fine_tune(plain, tiny, config, progress=False, compute=Compute(micro_batch=20))
    assert largest_difference(whole, pieces) <= 1e-5 < largest_difference(whole, plain) / 10
    assert whole.history[0]["loss"] == pytest.approx(pieces.history[0]["loss"], abs=1e-5)


def test_pieces_hold_every_sample_once_and_have_seeds_of_their_own():
    batch = (list(range(100, 110)), 7)
    alone = piece_size(FineTuneConfig(batch_size=10), Compute())
    assert in_pieces(batch, alone) == [batch], "alone, a batch stays whole"
    pieces = in_pieces(batch, 4)
    assert [indices for indices, _ in pieces] == [[100, 101, 102, 103], [104, 105, 106, 107], [108, 109]]
    assert len({seed for _, seed in pieces}) == 3 and pieces == in_pieces(batch, 4)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory, tiny):
    """A tiny vision transformer with random weights."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return zero_shot_classifier(load_clip(folder), tiny)


def test_gradient_checkpointing_changes_nothing_and_is_switched_off_again(transformer, tiny):
    config = FineTuneConfig(epochs=1, batch_size=50)
    kept = fine_tune(transformer, tiny, config, progress=False)
    calls = []
    real = torch.utils.checkpoint.checkpoint

    def counted(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_clip.transformer, "checkpoint", counted)
        again = fine_tune(transformer, tiny, config, progress=False, compute=Compute(checkpointing=True))
    assert calls and largest_difference(kept, again) <= 1e-6
    assert not again.image_encoder.transformer.grad_checkpointing


def test_what_cannot_be_had_in_pieces_is_refused(zero_shot, tiny):
    with pytest.raises(WiseftError, match="BatchNorm's statistics"):
        fine_tune(zero_shot, tiny, FineTuneConfig(train_batchnorm=True), compute=Compute(micro_batch=8))
    with pytest.raises(WiseftError, match="ModifiedResNet has no gradient checkpointing"):
        fine_tune(zero_shot, tiny, FineTuneConfig(), compute=Compute(checkpointing=True))
    with pytest.raises(WiseftError, match="micro_batch is 0"):
        Compute(micro_batch=0)
