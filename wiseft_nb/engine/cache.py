"""Results kept by content: what was computed once for these weights, this preprocessing and these images.

A key is the hash of everything that decides a result, so that a changed model, transform or image is
never answered from an old entry. Entries lie under ``WISEFT_NB_CACHE`` (a folder; ``build/cache`` if
it is not set) and are deleted, least recently used first, beyond ``WISEFT_NB_CACHE_GB`` gigabytes (10).
Several processes may share one folder.

Explained in notebook 03_interpolate.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from wiseft_nb.engine.files import independent, replacing
from wiseft_nb.engine.processes import from_main, is_main
from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import BUILD, PACKAGE

PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "numpy")  # whose code decides results
DIGEST = 64  # hexadecimal digits at the end of an entry
OFTEN = 100  # the folder is looked through when a hundredth of its limit was written
written: int | None = None  # bytes since then, by this process; None before its first look


def cache_folder() -> Path:
    """Where entries lie: ``WISEFT_NB_CACHE``, or ``build/cache``."""
    return Path(os.environ.get("WISEFT_NB_CACHE") or BUILD / "cache").expanduser()


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
        content = path.read_bytes()
        body, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        warnings.warn(f"{path} is damaged, its content does not match its hash; it is computed again", stacklevel=5)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return None
    with contextlib.suppress(OSError):  # deleted meanwhile by another process, or a folder that may only be read
        os.utime(path)  # used now: others are deleted first
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return load(body), json.loads(header["__metadata__"]["facts"])


def remember(key: str, tensors: Mapping[str, Tensor], facts: Mapping = {}, everywhere: bool = False) -> None:
    """Keep tensors and JSON-able facts under a key; where that fails, warn and go on without.

    Tensors are streamed to the disk. Of several processes the first writes, or with ``everywhere`` each.
    """
    if not (everywhere or is_main()):
        return
    path = entry(key)
    try:
        with replacing(path, durable=False) as part:
            save_file(independent(tensors), part, {"facts": json.dumps(facts)})
            with part.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.write(digest.encode())
            size = part.stat().st_size
        make_room(size, keep=path)
    except (WiseftError, SafetensorError) as error:
        warnings.warn(f"the cache stays as it was: {error}", stacklevel=3)


def entry(key: str) -> Path:
    """The file of a key."""
    return cache_folder() / f"{key}.entry"


def limit() -> float:
    """How many bytes entries may take."""
    gigabytes = os.environ.get("WISEFT_NB_CACHE_GB") or "10"
    try:
        return float(gigabytes) * 1e9
    except ValueError:
        raise WiseftError(f"WISEFT_NB_CACHE_GB is {gigabytes!r}: expected a number, such as 10") from None


def make_room(size: int, keep: Path) -> None:
    """Look through the folder once in a while, and delete what is beyond the limit."""
    global written
    if written is None or (written := written + size) > limit() / OFTEN:
        shrink(keep)
        written = 0


def shrink(keep: Path) -> None:
    """Delete the least recently used files, leftovers of killed processes among them, beyond the limit."""
    files = []
    for path in cache_folder().glob("*.entry*"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit():
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size


@functools.cache
def versions() -> dict[str, str]:
    """What computes results, for keys: this package by its source, others by their versions."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    source = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        source.update(path.read_bytes())
    return found | {"wiseft_nb": source.hexdigest()}


def fingerprint(*parts: object) -> str:
    """Thirty-two hexadecimal digits that change with the content of any part.

    Parts may be whatever has a method ``content()`` that yields bytes (classifiers, benchmarks, datasets),
    networks, tensors, arrays, tables, images, datasets, dataclasses and plain values.

    Raises
    ------
    WiseftError
        If a part is of a kind whose content cannot be told.
    """
    digest = hashlib.sha256()
    for part in parts:
        part = part.item() if isinstance(part, np.generic) else part  # np.float64(3e-3) and 3e-3 are one number
        for piece in content_of(part):
            # the length keeps ("ab", "c") and ("a", "bc") apart
            digest.update(f"{type(part).__name__} {len(piece)} ".encode())
            digest.update(piece)
    return digest.hexdigest()[:32]


def content_of(part: object) -> Iterable[bytes | memoryview]:
    """The content of one part, as bytes."""
    if callable(getattr(part, "content", None)):
        yield from part.content()
    elif isinstance(part, nn.Module):
        yield fingerprint(without_addresses(repr(part)), part.state_dict()).encode()
    elif isinstance(part, Tensor):
        tensor = part.detach().cpu().contiguous()
        yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(part, np.ndarray):
        yield f"{part.dtype} {part.shape}".encode()
        yield repr(part.tolist()).encode() if part.dtype.hasobject else np.ascontiguousarray(part).tobytes()
    elif isinstance(part, Image.Image):
        yield f"{part.mode} {part.size} {part.getpalette()} {part.info.get('transparency')}".encode()
        yield part.tobytes()
    elif isinstance(part, pd.DataFrame):
        yield fingerprint(part.dtypes.astype(str).to_dict(), part.to_dict("split")).encode()
    elif isinstance(part, Mapping):
        yield fingerprint(*(item for pair in part.items() for item in pair)).encode()
    elif isinstance(part, list | tuple | range):
        yield fingerprint(*part).encode()
    elif isinstance(part, str | bytes | bool | int | float | complex | None | Path | torch.dtype | pd.Timestamp):
        yield repr(part).encode()
    elif hasattr(part, "__getitem__") and hasattr(part, "__len__"):  # any dataset: look at every sample
        for i in range(len(part)):
            yield fingerprint(part[i]).encode()
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield fingerprint({f.name: getattr(part, f.name) for f in dataclasses.fields(part)}).encode()
    elif callable(part) and str(getattr(part, "__module__", "")).startswith("wiseft_nb."):
        yield f"{part.__module__}.{part.__qualname__}".encode()  # ours: ``versions`` tells what it does
    else:
        raise WiseftError(
            f"the content of a {type(part).__name__} cannot be told: pass data that can (tensors, arrays, images, "
            "tables, numbers, texts), give it a method content() that yields bytes, or do without the cache"
        )


def without_addresses(text: str) -> str:
    """A text without the addresses of objects, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)
