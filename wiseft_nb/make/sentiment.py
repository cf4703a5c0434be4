"""Fetch the rated texts of notebook 13 from the package index: ``python -m wiseft_nb.make.sentiment``.

They lie in the source distribution of vaderSentiment, 2.5 MB, MIT. pip fetches it from the index it is set up with, and
compares it with the digest below before it looks inside. pip cannot save a source distribution without asking it for its
name and version, which runs its ``setup.py`` in an environment of its own: that of this one file alone, whose digest is
written here, and which does nothing but name its parts. Nothing is installed, and reading the texts runs no code. Who
would rather not may put the file into the folder that the last line of the error names; the reader checks it all the same.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wiseft_nb.benchmarks.parts import data_folder, digest_of
from wiseft_nb.benchmarks.sentiment import DIGEST, FILE, PAGE, VERSION, archive_of
from wiseft_nb.errors import WiseftError


def fetch_ratings(root: Path | None = None) -> Path:
    """The archive below the data folder; fetched by pip if it is not there, or is another file.

    Raises
    ------
    WiseftError
        If pip cannot fetch it.
    """
    path = archive_of(data_folder(root))
    if path.exists() and digest_of(path, DIGEST) == DIGEST:
        return path
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"vaderSentiment=={VERSION} --hash={DIGEST}\n")
        how = ["download", "--quiet", "--no-deps", "--no-binary", "vaderSentiment", "--require-hashes"]
        command = [sys.executable, "-m", "pip", *how, "--dest", folder, "--requirement", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not (Path(folder) / FILE).exists():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise WiseftError(
                f"pip could not fetch {FILE} ({last}): try again where the package index can be reached, or put that "
                f"file, of {PAGE}, at {path}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".tmp")  # beside its place: whole or not at all
        shutil.copyfile(Path(folder) / FILE, part)
        part.replace(path)
    return path


if __name__ == "__main__":
    try:
        print(fetch_ratings())
    except WiseftError as error:
        sys.exit(str(error))
