"""Results kept by content: what was computed once for these weights, this preprocessing and these images.

A key is the hash of everything that decides a result, so that a changed model, transform or image is
never answered from an old entry. Entries lie under ``WISEFT_NB_CACHE`` (a folder; ``build/cache`` if
it is not set) and are deleted, least recently used first, beyond ``WISEFT_NB_CACHE_GB`` gigabytes (10).
Several processes may share one folder.

Explained in notebook 03_interpolate.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils.data import Dataset

from wiseft_nb.benchmarks import Benchmark, ImageSet
from wiseft_nb.engine.files import read_checked, write_checked
from wiseft_nb.engine.processes import from_main, is_main
from wiseft_nb.errors import WiseftError
from wiseft_nb.models.classifier import ImageClassifier
from wiseft_nb.paths import BUILD


def cache_folder() -> Path:
    """Where entries lie: ``WISEFT_NB_CACHE``, or ``build/cache``.

    Explained in notebook 03_interpolate.
    """
    return Path(os.environ.get("WISEFT_NB_CACHE") or BUILD / "cache")


def clear_cache() -> int:
    """Delete every entry; returns how many there were.

    Explained in notebook 03_interpolate.
    """
    entries = list(cache_folder().glob("*.entry*"))
    for path in entries:
        path.unlink(missing_ok=True)
    return len(entries)


def recall(key: str) -> tuple[dict[str, Tensor], dict] | None:
    """Tensors and facts remembered under a key; None, with a warning where one was damaged, if there are none."""
    return from_main(lambda: read_entry(entry(key)))


def read_entry(path: Path) -> tuple[dict[str, Tensor], dict] | None:
    """What ``remember`` wrote into a file; None if it is not there or damaged."""
    try:
        content = read_checked(path)
    except WiseftError as error:
        warnings.warn(f"{error}; it is computed again", stacklevel=5)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return None
    if content is None:
        return None
    with contextlib.suppress(OSError):  # deleted meanwhile by another process, or a folder that may only be read
        os.utime(path)  # used now: others are deleted first
    facts, _, tensors = content.partition(b"\n")
    return load(tensors), json.loads(facts)


def remember(key: str, tensors: Mapping[str, Tensor], facts: Mapping = {}) -> None:
    """Keep tensors and JSON-able facts under a key; where that fails, warn and go on without."""
    if not is_main():
        return
    try:
        write_checked(entry(key), json.dumps(facts).encode() + b"\n" + save(dict(tensors)))
    except WiseftError as error:
        warnings.warn(f"the cache stays as it was: {error}", stacklevel=3)
        return
    shrink(keep=entry(key))


def entry(key: str) -> Path:
    """The file of a key."""
    return cache_folder() / f"{key}.entry"


def shrink(keep: Path) -> None:
    """Delete the least recently used files, leftovers of killed processes among them, beyond the limit."""
    gigabytes = os.environ.get("WISEFT_NB_CACHE_GB") or "10"
    try:
        limit = float(gigabytes) * 1e9
    except ValueError:
        raise WiseftError(f"WISEFT_NB_CACHE_GB is {gigabytes!r}: expected a number, such as 10") from None
    files = []
    for path in cache_folder().glob("*.entry*"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size


def fingerprint(*parts: object) -> str:
    """Thirty-two hexadecimal digits that change with the content of any part.

    Parts may be classifiers (weights, architecture, class names and preprocessing), benchmarks and
    datasets (every image and label), tensors, arrays, tables, images, dataclasses and plain values.

    Raises
    ------
    WiseftError
        If a part is of a kind whose content cannot be told.

    Explained in notebook 03_interpolate.
    """
    digest = hashlib.sha256()
    for part in parts:
        for piece in pieces(part):
            # the length keeps ("ab", "c") and ("a", "bc") apart
            digest.update(f"{type(part).__name__} {len(piece)} ".encode())
            digest.update(piece)
    return digest.hexdigest()[:32]


def pieces(part: object) -> Iterable[bytes | memoryview]:
    """The content of one part, as bytes."""
    if isinstance(part, ImageClassifier):
        # the activation is no weight, but shows in the module's text
        text = [repr(part), json.dumps(part.config, default=str), *part.class_names]
        yield fingerprint(text, part.state_dict(), without_addresses(repr(part.preprocess))).encode()
        yield without_addresses(repr(part.augment)).encode()
    elif isinstance(part, nn.Module):
        yield fingerprint(repr(part), part.state_dict()).encode()
    elif isinstance(part, Tensor):
        tensor = part.detach().cpu().contiguous()
        yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(part, np.ndarray):
        yield f"{part.dtype} {part.shape}".encode()
        yield np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    elif isinstance(part, Image.Image):
        yield f"{part.mode} {part.size}".encode()
        yield part.tobytes()
    elif isinstance(part, pd.DataFrame):
        yield part.to_csv().encode()
    elif isinstance(part, ImageSet):
        yield fingerprint(part.images, part.labels).encode()
    elif hasattr(part, "content"):  # files: read, but not decoded
        yield from part.content()
    elif isinstance(part, Benchmark):
        texts = [*part.class_names, *(without_addresses(str(template)) for template in part.templates)]
        yield fingerprint(texts, part.train, part.val, part.test_sets).encode()
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield fingerprint({f.name: getattr(part, f.name) for f in dataclasses.fields(part)}).encode()
    elif isinstance(part, Mapping):
        yield fingerprint(*(item for pair in part.items() for item in pair)).encode()
    elif isinstance(part, list | tuple | range):
        yield fingerprint(*part).encode()
    elif isinstance(part, str | bytes | bool | int | float | complex | None | np.generic | Path | torch.dtype):
        yield repr(part).encode()
    elif hasattr(part, "__getitem__") and hasattr(part, "__len__"):  # any dataset: look at every sample
        for i in range(len(part)):
            yield fingerprint(*part[i]).encode()
    else:
        raise WiseftError(
            f"the content of a {type(part).__name__} cannot be told: pass data that can (tensors, arrays, images, "
            "tables, numbers, texts), give it a method content() that yields bytes, or do without the cache"
        )


def fingerprint_input(classifier: ImageClassifier, dataset: Dataset) -> str:
    """The fingerprint of a dataset as a classifier sees it: samples, and what preprocessing makes of two of them.

    A transform's text may not tell all that it does; its outputs do.
    """
    classes = [getattr(dataset, name, None) for name in ("class_subset", "class_groups")]
    ends = [dataset[0][0], dataset[len(dataset) - 1][0]] if len(dataset) else []
    return fingerprint(dataset, classes, [classifier.collate([image]) for image in ends])


def without_addresses(text: str) -> str:
    """A text without the addresses of objects, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)
