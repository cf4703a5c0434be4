"""What pytest needs to know about notebooks, and the fixtures that several test files share."""

import dataclasses
import functools
import os
from pathlib import Path

import pytest

# Kernels inherit these; the package is imported in the fixtures, after they are set
for key, value in {
    "WISEFT_NB_MODE": "quick",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}.items():
    os.environ.setdefault(key, value)

collect_ignore = ["tests/killed_runs.py"]  # it changes what other tests rely on: for test_resume.py's processes alone
OUTPUT_TIMEOUT = 120  # seconds; nbval's own is 5, too few for a busy machine
SITE_TESTS = ("test_book.py", "test_browser.py")
TINY = 100  # images of each set of the tiny benchmark


def is_notebook(node: pytest.Item | pytest.Collector) -> bool:
    return getattr(node, "path", Path()).suffix == ".ipynb"


def pytest_collection_modifyitems(items):
    for item in filter(is_notebook, items):
        item.output_timeout = OUTPUT_TIMEOUT
        item.add_marker(pytest.mark.notebook)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed  # for the screenshot of a browser's test
    if is_notebook(item) and report.failed and not hasattr(item.parent, "first_failure"):
        item.parent.first_failure = item.name
    return report


@functools.cache
def lacking(path: Path) -> str:
    from wiseft_nb.make import tutorial

    return tutorial.lacking(path)


def pytest_runtest_setup(item):
    if not is_notebook(item):
        return
    if missing := lacking(item.path):
        pytest.skip(missing)
    if first := getattr(item.parent, "first_failure", None):
        pytest.skip(f"{first} failed earlier in this notebook")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file stays on one worker, and so do all notebooks that share results through ``build/kept``.

    The cells of a notebook need one kernel; and what one notebook kept, the next one loads instead of
    making it a second time on the other worker. The site, too, is built on one worker alone.
    """
    from xdist.scheduler import LoadFileScheduling

    class FilesTogether(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            path = config.rootpath / file
            if path.name in SITE_TESTS:
                return "tests that share the site"
            shares = path.suffix == ".ipynb" and path.exists() and "keep(" in path.read_text(encoding="utf-8")
            return "notebooks that share build/kept" if shares else file

    return FilesTogether(config, log)


@pytest.fixture(scope="session")
def benchmark():
    from wiseft_nb import load_benchmark

    return load_benchmark("digits")


@pytest.fixture(scope="session")
def tiny(benchmark):
    """The digits benchmark with the first images of each set alone."""

    def first(images):
        return images.subset(slice(TINY))

    return dataclasses.replace(
        benchmark,
        **{part: first(getattr(benchmark, part)) for part in ("train", "val", "reference")},
        shifts={name: first(images) for name, images in benchmark.shifts.items()},
    )


@pytest.fixture(scope="session")
def clip():
    from wiseft_nb import load_clip

    return load_clip("digits-rn")


@pytest.fixture(scope="session")
def zero_shot(clip, benchmark):
    from wiseft_nb import zero_shot_classifier

    return zero_shot_classifier(clip, benchmark)


@pytest.fixture(scope="session")
def quick_config():
    """Four steps: enough to move every weight."""
    from wiseft_nb import FineTuneConfig

    return FineTuneConfig(epochs=2, batch_size=50)


@pytest.fixture(scope="session")
def fine_tuned(zero_shot, tiny, quick_config):
    from wiseft_nb import fine_tune

    return fine_tune(zero_shot, tiny, quick_config, progress=False)


@pytest.fixture(scope="session")
def linear(zero_shot, tiny, quick_config):
    """The same start with the head alone trained."""
    from wiseft_nb import fine_tune

    return fine_tune(zero_shot, tiny, dataclasses.replace(quick_config, method="linear"), progress=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the course's site, built without a warning."""
    import subprocess
    import sys

    from wiseft_nb.paths import ROOT

    pytest.importorskip("myst_nb", reason="needs the extra 'book'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-c", "docs", "-W", "--keep-going", "-q", ".", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace):
    """What an example in a docstring may use without importing it."""
    import torch

    doctest_namespace["torch"] = torch
