"""ObjectNet: its 113 classes that ImageNet knows, by its own mapping files, its red border cut off.

Explained in notebook 11_use_real_clip.
"""

from pathlib import Path

from wiseft_nb.benchmarks.imagenet.classes import listed
from wiseft_nb.benchmarks.images import ImagesLater
from wiseft_nb.benchmarks.parts import read_json
from wiseft_nb.errors import WiseftError, reason

BORDER = 2  # pixels of red around every image, lest somebody trains on them


def read_objectnet(folder: Path, complete: bool = True) -> ImagesLater:
    """ObjectNet's images; a label is one of its classes, which stands for one or several of ImageNet's."""
    groups = read_mapping(folder / "mappings")
    if complete and len(groups) != 113:
        raise WiseftError(f"{folder / 'mappings'} maps {len(groups)} classes, expected 113: fetch ObjectNet again")
    absent = [name for name in groups if not (folder / "images" / name).is_dir()]
    if complete and absent:
        raise WiseftError(f"{folder / 'images'} lacks the classes {absent[:5]}: fetch ObjectNet again")

    present = [(label, folder / "images" / name) for label, name in enumerate(groups) if name not in absent]
    files = listed("ObjectNet's 113 classes", present, 18_574, complete)
    return ImagesLater(folder, files, class_groups=tuple(groups.values()), border=BORDER)


def read_mapping(folder: Path) -> dict[str, tuple[int, ...]]:
    """For each folder of images the ImageNet classes (0 to 999) it stands for, in the folders' order.

    ObjectNet's labels lead to ImageNet's texts, these to its numbers of 2012, these to the usual numbers.
    """
    try:
        label_of = read_json(folder / "folder_to_objectnet_label.json")
        texts_of = read_json(folder / "objectnet_to_imagenet_1k.json")
        id_of = read_json(folder / "pytorch_to_imagenet_2012_id.json")
        texts = (folder / "imagenet_to_label_2012_v2").read_text(encoding="utf-8-sig").splitlines()
        usual = {int(id_2012): int(number) for number, id_2012 in id_of.items()}
        number_of = {text.strip(): usual[i] for i, text in enumerate(texts)}
        return {
            name: tuple(number_of[text.strip()] for text in texts_of[label].split(";"))
            for name, label in sorted(label_of.items())
            if label in texts_of
        }
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WiseftError(
            f"{folder} does not hold ObjectNet's mapping files ({reason(error)}): copy them again"
        ) from error
