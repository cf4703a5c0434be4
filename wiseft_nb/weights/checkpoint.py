"""Save and load classifiers: safetensors for the weights, JSON for the rest. Nothing is ever executed.

Explained in notebook 03_interpolate.
"""

import contextlib
import hashlib
import json
import uuid
import warnings
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from wiseft_nb.benchmarks.base import check_class_names
from wiseft_nb.engine.files import expanded, independent, write_whole
from wiseft_nb.engine.processes import is_main, wait
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.models.classifier import ImageClassifier, check_classifier, check_finite
from wiseft_nb.models.clip_files import CONVERT
from wiseft_nb.weights.rebuild import as_json, build_classifier, check_float32, copied, own_parts, parts_of

ABOUT = "classifier.json"
KINDS = {
    "config": dict | None,
    "class_names": list,
    "history": list,
    "weights": str,
    "sha256": str,
    "checksum": str,
}
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


def save_classifier(classifier: ImageClassifier, folder: str | Path) -> Path:
    """Write ``classifier.json`` and the weights it names, ``classifier-….safetensors``, into a folder.

    The weights are written first, under a name of their own; the save counts once the JSON that names
    them is moved into place. Interrupted at any moment, it leaves the classifier that was there before;
    of several processes that save into one folder at once, one wins as a whole. No other file is touched.

    A classifier that its ``config`` does not describe, since it has an encoder, a head or a preprocessing of
    its own, is saved as well: a warning says so, and ``load_classifier`` needs ``like=`` to read it.

    Raises
    ------
    WiseftError
        If the weights are not float32 and finite, class names or history cannot be written as JSON,
        or the folder cannot be written; nothing was changed then.

    Explained in notebook 03_interpolate.
    """
    check_classifier(classifier)
    folder, state = expanded(folder), classifier.state_dict()
    check_class_names(classifier.class_names)
    check_finite(state, "the classifier's weights")
    check_float32(state)
    if own := own_parts(classifier):
        warnings.warn(
            f"{' and '.join(own)} of this classifier cannot be built from its config: it is saved, and to load it, call "
            "load_classifier(folder, like=...) with a classifier that has the same",
            stacklevel=2,
        )
    weights = save(independent(state))
    name = f"classifier-{uuid.uuid4().hex[:12]}.safetensors"  # never used twice, so that nobody deletes it by mistake
    about = {
        "config": None if own else classifier.config,
        "class_names": list(classifier.class_names),
        "history": classifier.history,
        "parts": parts_of(classifier),
        "weights": name,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "versions": {name: version(name) for name in ("torch", "open_clip_torch", "safetensors")},
    }
    about = as_json(about)  # as it will be read, so that the checksum is the same
    content = json.dumps(about | {"checksum": checksum(about)}, indent=1).encode()
    if is_main():
        write_pair(folder, name, weights, content)
    wait()  # so that all processes find it whole
    return folder


def write_pair(folder: Path, name: str, weights: bytes, about: bytes) -> None:
    """The weights, then the JSON that names them; then the weights that the JSON before it named are deleted."""
    write_whole(folder / name, weights)
    former = None
    with contextlib.suppress(WiseftError):  # none there, or a damaged one: then nothing is known to be ours
        former = folder / Path(read_about(folder / ABOUT)["weights"]).name
    try:
        write_whole(folder / ABOUT, about)
    except BaseException:
        with contextlib.suppress(OSError):  # the error that matters is the one above
            (folder / name).unlink(missing_ok=True)
        raise
    if former:
        try:
            former.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(
                f"the classifier is saved, but its former weights {former} could not be deleted "
                f"({error.strerror or error}): delete them yourself",
                stacklevel=3,
            )


def load_classifier(folder: str | Path, like: ImageClassifier | None = None) -> ImageClassifier:
    """Read what ``save_classifier`` wrote.

    Parameters
    ----------
    folder : str or Path
    like : ImageClassifier, optional
        For a classifier with an encoder, a head or a preprocessing of its own, which no configuration
        describes: one that has the same. The weights are put into a copy of it.

    Raises
    ------
    WiseftError
        If a file is missing, truncated or changed, is a pickle, or its weights do not fit the
        architecture and the class names it comes with, or those of ``like``.

    Explained in notebook 03_interpolate.
    """
    folder = expanded(folder)
    if not (folder / ABOUT).is_file():
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in (folder, *inside):
            if path.suffix in PICKLES:
                raise WiseftError(f"{path} is no classifier that save_classifier wrote: {CONVERT}")
        raise WiseftError(f"{folder} holds no classifier, it lacks {ABOUT}: save one there with save_classifier")
    about, state = read_pair(folder)
    if about["config"] is None and like is None:
        raise WiseftError(
            f"the classifier in {folder} has an encoder, a head or a preprocessing of its own, which no configuration "
            "describes: pass like=, a classifier that has the same"
        )
    try:
        classifier = build_classifier(about, state) if like is None else copied(like, about, state)
    except WiseftError as error:
        raise WiseftError(f"{folder} does not fit {ABOUT if like is None else 'like'}: {error}") from error
    except Exception as error:  # whatever open_clip makes of a strange configuration
        raise WiseftError(f"{folder} does not fit {ABOUT} ({reason(error)}): save the classifier again") from error
    classifier.history = about["history"]
    return classifier


def read_pair(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """Description and weights that belong together, also while another process saves into the folder."""
    about = read_about(folder / ABOUT)
    while True:
        path = folder / Path(about["weights"]).name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == about["sha256"]:
                return about, load_file(path)
        except Exception as error:  # whatever safetensors makes of a strange file, or one deleted under its hands
            later = read_about(folder / ABOUT)
            if later["weights"] != about["weights"]:
                about = later  # another save came between description and weights
                continue
            if isinstance(error, OSError | ValueError):
                raise WiseftError(
                    f"{folder} lacks the weights {path.name[:80]!r} ({reason(error)}): save the classifier again"
                ) from error
            raise WiseftError(f"{path} does not fit {ABOUT} ({reason(error)}): save the classifier again") from error
        raise WiseftError(f"{path} is not the file that was saved, truncated perhaps: save or copy it again")


def read_about(path: Path) -> dict:
    """``classifier.json``, with every field of the kind it should be."""
    try:
        about = json.loads(path.read_text(encoding="utf-8-sig"))
        odd = [key for key, kind in KINDS.items() if not isinstance(about[key], kind)]
        rows = [*about["class_names"], *about["history"]]
        odd += [] if all(isinstance(row, str | dict) for row in rows) else ["class_names or history"]
        if odd or about["checksum"] != checksum(about):
            raise ValueError(f"{', '.join(odd)} of the wrong kind" if odd else "changed since it was saved")
        check_class_names(about["class_names"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WiseftError(f"{path} is damaged ({reason(error)}): save the classifier again") from error
    return about


def checksum(about: dict) -> str:
    """The hash of all fields but itself: a changed mean or head width would load, and give other answers."""
    fields = {key: value for key, value in about.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
