"""load_clip: the bundled model, folders in open_clip's layout, open_clip's own names."""

import json
import shutil
import socket
import subprocess
import sys
import warnings

import huggingface_hub
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
    says = "is no file, and no tag" if damage == "missing" else rf"weights\.{ending} is damaged or .* copy it again"
    with pytest.raises(WiseftError, match=says):
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


# Published weights, of which none can be fetched here


def random_weights(name, folder, quick_gelu=False):
    """A small open_clip model with random weights, in a file."""
    model = open_clip.create_model(name, force_quick_gelu=quick_gelu)
    path = folder / "weights.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, path)
    return path


@pytest.fixture
def small(monkeypatch):
    """A small architecture under a published name, so that tags apply to it."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", config)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32-quickgelu", config | {"quick_gelu": True})


def activations(clip):
    return {type(m).__name__ for m in clip.model.modules()} & {"GELU", "QuickGELU"}


@pytest.mark.parametrize(
    ("name", "tag", "expected"),
    [
        ("ViT-B-32", "openai", "QuickGELU"),
        ("ViT-B/32", "openai", "QuickGELU"),
        ("ViT-B-32-quickgelu", "openai", "QuickGELU"),
        ("ViT-B-32", "laion2b_s34b_b79k", "GELU"),
    ],
)
def test_a_tag_is_loaded_with_the_activation_it_was_trained_with(small, tmp_path, monkeypatch, name, tag, expected):
    """open_clip warns and goes on with the wrong one: its weights load, and answer worse."""
    path = random_weights("ViT-B-32", tmp_path)
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *args, **kwargs: str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_clip(name, pretrained=tag)
    assert activations(loaded) == {expected} and loaded.config["model_cfg"].get("quick_gelu", False) == (
        expected == "QuickGELU"
    )


def test_a_weights_file_has_the_activation_that_is_said_with_it(small, tmp_path):
    path = random_weights("ViT-B-32", tmp_path)
    assert activations(load_clip("ViT-B-32", pretrained=path)) == {"GELU"}
    quick = load_clip("ViT-B-32", pretrained=path, quick_gelu=True)
    assert activations(quick) == {"QuickGELU"} and quick.config["model_cfg"]["quick_gelu"]
    with pytest.raises(WiseftError, match="load ViT-B-32 instead"):
        load_clip("ViT-B-32-quickgelu", pretrained=path, quick_gelu=False)
    with pytest.raises(WiseftError, match="was trained with quick_gelu True"):
        load_clip("ViT-B-32", pretrained="openai", quick_gelu=False)
    with pytest.raises(WiseftError, match="no file, and no tag of ViT-B-32: expected one of .*laion400m_e32"):
        load_clip("ViT-B-32", pretrained="openia")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and no cache of an earlier download."""

    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable: cannot connect")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("name", "tag", "says"),
    [
        (
            "ViT-B-32",
            "openai",
            "fetch open_clip_config.json and open_clip_model.safetensors from .*clip_224.openai, put both into one folder",
        ),
        ("ViT-B-32", "laion2b_s34b_b79k", "https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        (
            "ViTamin-S",
            "datacomp1b",
            r"fetch https://\S+/ViTamin-S/\S+\.bin, and call load_clip\('ViTamin-S', pretrained='path/of/the/file'\)",
        ),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", None, "put both into one folder, and call load_clip"),
    ],
)
def test_without_a_network_the_error_names_the_file_and_where_to_put_it(offline, small, name, tag, says):
    with pytest.raises(WiseftError, match=f"could not be fetched .*{says}") as error:
        load_clip(name, pretrained=tag)
    assert "\n" not in str(error.value)


def test_a_hub_repository_is_loaded_like_a_folder(folder, clip, monkeypatch):
    def from_folder(model_id, filename=None, **_):
        assert model_id == "somebody/digits"
        return str(folder / (filename or "open_clip_model.safetensors"))

    monkeypatch.setattr(open_clip.factory, "download_pretrained_from_hf", from_folder)
    loaded = load_clip("hf-hub:somebody/digits")
    assert loaded.config["model_cfg"] == clip.config["model_cfg"]
    ours, theirs = loaded.model.state_dict(), clip.model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_a_hub_repository_that_does_not_exist_is_one_sentence(monkeypatch):
    def gone(model_id, **_):
        raise ValueError(f"404: {model_id} not found")

    monkeypatch.setattr(open_clip.factory, "download_pretrained_from_hf", gone)
    with pytest.raises(WiseftError, match="the weights of hf-hub:nobody/nothing cannot be loaded .*404"):
        load_clip("hf-hub:nobody/nothing")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(WiseftError, match="device 'cuda:99' cannot be used here .* pass device='cpu'"):
        load_clip("digits-rn", device="cuda:99")


def test_an_archive_that_runs_code_is_not_opened(small, tmp_path):
    """OpenAI's own files are TorchScript: to load one is to run it."""
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(WiseftError, match=r"ViT-B-32\.pt is a TorchScript archive, as OpenAI's .*the tag 'openai'"):
        load_clip("ViT-B-32", pretrained=path)


@pytest.fixture
def state(small):
    """The weights of the small architecture."""
    return open_clip.create_model("ViT-B-32").state_dict()


