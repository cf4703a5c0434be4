"""What a CLIP is loaded from: checked before it is loaded, and named where it cannot be fetched.

Explained in notebook 11_use_real_clip.
"""

import codecs
import contextlib
import json
import math
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from open_clip import get_pretrained_cfg
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from wiseft_nb.errors import WiseftError, reason

Loaded = TypeVar("Loaded")
CONFIG = "open_clip_config.json"
WRAPPERS = ("model.", "clip.", "clip_model.", "_orig_mod.")  # what other code puts around a CLIP
CONVERT = (
    "a pickle runs code when it is opened; in the environment that wrote it, load it once and save "
    "torch.save(model.state_dict(), 'weights.pt'), and load that"
)
# what says that a host was not reached, wherever in the chain of causes it stands
UNREACHED = ("connect", "resolve", "offline", "download", "urlopen", "timed out", "max retries", "find the requested")


def check_device(device: str) -> None:
    """Refuse a device that torch does not have here."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise WiseftError(f"device {device!r} cannot be used here ({reason(error)}): pass device='cpu'") from error


def fetched(identifier: str, pretrained: str | Path | None, load: Callable[[], Loaded]) -> Loaded:
    """What ``load`` loads; where a host was not reached, the error names the file and where to put it."""
    try:
        return load()
    except Exception as error:  # hubs and open_clip raise errors of every kind
        said = " ".join(str(e) for e in causes(error)).lower()
        if isinstance(error, WiseftError) or not any(word in said for word in UNREACHED):
            raise
        raise WiseftError(
            f"the weights of {identifier} {pretrained or ''} are not on this machine and could not be fetched "
            f"({reason(error)}): {by_hand(identifier, pretrained)}"
        ) from error


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and what it came from."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def by_hand(identifier: str, pretrained: str | Path | None) -> str:
    """How to bring the weights from a machine that has a network."""
    tag = (
        get_pretrained_cfg(identifier, str(pretrained))
        if pretrained
        else {"hf_hub": identifier.removeprefix("hf-hub:")}
    )
    repository, _, file = tag.get("hf_hub", "").rpartition("/") if pretrained else (tag["hf_hub"], "", "")
    if repository and not file:  # a whole folder in open_clip's layout, which also knows its activation
        return (
            f"where there is a network, fetch open_clip_config.json and open_clip_model.safetensors from "
            f"https://huggingface.co/{repository}, put both into one folder, and call load_clip with that folder"
        )
    page = f"https://huggingface.co/{repository}/resolve/main/{file}" if repository else tag.get("url", "")
    activation = ", quick_gelu=True" if tag.get("quick_gelu") else ""
    return (
        f"where there is a network, fetch {page}, and call "
        f"load_clip({identifier!r}, pretrained='path/of/the/file'{activation})"
    )


def read_config(folder: Path) -> dict:
    """``open_clip_config.json`` of a folder; says so if it is missing or no such file."""
    path = folder / CONFIG
    if not path.is_file() and (folder / "config.json").is_file():
        raise WiseftError(
            f"{folder} is in transformers' layout, it has config.json but no {CONFIG}: fetch the repository "
            "of the same model in open_clip's layout"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
        return {"model_cfg": config["model_cfg"], "preprocess_cfg": config.get("preprocess_cfg", {})}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WiseftError(f"{path} cannot be read ({error!r}): expected open_clip's JSON with a model_cfg") from error


@contextlib.contextmanager
def without_bom(folder: Path) -> Iterator[Path]:
    """The folder; or, where Windows put a byte order mark before its JSON, which open_clip refuses, a copy without."""
    content = (folder / CONFIG).read_bytes()
    if not content.startswith(codecs.BOM_UTF8):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(folder, Path(place) / folder.name, copy_function=shutil.copyfile))
        (copy / CONFIG).write_bytes(content.removeprefix(codecs.BOM_UTF8))
        yield copy


def shapes_in(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a folder's weights; refuses one without weights, a pickle, and a truncated safetensors file."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise WiseftError(f"{folder} holds no *.safetensors weights: copy open_clip_model.safetensors into it")
    shapes = {}
    for path in weights:
        try:
            with safe_open(path, framework="pt") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise WiseftError(f"{path} is damaged or truncated ({reason(error)}): copy it again") from error
    return shapes


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; one that would run code when it is opened is refused."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the pickle's protocol
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in a hundred ways, each harmless
        raise WiseftError(f"{path} {why_not_read(path, error)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise WiseftError(f"{path} holds a {type(state).__name__}, expected tensors by name: save model.state_dict()")
    if isinstance(state.get("state_dict"), Mapping) and not any(isinstance(value, Tensor) for value in state.values()):
        state = state["state_dict"]  # as training scripts save it, beside the optimizer's
    odd = [name for name, value in state.items() if not isinstance(value, Tensor) or value.is_meta or value.is_sparse]
    if odd:
        raise WiseftError(
            f"{path} holds more than a state dict, first {odd[0]!r}, which is no plain tensor: "
            "save the model's state_dict() alone"
        )
    if all(name.startswith("module.") for name in state):  # DataParallel's
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def why_not_read(path: Path, error: Exception) -> str:
    """Why a file holds no weights that can be read, and what to do."""
    if path.suffix == ".safetensors":
        return f"is damaged or truncated ({reason(error)}): copy it again"
    if zipfile.is_zipfile(path):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                return (
                    "is a TorchScript archive, as OpenAI's own files are, and runs code when it is opened: load_clip has "
                    "the same weights as the tag 'openai'; or, where you trust the file, save the state_dict() of "
                    "torch.jit.load(path) without input_resolution, context_length and vocab_size, and load that"
                )
    if "global" in str(error).lower():
        return f"is a pickled model, not a state dict ({reason(error)}): {CONVERT}"
    return f"is damaged or no plain state dict ({reason(error)}): copy it again; if it is a pickled model: {CONVERT}"


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse weights that are named as another library names them."""
    names = list(names)
    if any(name.startswith("vision_model.") for name in names):
        raise WiseftError(
            f"{path} holds transformers' names, such as vision_model.…: fetch the same model in open_clip's layout"
        )
    prefix = names[0].split(".")[0] + "." if names else ""
    if prefix in WRAPPERS and all(name.startswith(prefix) for name in names):
        raise WiseftError(
            f"every name in {path} begins with {prefix!r}: save the state_dict() of the CLIP inside, "
            f"{{name.removeprefix({prefix!r}): tensor for name, tensor in state.items()}}"
        )


def check_shapes(path: Path, shapes: Mapping[str, Sequence[int]], model: nn.Module) -> None:
    """Refuse weights of another image size or context length, which open_clip would stretch to fit."""
    for name, tensor in model.state_dict().items():
        if math.prod(shapes.get(name, tensor.shape)) != tensor.numel():
            raise WiseftError(
                f"{name} of {path} is {tuple(shapes[name])}, expected {tuple(tensor.shape)}: these weights are "
                "of another image size or context length; load the architecture they were trained with, or a folder "
                "whose open_clip_config.json names their size"
            )


def said(error: Exception) -> str:
    """The reason; where torch lists keys and shapes below it, those too, shortened."""
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    listed = [line for line in lines if line.startswith(("Missing key", "Unexpected key", "size mismatch"))]
    return "; ".join(line[:150].rstrip(" .") for line in listed[:3]) or reason(error)
