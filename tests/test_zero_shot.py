"""The zero-shot head and classifier: what prompts make of a pretrained model."""

import copy
import dataclasses
import warnings

import open_clip
import pytest
import torch
import torch.nn.functional as F

from wiseft_nb import (
    ClassificationHead,
    Clip,
    ImageClassifier,
    WiseftError,
    evaluate,
    load_templates,
    zero_shot_classifier,
    zero_shot_head,
)
from wiseft_nb.benchmarks.digits.other_prompts import other_prompts

CLASS_NAMES = ("zero", "a much longer class name", "cat", "7")
TEMPLATES = ("a photo of a {}.", "{}", "a rather blurry drawing of the {} on a wall")


def open_clips_head(clip, class_names, templates):
    """What open_clip itself makes of the same prompts: (dim, classes), without the temperature."""
    return open_clip.build_zero_shot_classifier(
        clip.model, clip.tokenizer, class_names, templates, num_classes_per_batch=3, device="cpu"
    )


def random_clip(kind=open_clip.CLIP, **text):
    """An untrained CLIP with small transformers, built as ViT-B-32 is."""
    torch.manual_seed(0)
    vision = dict(image_size=32, layers=1, width=32, patch_size=16, head_width=16)
    model = kind(24, vision, dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2) | text).eval()
    return Clip("random", model, open_clip.SimpleTokenizer(context_length=77), None, None, {})


TOWERS = {
    "causal": lambda: random_clip(),
    "without causal mask": lambda: random_clip(no_causal_mask=True),
    "pooled at the last token": lambda: random_clip(pool_type="last"),
    "pooled at the first token": lambda: random_clip(no_causal_mask=True, pool_type="first"),
    "linear projection": lambda: random_clip(proj_bias=True),
    "a text tower of its own": lambda: random_clip(open_clip.CustomTextCLIP),
}