WRAPPED = {
    "a pickled model": (lambda state: torch.nn.Linear(2, 2), "is a pickled model, not a state dict"),
    "transformers' names": (
        lambda state: {f"vision_model.{name}": t for name, t in state.items()},
        "holds transformers' names, such as vision_model",
    ),
    "a prefix": (
        lambda state: {f"model.{name}": t for name, t in state.items()},
        r"every name in .* begins with 'model\.'.*removeprefix",
    ),
    "a key too few": (
        lambda state: {name: t for name, t in state.items() if name != "text_projection"},
        'Missing key.* "text_projection"',
    ),
    "a key too many": (lambda state: state | {"colour": torch.zeros(2)}, 'Unexpected key.* "colour"'),
    "another width": (
        lambda state: state | {"ln_final.weight": torch.zeros(3)},
        r"ln_final\.weight",
    ),
    "another image size": (
        lambda state: state | {"visual.positional_embedding": torch.zeros(10, 64)},
        r"visual\.positional_embedding of .* is \(10, 64\), expected \(5, 64\): .*image size",
    ),
    "another context length": (
        lambda state: state | {"positional_embedding": torch.zeros(12, 32)},
        r"positional_embedding of .* is \(12, 32\), expected \(8, 32\): .*context length",
    ),
    "NaN": (lambda state: state | {"logit_scale": torch.tensor(torch.nan)}, "logit_scale of ViT-B-32 holds NaN"),
    "infinity": (
        lambda state: state | {"token_embedding.weight": torch.full((49408, 32), torch.inf)},
        r"token_embedding\.weight of ViT-B-32 holds NaN",
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.filterwarnings("error::UserWarning")
def test_why_weights_do_not_load_is_named(small, state, tmp_path, kind):
    """Files that people really have; to copy them again would help none of them."""
    change, says = WRAPPED[kind]
    torch.save(change(state), tmp_path / "weights.pt")
    with pytest.raises(WiseftError, match=says) as error:
        load_clip("ViT-B-32", pretrained=tmp_path / "weights.pt")
    assert "copy it again" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["DataParallel", "a training script's", "half precision"])
def test_weights_in_known_wrappings_are_read(small, state, tmp_path, kind):
    if kind == "DataParallel":
        wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    elif kind == "half precision":
        wrapped = {name: tensor.half() for name, tensor in state.items()}
    else:
        wrapped = {"epoch": 3, "state_dict": state, "optimizer": {"lr": 1e-3}}
    torch.save(wrapped, tmp_path / "weights.pt")
    loaded = load_clip("ViT-B-32", pretrained=tmp_path / "weights.pt").model.state_dict()
    assert all(torch.allclose(tensor, loaded[name], atol=1e-2) for name, tensor in state.items())


def test_a_folder_in_transformers_layout_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WiseftError, match="transformers' layout"):
        load_clip(tmp_path)


def test_a_folder_with_weights_of_another_image_size_is_refused(tmp_path, small):
    """open_clip stretches the positions in silence."""
    config = open_clip.get_model_config("ViT-B-32")
    save_file(open_clip.CLIP(**config).state_dict(), tmp_path / WEIGHTS)
    config["vision_cfg"]["image_size"] = 48
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(WiseftError, match=r"positional_embedding of .* is \(5, 64\), expected \(10, 64\)"):
        load_clip(tmp_path)


@pytest.mark.parametrize("tower", ["visual.layer1.0.conv1.weight", "token_embedding.weight"])
def test_weights_that_are_not_finite_are_refused(folder, tower):
    """A diverged run or an overflow of half precision: it would answer one class, and say nothing."""
    state = load_file(folder / WEIGHTS)
    state[tower].view(-1)[3] = torch.nan
    save_file(state, folder / WEIGHTS)
    with pytest.raises(WiseftError, match=f"{tower} of .* holds NaN or infinity"):
        load_clip(folder)


def test_a_configuration_with_a_byte_order_mark_is_read(folder, clip):
    """As Windows' editors write it."""
    path = folder / "open_clip_config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    loaded = load_clip(folder)
    assert loaded.config == clip.config and torch.equal(loaded.tokenizer(["seven"]), clip.tokenizer(["seven"]))


def test_a_coca_is_refused(tmp_path):
    """Its image encoder gives a pair: the first use would have been an AttributeError."""
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "output_tokens": True}
    vision |= {"attentional_pool": True, "attn_pooler_heads": 2}
    parts = {
        "vision_cfg": vision,
        "text_cfg": text | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": text | {"attn_pooler_heads": 2},
    }
    state = open_clip.CoCa(32, **parts).state_dict()
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / WEIGHTS)
    config = {"embed_dim": 32, "custom_text": True, **parts}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(WiseftError, match="is a CoCa whose image encoder gives more than features"):
        load_clip(tmp_path)


def test_weights_that_a_hub_lacks_are_not_made_up(folder, monkeypatch):
    """open_clip would go on with random ones."""

    def config_alone(model_id, filename=None, **_):
        if filename is None:
            raise ValueError("404: no weights")
        return str(folder / filename)

    monkeypatch.setattr(open_clip.factory, "download_pretrained_from_hf", config_alone)
    with pytest.raises(WiseftError, match="cannot be loaded"):
        load_clip("hf-hub:somebody/digits")


def test_a_home_folder_is_found(folder, clip, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert load_clip(f"~/{folder.name}").config == clip.config


def test_preprocessing_is_open_clips(small, tmp_path):
    """We build the transforms; what they say of themselves and what they do is what open_clip's say and do."""
    path = random_weights("ViT-B-32", tmp_path)
    _, augment, preprocess = open_clip.create_model_and_transforms("ViT-B-32", pretrained=str(path))
    ours = load_clip("ViT-B-32", pretrained=path)
    assert repr(ours.preprocess) == repr(preprocess) and repr(ours.augment) == repr(augment)
