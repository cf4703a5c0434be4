"""Prompts -> classification head -> zero-shot classifier.

Explained in notebook 01_build_zero_shot.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from wiseft_nb.benchmarks import Benchmark, load_templates
from wiseft_nb.benchmarks.base import Template, check_class_names
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ClassificationHead, ImageClassifier, check_finite
from wiseft_nb.models.clip import Clip


def zero_shot_head(clip: Clip, class_names: Sequence[str], templates: Sequence[Template] | str) -> Tensor:
    """A classification head from prompts.

    Every class name is put into every template; the embeddings are normalised, averaged over the
    templates, normalised again, and scaled by the model's temperature exp(logit_scale), so that the
    head's products with unit features are CLIP's logits (Radford et al. 2021, section 3.1.4).

    Parameters
    ----------
    clip : Clip
    class_names : sequence of str
    templates : sequence of str or functions, or str
        ``"a photo of a {}."`` or ``lambda name: f"a photo of a {name}."``; or the name of a list that
        ``load_templates`` knows.

    Returns
    -------
    Tensor
        ``(classes, dim)``, float32.

    Raises
    ------
    WiseftError
        If class names are empty or repeated, the tokenizer cannot tell two of them apart, or there is no
        template or one without ``{}``.

    Explained in notebook 01_build_zero_shot.
    """
    check_class_names(class_names)
    templates = load_templates(templates) if isinstance(templates, str) else templates
    if not templates:
        raise WiseftError("there is no template: pass at least one, such as 'a photo of a {}.'")
    prompts = [fill(template, name) for name in class_names for template in templates]
    distinct = list(dict.fromkeys(prompts))
    check_told_apart(clip, class_names, distinct, prompts)
    embeddings = dict(zip(distinct, F.normalize(clip.encode_texts(distinct), dim=-1), strict=True))
    per_class = torch.stack([embeddings[p] for p in prompts]).view(len(class_names), len(templates), -1)
    head = clip.model.logit_scale.detach().exp() * F.normalize(per_class.mean(dim=1), dim=-1)
    check_finite({"zero-shot head": head}, clip.name)
    return head


def check_told_apart(clip: Clip, class_names: Sequence[str], distinct: list[str], prompts: list[str]) -> None:
    """Refuse class names whose prompts become the same tokens: one of the two would never be predicted."""
    tokens = dict(zip(distinct, map(tuple, clip.tokenizer(distinct).tolist()), strict=True))
    each, first = len(prompts) // len(class_names), {}
    for i, name in enumerate(class_names):
        said = tuple(tokens[prompt] for prompt in prompts[i * each : (i + 1) * each])
        if (other := first.setdefault(said, name)) != name:
            raise WiseftError(
                f"{clip.name} reads the prompts of {other[:60]!r} and {name[:60]!r} as the same tokens (capitals, spaces "
                f"and what is beyond {len(said[0])} tokens do not count): give them names that differ, or shorter templates"
            )


def fill(template: Template, class_name: str) -> str:
    """The prompt for a class name."""
    if callable(template):
        return template(class_name)
    if "{}" not in template:
        raise WiseftError(f"template {template!r} has no place for the class name: write {{}} where it belongs")
    return template.replace("{}", class_name)


def zero_shot_classifier(
    clip: Clip, benchmark: Benchmark | Sequence[str], templates: Sequence[Template] | str | None = None
) -> ImageClassifier:
    """CLIP's image encoder with the head from prompts: theta_0 of the paper.

    The encoder is a copy: whatever is done to the classifier leaves ``clip`` as it was.

    Parameters
    ----------
    clip : Clip
    benchmark : Benchmark or sequence of str
        A benchmark, or class names of your own.
    templates : sequence of str or functions, or str, optional
        As for ``zero_shot_head``; by default the benchmark's, for names of your own ``"a photo of a {}."``.

    Returns
    -------
    ImageClassifier
        In evaluation mode.

    Explained in notebook 01_build_zero_shot.
    """
    if isinstance(benchmark, str):
        raise WiseftError(f"{benchmark!r} is one text: pass load_benchmark({benchmark!r}), or a list of class names")
    known = isinstance(benchmark, Benchmark)
    class_names = tuple(benchmark.class_names if known else benchmark)
    templates = templates or (benchmark.templates if known else "simple")
    head = ClassificationHead(zero_shot_head(clip, class_names, templates))
    encoder = copy.deepcopy(clip.model.visual)
    return ImageClassifier(encoder, head, clip.preprocess, clip.augment, class_names, clip.config).eval()
