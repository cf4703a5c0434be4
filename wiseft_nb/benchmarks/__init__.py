"""What to test on: a reference distribution and its shifts.

Explained in notebook 00_start_here.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from wiseft_nb.benchmarks import transfer
from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.cifar.cifar import load_cifar10_benchmark
from wiseft_nb.benchmarks.digits.digits import load_digits_benchmark
from wiseft_nb.benchmarks.imagenet.imagenet import load_imagenet_benchmark
from wiseft_nb.benchmarks.own.folder import load_folder_benchmark
from wiseft_nb.benchmarks.own.table import load_table_benchmark
from wiseft_nb.benchmarks.parts import data_folder
from wiseft_nb.benchmarks.sentiment import load_sentiment_benchmark
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.benchmarks.wilds_sets import load_fmow_benchmark, load_iwildcam_benchmark
from wiseft_nb.errors import unknown

__all__ = ["Benchmark", "ImageSet", "load_benchmark", "load_templates"]

# each takes the folder that datasets lie in, the shifts that are wanted, and whether sets must be whole
BENCHMARKS: dict[str, Callable[[Path, str | Sequence[str] | None, bool], Benchmark]] = {
    "digits": lambda root, shifts, complete: load_digits_benchmark(shifts),
    "cifar10": load_cifar10_benchmark,
    "imagenet": load_imagenet_benchmark,
    "wilds-fmow": load_fmow_benchmark,
    "wilds-iwildcam": load_iwildcam_benchmark,
    **transfer.BENCHMARKS,
    "sentiment": load_sentiment_benchmark,
}


def load_benchmark(
    name: str | Path,
    *,
    root: str | Path | None = None,
    shifts: str | Sequence[str] | None = None,
    complete: bool = True,
    seed: int = 0,
) -> Benchmark:
    """Load a benchmark by name, or from images of your own: a folder, or a table.

    Nothing is downloaded: what is not on disk is left out, ``Benchmark.missing`` says where it comes
    from, and ``Benchmark.download`` fetches it.

    Parameters
    ----------
    name : str or Path
        ``"digits"``, which ships; ``"cifar10"``, ``"imagenet"``, ``"wilds-fmow"``, ``"wilds-iwildcam"``,
        ``"cifar100"``, ``"cars"``, ``"dtd"``, ``"sun397"``, ``"food101"``, ``"sentiment"`` (texts); or the path of a folder
        or CSV of your own, laid out as ``wiseft_nb.benchmarks.own.folder`` describes. A name goes before a
        folder that is called so: write ``"./cars"`` for the folder.
    root : str or Path, optional
        Where the datasets of a benchmark that does not ship lie, each in its official layout; by
        default ``WISEFT_NB_DATA``, or ``build/datasets``.
    shifts : str or sequence of str, optional
        The shifts to read, by name or pattern (``"cifar10-c/*/5"``); by default those usually reported, of
        your own all.
    complete : bool
        Whether to refuse a dataset that has not as many images as the official one, and to look at every
        image of your own and refuse them if there are problems, all named at once.
    seed : int
        Decides which images of your own are held out, where they come without a split.

    Returns
    -------
    Benchmark
        With ``class_names``, ``templates``, ``train``, ``val``, ``reference`` and ``shifts``.

    Raises
    ------
    WiseftError
        If the name is unknown (the error lists the known ones), the folder is no benchmark, or a dataset
        on disk is incomplete or not in its official layout.

    Examples
    --------
    >>> benchmark = load_benchmark("digits")
    >>> len(benchmark.train), len(benchmark.val), len(benchmark.reference)
    (3500, 500, 1000)

    Explained in notebook 00_start_here.
    """
    if name in BENCHMARKS:
        if Path(name).exists():
            warnings.warn(
                f'{name!r} is the benchmark of that name; for the folder {Path(name).absolute()} write "./{name}"',
                stacklevel=2,
            )
        again = functools.partial(load_benchmark, name, root=root, shifts=shifts, complete=complete)
        benchmark = BENCHMARKS[name](data_folder(root), shifts, complete)
        return dataclasses.replace(benchmark, reload=again) if benchmark.parts else benchmark
    path = Path(name).expanduser()
    if path.is_dir():
        return load_folder_benchmark(path, seed, complete, shifts)
    if path.is_file():
        return load_table_benchmark(path, seed, complete, shifts)
    raise unknown("benchmark", str(name), BENCHMARKS, " or the path of a folder or CSV that exists")
