"""Where ImageNet and its shifts come from: files, sizes, checksums, licences.

Sizes are those the pages state, rounded. MD5s of R and A as in pytorch's community loaders
(ENSTA-U2IS-AI/torch-uncertainty, ``datasets/imagenet``).

Explained in notebook 11_use_real_clip.
"""

from wiseft_nb.benchmarks.parts import Part, Source

IMAGENET_PAGE = "https://www.image-net.org/download.php"
IMAGENET_LICENCE = "non-commercial research, asks for an account"
VID_ROBUST_FOLDER = "imagenet_vid_ytbb_robust/imagenet-vid-robust"
YTBB_ROBUST_FOLDER = "imagenet_vid_ytbb_robust/ytbb-robust"

TRAIN = Part("train", ("imagenet/train",), 147_900_000_000, IMAGENET_PAGE, IMAGENET_LICENCE)
VAL = Part("imagenet", ("imagenet/val",), 6_700_000_000, IMAGENET_PAGE, IMAGENET_LICENCE)
V2 = Part(
    "v2",
    ("imagenetv2-matched-frequency-format-val",),
    1_260_000_000,
    "https://github.com/modestyachts/ImageNetV2",
    "MIT (the code); images as on Flickr",
)
SKETCH = Part("sketch", ("sketch",), 7_000_000_000, "https://github.com/HaohanWang/ImageNet-Sketch", "MIT")
OBJECTNET = Part(
    "objectnet",
    ("objectnet-1.0/images", "objectnet-1.0/mappings"),
    206_000_000_000,
    "https://objectnet.dev",
    "CC BY 4.0, and never to train on",
)
VID_ROBUST = Part(
    "vid-robust",
    tuple(f"{VID_ROBUST_FOLDER}/{name}" for name in ("val", "metadata/pmsets.json", "metadata/labels.json")),
    9_000_000_000,
    "https://github.com/modestyachts/robust-vid",
    "as ImageNet",
)
YTBB_ROBUST = Part(
    "ytbb-robust",
    (f"{YTBB_ROBUST_FOLDER}/ytbb_videos", f"{YTBB_ROBUST_FOLDER}/metadata"),
    9_000_000_000,
    "https://github.com/modestyachts/robust-vid",
    "as YouTube-BoundingBoxes",
)


def hendrycks(name: str, folder: str, size: int, md5: str, page: str) -> Part:
    """ImageNet-R or -A, each one tar."""
    url = f"https://people.eecs.berkeley.edu/~hendrycks/{folder}.tar"
    source = Source(url, f"{folder}.tar", size, f"md5:{md5}", unpack="")
    return Part(name, (folder,), size, page, "MIT", (source,))


R = hendrycks(
    "r", "imagenet-r", 2_190_000_000, "a61312130a589d0ca1a8fca1f2bd3337", "https://github.com/hendrycks/imagenet-r"
)
A = hendrycks(
    "a",
    "imagenet-a",
    690_000_000,
    "c3e55429088dc681f30d81f4726b6595",
    "https://github.com/hendrycks/natural-adv-examples",
)
