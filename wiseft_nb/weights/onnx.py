"""A classifier for anything that reads ONNX, checked to say the same before it is written.

Explained in notebook 11_use_real_clip.
"""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from wiseft_nb.engine.files import expanded, write_whole
from wiseft_nb.errors import WiseftError, reason
from wiseft_nb.models.classifier import ImageClassifier, check_classifier
from wiseft_nb.weights.rebuild import check_float32, own_parts

TOLERANCE = 1e-3  # of the largest logit: what two libraries' rounding may differ by
LIMIT = 2_000_000_000  # bytes; a larger ONNX file cannot be one file


def export_to_onnx(classifier: ImageClassifier, path: str | Path) -> Path:
    """Write one ``.onnx`` file: images ``(n, 3, size, size)``, preprocessed, to logits ``(n, classes)``.

    Its metadata hold ``class_names`` and ``preprocess_cfg`` (open_clip's: size, mean, std, interpolation) as
    JSON. Before it is written, onnxruntime runs it on two batches of different size, and the logits must
    be the classifier's.

    Parameters
    ----------
    classifier : ImageClassifier
        Not changed.
    path : str or Path

    Returns
    -------
    Path

    Raises
    ------
    WiseftError
        If the packages are not installed (``pip install onnx onnxruntime onnxscript``), the network cannot
        be exported or is too large, it has a preprocessing that its config does not describe, or
        onnxruntime says something else.

    Explained in notebook 11_use_real_clip.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise WiseftError(f"{error.name} is not installed: pip install onnx onnxruntime onnxscript") from error
    check_classifier(classifier)
    if "preprocess" in own_parts(classifier):
        raise WiseftError(
            "preprocess of this classifier is not what its config says, so the file could not say how images are "
            "preprocessed: use open_clip's preprocessing, and its preprocess_cfg in the config"
        )
    check_float32(classifier.state_dict())
    network = copy.deepcopy(classifier).cpu().eval()
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    if size > LIMIT:
        raise WiseftError(
            f"the classifier has {size / 1e9:.1f} GB of weights, one ONNX file holds 2: export a smaller one"
        )
    side = classifier.config["preprocess_cfg"]["size"]
    height, width = (side, side) if isinstance(side, int) else side
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(n, 3, height, width, generator=generator) for n in (2, 3)]
    try:
        model = onnx.load_from_string(exported(network, batches[0]))
        about = {"class_names": list(classifier.class_names), "preprocess_cfg": classifier.config["preprocess_cfg"]}
        onnx.helper.set_model_props(model, {name: json.dumps(value, default=list) for name, value in about.items()})
        content = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        said = [torch.from_numpy(session.run(["logits"], {"images": batch.numpy()})[0]) for batch in batches]
    except Exception as error:  # exporters raise errors of every kind
        raise WiseftError(
            f"the classifier cannot be exported to ONNX ({reason(error)}): export it to open_clip"
        ) from error
    check_agreement(network, batches, said)
    write_whole(expanded(path), content)
    return expanded(path)


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Let libraries log errors alone."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def exported(network: ImageClassifier, example: torch.Tensor) -> bytes:
    """The network as ONNX, for batches of any size."""
    with warnings.catch_warnings(), quiet("torch.onnx", "onnxscript"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            verbose=False,
        )
        return program.model_proto.SerializeToString()


@torch.no_grad()
def check_agreement(network: ImageClassifier, batches: list[torch.Tensor], said: list[torch.Tensor]) -> None:
    """Refuse logits that are not the classifier's."""
    for batch, logits in zip(batches, said, strict=True):
        expected = network(batch)
        apart = (logits - expected).abs().max() / expected.abs().max()
        if logits.shape != expected.shape or not apart <= TOLERANCE:
            raise WiseftError(
                f"onnxruntime's logits differ from the classifier's by {apart:.1e} of the largest, expected at most "
                f"{TOLERANCE:.0e}: nothing was written; update onnxruntime, or export to open_clip"
            )
