"""A wheel, installed somewhere else than the checkout, has its data with it and keeps results in the user's cache."""

import os
import subprocess
import sys
import zipfile

import pytest

from wiseft_nb.paths import ROOT

USE_IT = """
import sys
from pathlib import Path
import wiseft_nb
from wiseft_nb import *
from wiseft_nb import paths
from wiseft_nb.engine.cache import cache_folder

site, home = map(Path, sys.argv[1:])
assert Path(wiseft_nb.__file__).is_relative_to(site), wiseft_nb.__file__
assert paths.DATA.is_relative_to(site) and paths.BUILD.is_relative_to(home) and cache_folder().is_relative_to(home)
digits = load_benchmark("digits")
zero_shot = zero_shot_classifier(load_clip("digits-rn"), digits)
print(evaluate(zero_shot, digits.reference.subset(range(200))).accuracy())
assert len(load_standard_models("digits")) > 20
assert all(len(published(name)) for name in published_tables())
assert len(keep("table", (), lambda: published("timm")))
assert list((paths.BUILD / "kept").iterdir())
"""


def run(*command, **settings):
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from what git would ship, without a network."""
    place = tmp_path_factory.mktemp("wheel")
    for name in (*listed(), "setup.py"):
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "source" / name).write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", place]
    run(sys.executable, "-m", "pip", "wheel", *options, place / "source")
    (built,) = place.glob("*.whl")
    return built


def listed():
    """What the package is made of, and nothing that a run has made."""
    for folder in ("wiseft_nb", "data"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix not in (".pyc", ".tmp"):
                yield path.relative_to(ROOT)
    yield from ("pyproject.toml", "README.md", "LICENSE")


def test_every_module_and_every_file_of_data_is_in_the_wheel(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.as_posix() for path in map(type(ROOT), listed()) if path.suffix == ".py"}
    expected |= {f"wiseft_nb/{path.as_posix()}" for path in map(type(ROOT), listed()) if path.parts[0] == "data"}
    assert not expected - inside
    assert not {name for name in inside if name.startswith(("data/", "tests/", "build/"))}


def test_what_is_installed_works_without_the_checkout(wheel, tmp_path):
    """From the working folder of somebody who has no checkout, nor its package on the path."""
    site, home, elsewhere = tmp_path / "site", tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
    dropped = ("WISEFT_NB_CACHE", "WISEFT_NB_DATA", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in dropped}
    environment |= {"PYTHONPATH": str(site), "HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home)}
    said = run(sys.executable, "-c", USE_IT, site, home, cwd=elsewhere, env=environment)
    assert float(said) > 0.8
    assert not list(elsewhere.iterdir()), "nothing is made where it runs"
