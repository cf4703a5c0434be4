"""Weights from other code and for other code: same answers, or refused by name; never is anything executed."""

import contextlib
import copy
import dataclasses
import json
import os
import pickle
import warnings
from collections import OrderedDict

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.transforms import Compose

from wiseft_nb import (
    WiseftError,
    evaluate,
    export_to_onnx,
    load_clip,
    save_classifier,
    wise_ft,
    zero_shot_classifier,
)
from wiseft_nb.models.clip import Clip
from wiseft_nb.weights.exchange import export_to_open_clip, import_classifier

PREFIXES = {"reference": "image_encoder.model.", "soups": "model.", "ours": None}


def layout_of(classifier, clip, layout):
    """The state dict other code would have saved: around OpenAI's whole CLIP, whose keys are open_clip's."""
    prefix = PREFIXES[layout]
    if prefix is None:
        return OrderedDict(classifier.state_dict())
    state = OrderedDict((prefix + name, tensor) for name, tensor in clip.model.state_dict().items())
    for name, tensor in classifier.state_dict().items():
        state[name.replace("image_encoder.", prefix + "visual.")] = tensor
    return state


def same_state(one, other):
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("layout", PREFIXES)
def test_what_comes_in_gives_the_same_answers(fine_tuned, clip, tiny, tmp_path, layout, ending):
    path, state = tmp_path / f"weights.{ending}", layout_of(fine_tuned, clip, layout)
    torch.save(state, path) if ending == "pt" else save_file(state, path)
    imported = import_classifier(path, clip, tiny.class_names)
    assert same_state(imported, fine_tuned) and not imported.training
    assert torch.equal(evaluate(imported, tiny.reference).logits, evaluate(fine_tuned, tiny.reference).logits)
    assert same_state(zero_shot_classifier(clip, tiny), import_classifier(path, clip, tiny.class_names)) is False


def test_text_towers_may_be_gone_and_data_parallel_may_have_been_there(fine_tuned, clip, tiny, tmp_path):
    """Both repositories delete ``transformer`` alone; model soups save through DataParallel."""
    state = {
        f"module.{name}": tensor
        for name, tensor in layout_of(fine_tuned, clip, "soups").items()
        if not name.startswith("model.transformer.")
    }
    torch.save(state, tmp_path / "model_0.pt")
    assert same_state(import_classifier(tmp_path / "model_0.pt", clip, tiny.class_names), fine_tuned)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0])
