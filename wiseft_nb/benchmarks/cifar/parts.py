"""Where CIFAR-10 and its shifts come from: files, sizes, checksums, licences.

Checksums: torchvision's ``datasets/cifar.py`` and ``datasets/stl10.py``; for CIFAR-10.1 and sizes tensorflow/datasets,
``url_checksums``; Zenodo's record for CIFAR-10-C.

Explained in notebook 11_use_real_clip.
"""

from dataclasses import replace

from wiseft_nb.benchmarks.parts import Part, Source

NO_LICENCE = "none stated, for research"
BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_ARCHIVE = Source(
    CIFAR10_URL, "cifar-10-python.tar.gz", 170_498_071, "md5:c58f30108f718f92721af3b95e74349a", unpack=""
)
CIFAR10 = Part(
    name="cifar10",
    files=tuple(f"cifar-10-batches-py/{name}" for name in BATCHES),
    bytes=CIFAR10_ARCHIVE.bytes,
    page="https://www.cs.toronto.edu/~kriz/cifar.html",
    licence=NO_LICENCE,
    sources=(CIFAR10_ARCHIVE,),
    digests={f"cifar-10-batches-py/{name}": f"md5:{digest}" for name, digest in BATCHES.items()},
)
CIFAR10_BINARY = Part(  # taken where it is there; what is downloaded is the python version
    name="cifar10",
    files=tuple(
        f"cifar-10-batches-bin/{name}"
        for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt")
    ),
    bytes=170_052_171,
    page=CIFAR10.page,
    licence=NO_LICENCE,
)

CIFAR10_1_FILES = {  # bytes and SHA-256 of data and labels
    "v4": (
        (6_208_640, "5aaedc268df8f4cffca2ac0cf9e608ae1897a8cddb630c7a850a2ea8f6558e75"),
        (8_212, "1f9544300ded199539b6662364ce7fe6c2e1ea9f87408f06db4b1a6184cffb18"),
    ),
    "v6": (
        (6_144_128, "2997188e5816f5bd545dc77771b6227828c28146049fcecf3fa10775474cacc6"),
        (8_128, "ae40beda001693674edc94d925ee8268cfe68905f8f9aff800c8dcdfcd6c9448"),
    ),
}


def cifar10_1(version: str, folder: str) -> Part:
    """CIFAR-10.1 below ``folder``."""
    page = "https://github.com/modestyachts/CIFAR-10.1"
    sources = []
    for kind, (size, digest) in zip(("data", "labels"), CIFAR10_1_FILES[version], strict=True):
        name = f"cifar10.1_{version}_{kind}.npy"
        sources.append(Source(f"{page}/raw/master/datasets/{name}", f"{folder}/{name}", size, f"sha256:{digest}"))
    return Part(
        name=f"cifar10.1-{version}",
        files=tuple(source.path for source in sources),
        bytes=sum(source.bytes for source in sources),
        page=page,
        licence="MIT",
        sources=tuple(sources),
        digests={source.path: source.digest for source in sources},
    )


# as a clone of the repository has it, and as WiSE-FT's own code does
CIFAR10_1 = {
    version: (cifar10_1(version, "CIFAR-10.1/datasets"), cifar10_1(version, "CIFAR-10.1")) for version in ("v4", "v6")
}

# One third party's word for size and digest, of the file at this commit: its repository gives none
CIFAR10_2_FILE = Source(
    "https://github.com/modestyachts/cifar-10.2/raw/521467a52ad494b78ff9c70051099c0d9ba74d40/cifar102_test.npz",
    "cifar-10.2/cifar102_test.npz",
    6_393_664,
    "sha256:e4fd6462bd5141ed293acd52ea570952f65d1bfd4ec9b068f87742f75a7a632e",
)
CIFAR10_2_CLONE = Part(
    name="cifar10.2",
    files=(CIFAR10_2_FILE.path,),
    bytes=CIFAR10_2_FILE.bytes,
    page="https://github.com/modestyachts/cifar-10.2",
    licence=NO_LICENCE,
    sources=(CIFAR10_2_FILE,),
    digests={CIFAR10_2_FILE.path: CIFAR10_2_FILE.digest},
)
CIFAR10_2 = (
    CIFAR10_2_CLONE,
    *(  # also as a pickled .npy, and in the folder of WiSE-FT's own code
        replace(CIFAR10_2_CLONE, files=(file,), digests={file: CIFAR10_2_FILE.digest} if file.endswith("z") else {})
        for file in ("CIFAR-10.2/cifar102_test.npz", "cifar-10.2/cifar102_test.npy", "CIFAR-10.2/cifar102_test.npy")
    ),
)

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
MORE_CORRUPTIONS = ("gaussian_blur", "saturate", "spatter", "speckle_noise")  # for validation, say its authors
CIFAR10_C_ARCHIVE = Source(
    "https://zenodo.org/records/2535967/files/CIFAR-10-C.tar",
    "CIFAR-10-C.tar",
    2_918_471_680,
    "md5:56bf5dcef84df0e2308c6dcbcbbd8499",
    unpack="",
)
CIFAR10_C = Part(
    name="cifar10-c",
    files=tuple(f"CIFAR-10-C/{name}.npy" for name in ("labels", *CORRUPTIONS)),
    bytes=CIFAR10_C_ARCHIVE.bytes,
    page="https://zenodo.org/records/2535967",
    licence="CC BY 4.0",
    sources=(CIFAR10_C_ARCHIVE,),
)


def cifar10_c(corruption: str) -> Part:
    """What one corruption needs, for those who keep only some."""
    return replace(CIFAR10_C, files=("CIFAR-10-C/labels.npy", f"CIFAR-10-C/{corruption}.npy"))


STL10_ARCHIVE = Source(
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    "stl10_binary.tar.gz",
    2_640_397_119,
    "md5:91f7769df0f17e558f3565bffb0c7dfb",
    unpack="",
)
STL10 = Part(
    name="stl10",
    files=("stl10_binary/test_X.bin", "stl10_binary/test_y.bin", "stl10_binary/class_names.txt"),
    bytes=STL10_ARCHIVE.bytes,
    page="https://cs.stanford.edu/~acoates/stl10/",
    licence=NO_LICENCE,
    sources=(STL10_ARCHIVE,),
    digests={
        "stl10_binary/test_X.bin": "md5:7f263ba9f9e0b06b93213547f721ac82",
        "stl10_binary/test_y.bin": "md5:36f9794fa4beb8a2c72628de14fa638e",
    },
)
