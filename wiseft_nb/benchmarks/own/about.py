"""What the classes of your own images are called: ``benchmark.json``, or the names of folders and labels.

Explained in notebook 11_use_real_clip.
"""

import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wiseft_nb.benchmarks.base import Template, check_class_names, check_groups
from wiseft_nb.benchmarks.imagenet.classes import CLASS_NAMES, WNIDS
from wiseft_nb.benchmarks.parts import among, read_json
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import WiseftError, nearest, reason

KEYS = ("class_names", "templates", "groups")


@dataclass(frozen=True)
class About:
    """Class names, the folders or labels they stand for, templates, groups of shifts."""

    class_names: Sequence[str]
    labels: Sequence[str]
    templates: Sequence[Template]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)


def of_shifts(about: About, known: Collection[str], chosen: Collection[str]) -> About:
    """With the groups of the shifts that are read; they are checked against all there are."""
    check_groups(about.groups, (), known)
    return replace(about, groups=among(about.groups, chosen))


def read_about(folder: Path, found: Sequence[str]) -> About:
    """What ``benchmark.json`` says; without it, classes are named as the folders or labels found."""
    said = read_description(folder / "benchmark.json")
    templates = said.get("templates", "simple")
    templates = load_templates(templates) if isinstance(templates, str) else templates
    if "class_names" not in said:
        return About(names_of(found), list(found), templates, said.get("groups", {}))
    names = said["class_names"]
    names, labels = (list(names.values()), list(names)) if isinstance(names, dict) else (names, names)
    check_class_names(names)
    return About(names, labels, templates, said.get("groups", {}))


def read_description(path: Path) -> dict:
    """What ``benchmark.json`` holds, checked; nothing if it is not there."""
    if not path.exists():
        return {}
    try:
        said = read_json(path)
        strange = sorted(said.keys() - set(KEYS))
        if strange:
            meant = nearest(strange[0], KEYS)
            hint = f", did you mean {meant[0]!r}?" if meant else ""
            raise ValueError(f"it has the key {strange[0]!r}, which means nothing here{hint}")
        groups = said.get("groups", {})
        if not isinstance(groups, dict) or not all(isinstance(members, list) for members in groups.values()):
            raise TypeError('groups must be {"name": [names of shifts]}')
        named = {key: value for key, value in said.items() if key != "groups"} | groups
        texts = [list(v.values()) if isinstance(v, dict) else v for v in named.values() if not isinstance(v, str)]
        if isinstance(said.get("class_names"), str) or isinstance(said.get("templates"), dict):
            raise TypeError("class_names and templates must be lists of texts")
        if not all(isinstance(v, list) and v and all(isinstance(text, str) for text in v) for v in texts):
            raise TypeError("class_names and templates must be lists of texts")
        return said
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        expected = '{"class_names": ["cat", "dog"], "templates": ["a photo of a {}."]}'
        raise WiseftError(f"{path} cannot be read ({reason(error)}): expected {expected}, either or both") from error


def names_of(labels: Sequence[str]) -> list[str]:
    """Names for folders or labels: an underscore read as a space, WordNet's ids as ImageNet calls them."""
    if labels and set(labels) <= set(WNIDS):
        return [CLASS_NAMES[WNIDS.index(label)] for label in labels]
    ids = [label for label in labels if re.fullmatch(r"n\d{8}", label)]
    if ids:
        warnings.warn(
            f"{ids[0]} is an id of WordNet and would stand in the prompts: give class_names in a benchmark.json, "
            f'{{"class_names": {{"{ids[0]}": "a name", …}}}}',
            stacklevel=5,
        )
    names = [label.replace("_", " ") for label in labels]
    if names:
        check_class_names(names)
    return names


def in_class_order(names: Iterable[str]) -> list[str]:
    """Distinct names in order; if all are numbers, as numbers: sorted as text, 10 would come before 2."""
    distinct = set(names)
    numbers = all(name.isascii() and name.isdecimal() for name in distinct)
    return sorted(distinct, key=lambda name: (int(name), name) if numbers else (0, name))