def test_what_the_formula_alone_mixed_is_read(zero_shot, fine_tuned, clip, tiny, tmp_path, alpha):
    """The reference code's and model soups' makes a float, often a fraction, of BatchNorm's counter of batches."""
    one, other = (layout_of(classifier, clip, "reference") for classifier in (zero_shot, fine_tuned))
    mixed = {name: (1 - alpha) * one[name] + alpha * other[name] for name in one}
    mixed = {name: t + 1000.4 if "num_batches" in name else t for name, t in mixed.items()}
    assert mixed["image_encoder.model.visual.bn1.num_batches_tracked"].is_floating_point()
    torch.save(mixed, tmp_path / "merged.pt")
    imported = import_classifier(tmp_path / "merged.pt", clip, tiny.class_names).state_dict()
    for name, tensor in wise_ft(zero_shot, fine_tuned, alpha).state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(imported[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(fine_tuned, clip, tiny, tmp_path, dtype):
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in fine_tuned.state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    imported = import_classifier(tmp_path / "half.pt", clip, tiny.class_names).state_dict()
    assert all(torch.equal(tensor, state[name].to(tensor.dtype)) for name, tensor in imported.items())
    assert {tensor.dtype for tensor in imported.values()} == {torch.float32, torch.int64}


def test_a_head_without_bias_gets_zeros(fine_tuned, clip, tiny, tmp_path):
    state = layout_of(fine_tuned, clip, "reference")
    del state["classification_head.bias"]
    torch.save(state, tmp_path / "no-bias.pt")
    assert not import_classifier(tmp_path / "no-bias.pt", clip, tiny.class_names).classification_head.bias.any()


def test_the_clip_is_left_as_it_was(fine_tuned, clip, tiny, tmp_path):
    before = copy.deepcopy(clip.model.state_dict())
    torch.save(fine_tuned.state_dict(), tmp_path / "weights.pt")
    with torch.no_grad():
        import_classifier(tmp_path / "weights.pt", clip, tiny.class_names).image_encoder.conv1.weight.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.model.state_dict().items())


# What is refused


class Harmful:
    """Opened by pickle, it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("kind", ["torch.save", "torch.save of old", "pickle", "in a state dict", "pickle of old"])
def test_nothing_in_a_file_is_ever_executed(fine_tuned, clip, tiny, tmp_path, kind):
    path, harm = tmp_path / "model.pt", tmp_path / "harm-was-done"
    if kind.startswith("pickle"):
        path.write_bytes(pickle.dumps(Harmful(harm), protocol=2 if "old" in kind else None))
    else:
        bait = dict(fine_tuned.state_dict(), bait=Harmful(harm)) if kind == "in a state dict" else Harmful(harm)
        torch.save(bait, path, _use_new_zipfile_serialization="old" not in kind)
    with pytest.raises(WiseftError, match=r"model\.pt"):
        import_classifier(path, clip, tiny.class_names)
    assert not harm.exists()
    with contextlib.suppress(pickle.UnpicklingError):  # the bait is real: opened by pickle it does its harm
        pickle.load(path.open("rb")) if kind.startswith("pickle") else torch.load(path, weights_only=False)
    assert harm.exists()


@pytest.mark.parametrize("kind", ["torch.save", "pickle"])
def test_a_whole_module_is_refused_by_name_and_told_how_to_convert(fine_tuned, clip, tiny, tmp_path, kind):
    path, module = tmp_path / "finetuned.pt", nn.Sequential(nn.Linear(2, 2))
    torch.save(module, path) if kind == "torch.save" else path.write_bytes(pickle.dumps(module))
    with pytest.raises(WiseftError, match=r"finetuned\.pt.*torch\.save\(model\.state_dict\(\)"):
        import_classifier(path, clip, tiny.class_names)


def test_a_pickled_module_is_refused_without_a_warning_before(clip, tiny, tmp_path):
    """torch warns of the pickle's protocol; what is wrong is said once, by us."""
    (tmp_path / "model.pt").write_bytes(pickle.dumps(nn.Linear(2, 2), protocol=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WiseftError, match=r"model\.pt .*pickle"):
            import_classifier(tmp_path / "model.pt", clip, tiny.class_names)


def test_a_torchscript_archive_is_named(clip, tiny, tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "finetuned.pt")
    with pytest.raises(WiseftError, match=r"finetuned\.pt is a TorchScript archive, .*state_dict"):
        import_classifier(tmp_path / "finetuned.pt", clip, tiny.class_names)


def without(name):
    return lambda state: state.pop(name)


def put(name, tensor):
    return lambda state: state.update({name: tensor})


IMPORT_FAULTS = {
    "a key is missing": (without("image_encoder.model.visual.conv1.weight"), "lack image_encoder.conv1.weight"),
    "a key is unknown": (put("optimizer", torch.zeros(2)), "also hold optimizer"),
    "a text key is unknown": (put("image_encoder.model.text.thing", torch.zeros(2)), "model.text.thing"),
    "the head is missing": (without("classification_head.weight"), "lack classification_head.weight"),
    "a shape differs": (put("image_encoder.model.visual.conv1.weight", torch.zeros(3)), "conv1.weight"),
    "one class too many": (put("classification_head.weight", torch.zeros(11, 128)), "classification_head.weight"),
    "NaN": (put("classification_head.bias", torch.full((10,), torch.nan)), "classification_head.bias .* NaN"),
    "infinity": (put("classification_head.bias", torch.full((10,), torch.inf)), "classification_head.bias .* NaN"),
    "float64": (put("classification_head.bias", torch.zeros(10, dtype=torch.float64)), "float64"),
    "a number": (put("epoch", 3), "epoch"),
    "nested": (put("state_dict", {"w": torch.zeros(2)}), "state_dict"),
    "a key that is no text": (put(3, torch.zeros(2)), "weights.pt"),
    "a fraction that is no counter": (
        put("image_encoder.model.visual.bn1.num_batches_tracked", torch.tensor(torch.nan)),
        "num_batches_tracked",
    ),
    "sparse": (put("classification_head.bias", torch.zeros(10).to_sparse()), "classification_head.bias"),
    "meta": (put("classification_head.bias", torch.zeros(10, device="meta")), "classification_head.bias"),
}


@pytest.mark.parametrize("fault", IMPORT_FAULTS)
def test_what_does_not_fit_is_refused_by_name(fine_tuned, clip, tiny, tmp_path, fault):
    change, match = IMPORT_FAULTS[fault]
    state = layout_of(fine_tuned, clip, "reference")
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(WiseftError, match=match) as error:
        import_classifier(tmp_path / "weights.pt", clip, tiny.class_names)
    assert "weights.pt" in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"PK\x03\x04", "list", "cut"])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_what_is_no_state_dict_is_refused_by_name(fine_tuned, clip, tiny, tmp_path, content, ending):
    path = tmp_path / f"weights.{ending}"
    if content == "list":
        torch.save([torch.zeros(2)], path)
    elif content == "cut":
        torch.save(fine_tuned.state_dict(), path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(WiseftError, match=rf"weights\.{ending}"):
        import_classifier(path, clip, tiny.class_names)


# The activation, of which a state dict says nothing


def vision_transformer(quick_gelu):
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    cfg = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text} | ({"quick_gelu": True} if quick_gelu else {})
    torch.manual_seed(0)
    model = open_clip.CLIP(**cfg).eval()
    preprocess = image_transform_v2(PreprocessCfg(size=32), is_train=False)
    config = {"model_cfg": cfg, "preprocess_cfg": {"size": 32}}
    return Clip("small", model, open_clip.SimpleTokenizer(context_length=8), preprocess, preprocess, config)


