"""Files that are whole or not there: written beside their place and moved, checked when read again.

Explained in notebook 03_interpolate.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from wiseft_nb.engine.processes import is_main
from wiseft_nb.errors import WiseftError


def expanded(path: str | Path) -> Path:
    """A path whose ``~`` is the user's home folder."""
    return Path(os.path.expanduser(path))


def independent(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, as files want them: tied weights are written twice, and read as equal."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        storage = tensor.untyped_storage()
        shared = storage.nbytes() and (storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes)
        apart[name] = tensor.clone() if shared else tensor
        seen.add(apart[name].untyped_storage().data_ptr())
    return apart


def write_whole(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file beside its place and move it there; of several processes only the first writes.

    Raises
    ------
    WiseftError
        If there is no room or no permission; what stood at ``path`` before stands there still.
    """
    if is_main():
        with replacing(path, durable) as part:
            part.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A name beside ``path``, this process's own, to write to; afterwards it is moved to ``path``.

    ``durable`` waits until the disk has it: without, a power cut could keep the name and lose the content.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            with part.open("r+b") as file:  # Windows wants it writable
                os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise WiseftError(
            f"{path} cannot be written ({error.strerror or error}), nothing was changed: "
            "free some space, or choose a folder you may write to"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # the error that matters is the one above
            part.unlink(missing_ok=True)


def write_checked(path: Path, content: bytes) -> None:
    """``write_whole`` with the content's hash in the first line, for ``read_checked``."""
    write_whole(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content, durable=False)


def read_checked(path: Path) -> bytes | None:
    """What ``write_checked`` wrote; None if there is no such file.

    Raises
    ------
    WiseftError
        If the file is damaged.
    """
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WiseftError(f"{path} cannot be read ({error.strerror or error}): delete it") from error
    if digest != hashlib.sha256(content).hexdigest().encode():
        raise WiseftError(f"{path} is damaged, its content does not match its hash: delete it")
    return content
