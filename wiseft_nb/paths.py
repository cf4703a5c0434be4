"""Where things are: what ships in ``data/``, what a run makes in ``build/``."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
DATA = ROOT / "data"
BUILD = ROOT / "build"