@pytest.mark.parametrize("layout", PREFIXES)
def test_a_transformer_with_the_other_activation_is_refused(tiny, tmp_path, layout):
    """open_clip issue 771: OpenAI's weights compute with QuickGELU, and load without a word where GELU is built."""
    quick, plain = vision_transformer(True), vision_transformer(False)
    path = tmp_path / "vit.pt"
    torch.save(layout_of(zero_shot_classifier(quick, tiny), quick, layout), path)
    imported = import_classifier(path, quick, tiny.class_names)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(imported.image_encoder(images), quick.model.visual(images))
    if layout == "ours":
        assert import_classifier(path, plain, tiny.class_names)
        return
    with pytest.raises(WiseftError, match=r"vit\.pt was trained with QuickGELU"):
        import_classifier(path, plain, tiny.class_names)
    with pytest.raises(WiseftError, match=r"vit\.pt was trained with GELU"):
        import_classifier(path, quick, tiny.class_names, quick_gelu=False)
    assert import_classifier(path, plain, tiny.class_names, quick_gelu=False)


# Export


def features(model, preprocess, dataset):
    images = torch.stack([preprocess(dataset[i][0]) for i in range(20)])
    with torch.no_grad():
        return model(images)


@pytest.mark.parametrize("kind", ["fine-tuned", "mixture"])
def test_open_clip_loads_what_was_exported(zero_shot, fine_tuned, clip, tiny, tmp_path, kind):
    classifier = fine_tuned if kind == "fine-tuned" else wise_ft(zero_shot, fine_tuned, 0.5)
    folder = export_to_open_clip(classifier, clip, tmp_path / "deep" / "exported")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    ours = features(classifier.image_encoder, classifier.preprocess, tiny.reference)
    theirs = features(model.eval().encode_image, preprocess, tiny.reference)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)
    assert (ours - features(clip.model.visual, clip.preprocess, tiny.reference)).abs().max() > 1e-3
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["the number 7"])
    assert torch.equal(tokens, clip.tokenizer(["the number 7"]))
    with torch.no_grad():
        assert torch.equal(model.encode_text(tokens), clip.model.encode_text(tokens))
    assert {t.dtype for t in load_file(folder / "open_clip_model.safetensors").values()} == {torch.float32, torch.int64}


