"""load_clip: the bundled model, folders in open_clip's layout, open_clip's own names."""

import json
import shutil
import subprocess
import sys

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from wiseft_nb import WiseftError, load_clip
from wiseft_nb.paths import DATA

BUNDLED = DATA / "models" / "digits-rn"
WEIGHTS = "open_clip_model.safetensors"

LOAD_WITHOUT_US = f"""
import sys
sys.modules["wiseft_nb"] = None  # importing it now raises ImportError
import json, open_clip, torch
from PIL import Image
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{BUNDLED.as_posix()}")
tokenizer = open_clip.get_tokenizer("local-dir:{BUNDLED.as_posix()}")
image = preprocess(Image.linear_gradient("L").convert("RGB"))[None]
with torch.no_grad():
    features = model.eval()(image, tokenizer(["the number 7"]))
print(json.dumps([feature.flatten().tolist() for feature in features[:2]]))
"""


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model that may be damaged."""
    return shutil.copytree(BUNDLED, tmp_path / "my-clip", copy_function=shutil.copyfile)


def test_open_clip_loads_the_bundled_model_without_this_package(clip, tmp_path):
    """The folder can be handed on: its embeddings do not depend on our code."""
    from PIL import Image

    run = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_US], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    image_features, text_features = (torch.tensor(values) for values in json.loads(run.stdout))
    image = clip.preprocess(Image.linear_gradient("L").convert("RGB"))[None]
    with torch.no_grad():
        ours = clip.model(image, clip.tokenizer(["the number 7"]))
    torch.testing.assert_close(image_features, ours[0][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(text_features, ours[1][0], rtol=0, atol=1e-4)


def test_it_is_an_open_clip_model_ready_to_use(clip):
    assert isinstance(clip.model, open_clip.CLIP) and not clip.model.training
    assert {tensor.dtype for tensor in clip.model.parameters()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in clip.model.state_dict().values())
    assert clip.config["preprocess_cfg"]["size"] in (32, [32, 32], (32, 32))


def test_the_bundled_folder_is_small_and_holds_nothing_that_executes():
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".csv", ".md"}
    assert {"open_clip_config.json", WEIGHTS} <= {path.name for path in files}


def test_a_folder_is_loaded_like_the_bundled_model(folder, clip):
    copy = load_clip(folder)
    assert all(torch.equal(t, clip.model.state_dict()[name]) for name, t in copy.model.state_dict().items())
    assert load_clip(str(folder)).config == clip.config


@pytest.fixture
def architecture(tmp_path):
    """A small architecture that open_clip knows by name."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    path = tmp_path / "wiseft-test.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    yield path.stem
    open_clip.factory._MODEL_CONFIGS.pop(path.stem, None)


def test_any_open_clip_architecture_loads_with_a_weights_file(architecture, tmp_path):
    model = open_clip.create_model(architecture)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = load_clip(architecture, pretrained=str(tmp_path / "weights.safetensors")).model
    assert all(torch.equal(t, loaded.state_dict()[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_bad_weights_file_of_an_architecture_is_refused(architecture, tmp_path, damage, ending):
    path = tmp_path / f"weights.{ending}"
    if damage == "truncated":
        state = open_clip.create_model(architecture).state_dict()
        save_file(state, path) if ending == "safetensors" else torch.save(state, path)
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WiseftError, match="cannot be loaded"):
        load_clip(architecture, pretrained=str(path))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(WiseftError, match="digits-rn"):
        load_clip("digits-rm")


def test_an_architecture_without_weights_says_which_tags_there_are():
    with pytest.raises(WiseftError, match="laion2b_s34b_b79k"):
        load_clip("ViT-B-32")


@pytest.mark.parametrize("keep", [0, 7, 5_000, 1_000_000])
def test_truncated_weights_are_refused_by_file_name(folder, keep):
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(WiseftError, match="truncated") as error:
        load_clip(folder)
    assert WEIGHTS in str(error.value)


def test_missing_weights_are_named(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(WiseftError, match=WEIGHTS):
        load_clip(folder)


def test_a_pickle_is_never_opened(folder):
    """Only safetensors: a pickle runs code."""
    (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(WiseftError, match="safetensors"):
        load_clip(folder)


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"preprocess_cfg": {}}'])
def test_a_bad_configuration_is_refused_by_file_name(folder, text):
    (folder / "open_clip_config.json").unlink()
    if text is not None:
        (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(WiseftError, match="open_clip_config.json"):
        load_clip(folder)


def test_weights_of_another_architecture_are_refused(folder):
    state = load_file(folder / WEIGHTS)
    state.pop("text_projection")
    save_file(state, folder / WEIGHTS)
    with pytest.raises(WiseftError, match="cannot be loaded"):
        load_clip(folder)
