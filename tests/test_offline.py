"""The whole path from official files to predictions works where no network is, and this test takes it away."""

import json
import socket

import cifar_tree
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from wiseft_nb import (
    FineTuneConfig,
    classify,
    export_to_onnx,
    export_to_open_clip,
    fine_tune,
    load_benchmark,
    load_classifier,
    load_clip,
    save_classifier,
    sweep,
    wise_ft,
    zero_shot_classifier,
)


@pytest.fixture
def no_network(monkeypatch):
    """Every name and address of another machine is out of reach; so is this one's, by name."""
    connect = socket.socket.connect

    def refuse(*args, **kwargs):
        raise AssertionError(f"the network was asked for: {args[1:] or args}")

    def only_within(self, address):
        return connect(self, address) if self.family == getattr(socket, "AF_UNIX", None) else refuse(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_within)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


def test_the_block_blocks(no_network):
    with pytest.raises(AssertionError, match="the network was asked for"):
        socket.create_connection(("example.org", 80))
    with pytest.raises(AssertionError, match="the network was asked for"), socket.socket() as s:
        s.connect(("127.0.0.1", 9))


def test_from_official_files_to_predictions_without_a_network(no_network, tmp_path):
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    (tmp_path / "clip").mkdir()
    save_file(open_clip.CLIP(**config).state_dict(), tmp_path / "clip/open_clip_model.safetensors")
    (tmp_path / "clip/open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    cifar_tree.write_all(tmp_path / "data")

    wanted = ["cifar10.1-v6", "cifar10.2", "stl10"]
    benchmark = load_benchmark("cifar10", root=tmp_path / "data", shifts=wanted, complete=False)
    clip = load_clip(tmp_path / "clip")
    zero_shot = zero_shot_classifier(clip, benchmark)
    fine_tuned = fine_tune(zero_shot, benchmark, FineTuneConfig(epochs=1, batch_size=20), progress=False)
    table = sweep(zero_shot, fine_tuned, benchmark, (0.0, 0.5, 1.0), progress=False)
    assert set(table.dataset) == {"cifar10", *wanted} and len(table) == 12

    robust = load_classifier(save_classifier(wise_ft(zero_shot, fine_tuned, 0.5), tmp_path / "saved"))
    export_to_open_clip(robust, clip, tmp_path / "exported")
    export_to_onnx(robust, tmp_path / "exported.onnx")
    images = [image for image, _ in benchmark.shifts["stl10"]]
    said = classify(robust, images, progress=False)
    said.to_csv(tmp_path / "said.csv", index=False)
    assert pd.read_csv(tmp_path / "said.csv").label.tolist() == robust.predict(images)
