"""Where things are: what ships in ``data/``, what a run makes in ``build/``.

In a checkout both lie beside the package. Installed without one, the data are inside the package, and what is
made goes to the user's cache folder.
"""

from pathlib import Path

from platformdirs import user_cache_path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
INSTALLED = (PACKAGE / "data").is_dir()  # a wheel puts data/ there
DATA = PACKAGE / "data" if INSTALLED else ROOT / "data"
BUILD = user_cache_path("wiseft-nb", appauthor=False) if INSTALLED else ROOT / "build"