def test_a_transformer_is_exported_too(tiny, tmp_path):
    """With its activation, which stands in the configuration alone."""
    clip = vision_transformer(True)
    folder = export_to_open_clip(zero_shot_classifier(clip, tiny), clip, tmp_path / "vit")
    ours = features(clip.model.visual, clip.preprocess, tiny.reference)
    loaded = load_clip(folder)
    assert torch.equal(features(loaded.model.visual, clip.preprocess, tiny.reference), ours)
    assert json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["quick_gelu"] is True


def test_an_interrupted_export_leaves_no_configuration(fine_tuned, clip, tmp_path, monkeypatch):
    """The configuration comes last: without it the folder is nothing to open_clip."""
    from wiseft_nb.weights import exchange

    def crash(path, content):
        assert path.suffix == ".safetensors"
        raise KeyboardInterrupt

    monkeypatch.setattr(exchange, "write_whole", crash)
    with pytest.raises(KeyboardInterrupt):
        export_to_open_clip(fine_tuned, clip, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["encoder or head", "preprocess", "half"])
def test_what_open_clip_could_not_read_is_not_exported(fine_tuned, clip, tmp_path, kind):
    """One sentence, where it was a KeyError, or another preprocessing in silence."""
    own = copy.deepcopy(fine_tuned)
    if kind == "encoder or head":
        own.image_encoder, own.config = nn.Sequential(nn.Flatten(), nn.Linear(3072, 128)), {}
    elif kind == "preprocess":
        own.preprocess = Compose([own.preprocess, torch.neg])
    else:
        own.half()
    with pytest.raises(WiseftError, match="expected float32" if kind == "half" else f"{kind} .* cannot be built from"):
        export_to_open_clip(own, clip, tmp_path / "exported")
    assert not list(tmp_path.iterdir())


def test_a_home_folder_is_found(fine_tuned, clip, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert export_to_open_clip(fine_tuned, clip, "~/exported") == tmp_path / "exported"
    torch.save(fine_tuned.state_dict(), tmp_path / "weights.pt")
    assert same_state(import_classifier("~/weights.pt", clip, tiny.class_names), fine_tuned)


def test_another_architecture_is_refused(fine_tuned, clip, tiny, tmp_path):
    quick, plain = vision_transformer(True), vision_transformer(False)
    for classifier, other, key in (
        (fine_tuned, plain, "embed_dim"),
        (zero_shot_classifier(quick, tiny), plain, "quick_gelu"),
    ):
        with pytest.raises(WiseftError, match=f"the classifier's {key} is"):
            export_to_open_clip(classifier, other, tmp_path)
    foreign = dataclasses.replace(clip, tokenizer=lambda texts: torch.zeros(len(texts), 8))
    with pytest.raises(WiseftError, match="tokenizer of its own"):
        export_to_open_clip(fine_tuned, foreign, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [save_classifier, export_to_onnx, lambda x, path: export_to_open_clip(x, x, path)])
def test_a_clip_is_no_classifier(clip, tmp_path, write):
    with pytest.raises(WiseftError, match="Clip"):
        write(clip, tmp_path / "mine")
    assert not list(tmp_path.iterdir())
