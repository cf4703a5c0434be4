"""What to test on: a reference distribution and its shifts.

Explained in notebook 00_start_here.
"""

from pathlib import Path

from wiseft_nb.benchmarks.base import Benchmark, ImageSet
from wiseft_nb.benchmarks.digits import load_digits_benchmark
from wiseft_nb.benchmarks.folder import load_folder_benchmark
from wiseft_nb.benchmarks.parts import data_folder
from wiseft_nb.benchmarks.templates import load_templates
from wiseft_nb.errors import unknown

__all__ = ["Benchmark", "ImageSet", "load_benchmark", "load_templates"]

# Each takes the folder that datasets lie in, and whether they must be whole.
BENCHMARKS = {"digits": lambda root, complete: load_digits_benchmark()}


def load_benchmark(name: str | Path, *, root: str | Path | None = None, complete: bool = True) -> Benchmark:
    """Load a benchmark by name, or from a folder of your own.

    Parameters
    ----------
    name : str or Path
        ``"digits"``, or a folder laid out as ``wiseft_nb.benchmarks.folder`` describes.
    root : str or Path, optional
        Where the datasets of a benchmark that does not ship lie, each in its official layout; by
        default ``WISEFT_NB_DATA``, or ``build/datasets``.
    complete : bool
        Refuse a dataset that does not hold as many images as were published; False takes what is there.

    Returns
    -------
    Benchmark
        With ``class_names``, ``templates``, ``train``, ``val``, ``reference`` and ``shifts``.

    Raises
    ------
    WiseftError
        If the name is unknown (the error lists the known ones) or the folder is no benchmark.

    Examples
    --------
    >>> benchmark = load_benchmark("digits")
    >>> len(benchmark.train), len(benchmark.val), len(benchmark.reference)
    (3500, 500, 1000)

    Explained in notebook 00_start_here.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name](data_folder(root), complete=complete)
    if Path(name).is_dir():
        return load_folder_benchmark(Path(name))
    raise unknown("benchmark", str(name), BENCHMARKS, " or the path of a folder that exists")
