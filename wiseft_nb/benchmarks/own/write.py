"""Images of a benchmark -> a folder of PNG files, laid out as a benchmark of your own.

Explained in notebook 11_use_real_clip.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from wiseft_nb.benchmarks.base import ImageSet
from wiseft_nb.errors import WiseftError


def write_folder(
    folder: str | Path, parts: Mapping[str, ImageSet], class_names: Sequence[str], images: int = 60
) -> Path:
    """Write the first images of each part as ``folder/PART/CLASS/NUMBER.png``.

    Parameters
    ----------
    folder : str or Path
        Emptied first. It must not hold anything but such folders of PNG files.
    parts : mapping of str to ImageSet
        Name below the folder, such as ``"train"``, ``"test"`` or ``"shifts/fog"`` -> images.
    class_names : sequence of str
        Of the labels 0, 1, 2, ...; they become names of folders.
    images : int
        Of each part.

    Returns
    -------
    Path
        The folder, for ``load_benchmark``.

    Raises
    ------
    WiseftError
        If the folder holds files that are no PNG: they are not deleted.

    Explained in notebook 11_use_real_clip.
    """
    folder = Path(folder)
    other = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png"]
    if other:
        raise WiseftError(f"{folder} holds {other[0].name}, which is no PNG file: name a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    for part, data in parts.items():
        for i in range(min(images, len(data))):
            image, label = data[i]
            place = folder / part / class_names[label]
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{i}.png")
    return folder