def test_the_head_is_open_clips_on_the_bundled_model(clip, benchmark):
    head = zero_shot_head(clip, benchmark.class_names, benchmark.templates)
    scale = clip.model.logit_scale.exp().item()
    expected = open_clips_head(clip, benchmark.class_names, benchmark.templates).T
    torch.testing.assert_close(head / scale, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tower", TOWERS)
def test_the_head_is_open_clips_on_other_text_towers(tower):
    """A tower that looks to the right of the end token has to be run whole."""
    clip = TOWERS[tower]()
    head = zero_shot_head(clip, CLASS_NAMES, TEMPLATES)
    expected = open_clips_head(clip, CLASS_NAMES, TEMPLATES).T
    torch.testing.assert_close(head / clip.model.logit_scale.exp().item(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tower", TOWERS)
def test_texts_are_embedded_as_open_clip_embeds_them_in_batches_of_any_size(tower):
    clip = TOWERS[tower]()
    texts = [template.replace("{}", name) for name in CLASS_NAMES for template in TEMPLATES]
    with torch.no_grad():
        expected = clip.model.encode_text(clip.tokenizer(texts))
    for batch_size in (1, 5, 512):
        torch.testing.assert_close(clip.encode_texts(texts, batch_size), expected, rtol=1e-4, atol=1e-5)


def test_texts_too_long_for_the_tower_are_cut_as_open_clip_cuts_them(clip):
    """And it is said; a text that just fits is not cut."""
    long = ["the number seven " * 30]
    with (
        torch.no_grad(),
        pytest.warns(UserWarning, match="1 of 1 prompts are longer than the 16 tokens digits-rn reads"),
    ):
        torch.testing.assert_close(clip.encode_texts(long), clip.model.encode_text(clip.tokenizer(long)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip.encode_texts(["seven " * 14, "seven"])  # and its start and its end


LONG = "a thing described at such length " * 12


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["Polish", "polish", "cat"], "a photo of a {}."),
        (["dog", "cat", "dog "], "a photo of a {}."),
        (["hot dog", "hot  dog"], "{}"),
        ([LONG + "one", LONG + "two"], "{}"),
        (["one", "two"], LONG + "{}"),
    ],
    ids=["capitals", "a space behind", "a space within", "names beyond the context", "a template beyond the context"],
)
def test_class_names_that_the_tokenizer_cannot_tell_apart_are_refused(clip, names, template):
    """Two rows of the head would be the same, and one class never predicted."""
    with pytest.raises(WiseftError, match=r"reads the prompts of .* and .* as the same tokens .*: give them names"):
        zero_shot_head(clip, names, [template])


def test_names_that_one_template_of_two_tells_apart_are_taken(clip):
    head = zero_shot_head(clip, ["one", "two"], ["{}", lambda name: "a number"])
    assert not torch.equal(head[0], head[1])


def test_a_head_that_is_not_finite_is_refused(clip):
    """A diverged text tower would answer one class, with a probability that is no number."""
    broken = dataclasses.replace(clip, model=copy.deepcopy(clip.model))
    with torch.no_grad():
        broken.model.token_embedding.weight.fill_(torch.nan)
    with pytest.raises(WiseftError, match="zero-shot head of digits-rn holds NaN or infinity"):
        zero_shot_head(broken, ["one", "two"], ["{}"])


def test_every_row_of_the_head_has_the_length_of_the_temperature(clip):
    head = zero_shot_head(clip, ["one", "two"], "digits")
    torch.testing.assert_close(head.norm(dim=1), clip.model.logit_scale.exp().expand(2))
    assert not head.requires_grad and head.dtype == torch.float32


def test_templates_may_be_texts_functions_or_a_name(clip):
    texts = zero_shot_head(clip, ["one", "two"], ["a photo of a {}."])
    functions = zero_shot_head(clip, ["one", "two"], [lambda name: f"a photo of a {name}."])
    named = zero_shot_head(clip, ["one", "two"], "simple")
    assert torch.equal(texts, functions) and torch.equal(texts, named)


def test_class_names_with_braces_are_taken_as_they_are(clip):
    """str.format would trip over them."""
    assert zero_shot_head(clip, ["{x}", "{0} {}"], ["the {}"]).shape[0] == 2


@pytest.mark.parametrize(
    ("class_names", "templates", "message"),
    [
        ([], ["a {}"], "class names must not be empty"),
        (["one", " "], ["a {}"], "class names must not be empty"),
        (["one", "two", "one"], ["a {}"], "'one'"),
        (["one"], [], "no template"),
        (["one"], ["a digit"], "no place for the class name"),
        (["one"], "imagenet-21k", "digits, .*openai-imagenet, simple"),
    ],
)
def test_bad_prompts_are_refused(clip, class_names, templates, message):
    with pytest.raises(WiseftError, match=message):
        zero_shot_head(clip, class_names, templates)


def test_openais_80_templates_are_there():
    assert len(load_templates("openai-imagenet")) == 80


def test_logits_are_clips_own(clip, zero_shot, tiny, benchmark):
    """With one prompt a class, the classifier's logits are CLIP's scaled similarities."""
    images = zero_shot.collate([tiny.reference[i][0] for i in range(8)])
    prompts = [benchmark.templates[0].format(name) for name in benchmark.class_names]
    head = ClassificationHead(zero_shot_head(clip, benchmark.class_names, benchmark.templates[:1]))
    with torch.no_grad():
        expected = clip.model.get_logits(images, clip.tokenizer(prompts))[0]
        torch.testing.assert_close(head(zero_shot.image_encoder(images)), expected, rtol=1e-4, atol=1e-3)


def test_the_head_starts_without_bias_and_ignores_the_length_of_features():
    weights = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    head = ClassificationHead(weights)
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head(7 * features), F.normalize(features, dim=-1) @ weights.T)
    with torch.no_grad():
        head.weight.zero_()
    assert weights.abs().sum() > 0  # a copy


def test_what_is_done_to_the_classifier_leaves_clip_as_it_was(clip, benchmark):
    before = copy.deepcopy(clip.model.state_dict())
    classifier = zero_shot_classifier(clip, benchmark)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.model.state_dict().items())
    assert not classifier.training


def test_the_classifier_names_classes_and_carries_its_preprocessing(zero_shot, tiny):
    assert isinstance(zero_shot, ImageClassifier) and zero_shot.class_names == tuple("0123456789")
    images = [tiny.reference[i][0] for i in range(20)]
    expected = [zero_shot.class_names[i] for i in evaluate(zero_shot, [(image, 0) for image in images]).predicted]
    assert zero_shot.predict(images) == expected
    assert zero_shot.collate(images).shape == (20, 3, 32, 32)
    assert torch.equal(zero_shot.collate(images), zero_shot.collate(images))
    assert not torch.equal(zero_shot.collate(images, augment=True), zero_shot.collate(images))


def test_zero_shot_reads_digits_it_never_saw(zero_shot, benchmark):
    """Far above chance on the reference and on every shift, or nothing else in the course makes sense."""
    found = {name: evaluate(zero_shot, images).accuracy() for name, images in benchmark.test_sets.items()}
    shifts = [found[name] for name in benchmark.shifts]
    assert found["mnist"] > 0.8 and min(found.values()) > 0.3 and sum(shifts) / len(shifts) > 0.65, found


@pytest.fixture(scope="module")
def questions():
    return other_prompts(n=520)


@pytest.mark.parametrize(("question", "least"), [("letters", 0.6), ("styles", 0.5), ("colours", 0.4)])
def test_other_prompts_tell_letters_styles_and_colours_apart(clip, questions, question, least):
    """Zero-shot is in the prompts: nothing is trained, only the words change. Fonts never seen."""
    task = questions[question]
    assert evaluate(zero_shot_classifier(clip, task), task.reference).accuracy() > least
