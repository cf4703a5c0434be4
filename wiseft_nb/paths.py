"""Where things are: what ships in ``data/``, what a run makes in ``build/``."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
BUILD = ROOT / "build"
