"""Files that are whole or not there: written beside their place and moved, checked when read again.

Explained in notebook 03_interpolate.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from wiseft_nb.engine.processes import is_main
from wiseft_nb.errors import WiseftError


def expanded(path: str | Path) -> Path:
    """A path whose ``~`` is the user's home folder."""
    return Path(os.path.expanduser(path))


def independent(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: each contiguous, and tied weights each with memory of its own."""
    taken, own = set(), {}
    for name, tensor in tensors.items():
        memory = (tensor.device, tensor.untyped_storage().data_ptr())
        own[name] = tensor.detach().clone() if memory in taken else tensor.detach()
        own[name] = own[name].contiguous()
        taken.add(memory)
    return own


def write_whole(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file beside its place, under a name of this process, and move it there.

    Of several processes only the first writes.

    ``durable`` waits until the disk has it: without, a power cut could keep the name and lose the content.

    Raises
    ------
    WiseftError
        If there is no room or no permission; what stood at ``path`` before stands there still.

    Explained in notebook 03_interpolate.
    """
    if not is_main():
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
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

    Explained in notebook 03_interpolate.
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
