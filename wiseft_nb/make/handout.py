"""The students' bundle, one zip to unpack anywhere: ``python -m wiseft_nb.make.handout``.

It holds the package, its data and the notebooks without outputs and solutions; with ``--wheels`` also every package to
install, for a lab without a network. ``START.txt`` in it says how to begin.
"""

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

import nbformat

from wiseft_nb.errors import WiseftError
from wiseft_nb.make.exercises import NOTEBOOKS, class_copy
from wiseft_nb.paths import BUILD, ROOT

# of these what git tracks, so that nothing a run or a person left behind is handed out
PACKED = ("wiseft_nb", "data", "docs/*.png", "docs/glossary.md", "*.toml", "setup.py", "constraints.txt")
PACKED += ("README.md", "LICENSE", "CITATION.cff")
FOLDER = "wiseft-nb"  # what the zip unpacks to
CPU = "https://download.pytorch.org/whl/cpu"  # PyTorch's small build
START = """WiSE-FT in notebooks

You need Python 3.11.4 or newer{needed}. In this folder:

    python -m venv .venv
    .venv/bin/python -m pip install {options} -e ".[course]"
    .venv/bin/python -m wiseft_nb.make.lab

The last line opens the course. On Windows write .venv\\Scripts\\python instead of .venv/bin/python.
"""


def packed() -> list[str]:
    """The files of the bundle that are as they are here, relative to the root."""
    command = ["git", "ls-files", "-z", "--", *PACKED]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise WiseftError("a handout is packed from what git tracks: make it in a clone of the repository")
    return found.stdout.rstrip("\0").split("\0")


def requirements(*extras: str) -> list[str]:
    """What pyproject.toml asks for, to build and to run, with extras."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found, to_read = [*about["build-system"]["requires"], *about["project"]["dependencies"]], [*extras]
    while to_read:
        for line in about["project"]["optional-dependencies"][to_read.pop()]:
            others = re.fullmatch(rf"{about['project']['name']}\[(.+)\]", line)  # an extra may name other extras
            (to_read if others else found).extend(others[1].split(",") if others else [line])
    return found


def wheel_command(folder: Path) -> list[str]:
    """What puts a wheel of every package into a folder, PyTorch's CPU build among them."""
    options = ["--wheel-dir", str(folder), "-c", str(ROOT / "constraints.txt"), "--extra-index-url", CPU]
    return [sys.executable, "-m", "pip", "wheel", *options, *requirements("course")]


def start_text(wheels: bool) -> str:
    """How to begin."""
    if not wheels:
        return START.format(needed="", options=f"-c constraints.txt --extra-index-url {CPU}")
    python = ".".join(platform.python_version_tuple()[:2])
    needed = f"; wheels/ holds the packages for Python {python} on {platform.system()} ({platform.machine()}) alone"
    return START.format(needed=needed, options="--no-index --find-links wheels")


def write_handout(target: Path, wheels: Path | None = None) -> Path:
    """The zip; ``wheels`` is a folder of packages to put into it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in packed():
            bundle.write(ROOT / name, f"{FOLDER}/{name}")
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            copy = class_copy(nbformat.read(path, as_version=4), solved=False)
            bundle.writestr(f"{FOLDER}/notebooks/{path.name}", nbformat.writes(copy))
        for path in sorted(wheels.iterdir()) if wheels else ():
            bundle.write(path, f"{FOLDER}/wheels/{path.name}", zipfile.ZIP_STORED)
        bundle.writestr(f"{FOLDER}/START.txt", start_text(bool(wheels)))
    return target


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheels", action="store_true", help="with the packages to install, for a lab without network")
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) if parser.parse_args().wheels else None
        if wheels and subprocess.run(wheel_command(wheels), check=False).returncode:
            raise SystemExit("pip could not gather the packages: what it misses is named above")
        target = write_handout(BUILD / "handout.zip", wheels)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 2**20:.0f} MB")


if __name__ == "__main__":
    main()
