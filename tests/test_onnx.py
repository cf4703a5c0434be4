"""What is exported to ONNX says what the classifier says, for any number of images, or is not written."""

import copy
import json
import logging
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import open_clip
import pytest
import torch
from torchvision.transforms import Compose

from wiseft_nb import Compute, WiseftError, evaluate, export_to_onnx, load_clip, zero_shot_classifier
from wiseft_nb.weights import onnx as onnx_export


@pytest.fixture(scope="module")
def transformer(tmp_path_factory, tiny):
    """A tiny vision transformer with random weights."""
    from safetensors.torch import save_file

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


@pytest.mark.parametrize("kind", ["resnet", "transformer"])
def test_onnxruntime_says_what_the_classifier_says(kind, fine_tuned, transformer, tiny, tmp_path):
    classifier = {"resnet": fine_tuned, "transformer": transformer}[kind]
    path = export_to_onnx(classifier, tmp_path / "classifier.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = evaluate(classifier, tiny.reference)
    for n in (1, 7, 100):
        images = classifier.collate([image for image, _ in tiny.reference.subset(range(n))])
        (logits,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(logits, expected.logits[:n], rtol=1e-3, atol=1e-3)
        assert (logits.argmax(1) == expected.predicted[:n].numpy()).all()
    about = {prop.key: json.loads(prop.value) for prop in onnx.load(path).metadata_props}
    preprocess_cfg = json.loads(json.dumps(classifier.config["preprocess_cfg"], default=list))
    assert about == {"class_names": list(classifier.class_names), "preprocess_cfg": preprocess_cfg}
    assert sorted(tmp_path.iterdir()) == [path], "one file"


def test_what_does_not_agree_is_refused_and_not_written(transformer, tmp_path, monkeypatch):
    class Wrong(onnxruntime.InferenceSession):
        def run(self, *args):
            return [logits + 1 for logits in super().run(*args)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Wrong)
    (tmp_path / "mine.onnx").write_bytes(b"before")
    with pytest.raises(WiseftError, match="onnxruntime's logits differ .* nothing was written"):
        export_to_onnx(transformer, tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_bytes() == b"before"


def test_without_the_packages_the_error_says_what_to_install(transformer, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WiseftError, match="onnxruntime is not installed: pip install onnx"):
        export_to_onnx(transformer, tmp_path / "mine.onnx")


def test_exporting_says_nothing(fine_tuned, tmp_path, capfd, caplog):
    """onnxscript's optimiser logs what it skips in a ResNet's attention pooling."""
    logging.getLogger("onnxscript").setLevel(logging.NOTSET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_to_onnx(fine_tuned, tmp_path / "classifier.onnx")
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert logging.getLogger("onnxscript").level == logging.NOTSET


@pytest.mark.parametrize("kind", ["preprocess", "config", "half"])
def test_what_the_file_could_not_say_truly_is_not_exported(transformer, tmp_path, kind):
    own = copy.deepcopy(transformer)
    if kind == "preprocess":
        own.preprocess = Compose([own.preprocess, torch.neg])
    elif kind == "config":
        own.config = {}
    else:
        own.half()
    says = "expected float32" if kind == "half" else "preprocess of this classifier is not what its config says"
    with pytest.raises(WiseftError, match=says):
        export_to_onnx(own, tmp_path / "mine.onnx")
    assert not list(tmp_path.iterdir())


def test_an_encoder_of_ones_own_is_exported(transformer, tmp_path):
    """Only the preprocessing has to be open_clip's."""
    own = copy.deepcopy(transformer)
    own.image_encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 16))
    session = onnxruntime.InferenceSession(export_to_onnx(own, tmp_path / "mine.onnx"))
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"images": images.numpy()})[0], own(images), rtol=1e-3, atol=1e-3)


def test_weights_that_one_file_cannot_hold_are_refused(transformer, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "LIMIT", 1000)
    with pytest.raises(WiseftError, match="one ONNX file holds 2"):
        export_to_onnx(transformer, tmp_path / "mine.onnx")


def test_the_classifier_is_left_as_it_was(transformer, tmp_path):
    before = {name: tensor.clone() for name, tensor in transformer.state_dict().items()}
    export_to_onnx(transformer, tmp_path / "mine.onnx")
    assert all(torch.equal(before[name], tensor) for name, tensor in transformer.state_dict().items())
    assert Compute().prepare(transformer)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
