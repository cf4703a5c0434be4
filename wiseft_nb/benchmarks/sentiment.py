"""The benchmark ``sentiment``: is a sentence negative or positive? Film reviews are the reference, three shifts.

Hutto and Gilbert (2014, ICWSM, "VADER") had some 23,700 snippets of four domains rated by twenty people each, from -4 to
4. Their ratings (MIT licence) lie in the source distribution of the package vaderSentiment; the wheel has none. The
file is fetched by ``python -m wiseft_nb.make.sentiment`` and is not shipped.

Explained in notebook 13_try_text.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wiseft_nb.benchmarks.base import Benchmark
from wiseft_nb.benchmarks.parts import choose_shifts, digest_of
from wiseft_nb.benchmarks.texts import Texts
from wiseft_nb.errors import WiseftError, reason

VERSION = "3.3.2"
FILE = f"vaderSentiment-{VERSION}.tar.gz"
DIGEST = "sha256:5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
FOLDER = "sentiment"  # below the data folder
PAGE = "https://github.com/cjhutto/vaderSentiment"
FETCH = "python -m wiseft_nb.make.sentiment"
INNER = f"vaderSentiment-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
FILES = {  # the reference first
    "films": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "editorials": "nytEditorialSnippets",
    "tweets": "tweets",
}
PHRASES = {  # a head is made of them, as CLIP's of prompts
    "negative": (
        "a negative review",
        "this is bad",
        "I hate it, it is terrible",
        "sad and disappointing",
        "an unhappy, angry message",
        "awful",
        "this makes me feel bad",
    ),
    "positive": (
        "a positive review",
        "this is good",
        "I love it, it is great",
        "happy and delightful",
        "a cheerful, pleased message",
        "wonderful",
        "this makes me feel good",
    ),
}
ABOUT = {
    "films": "snippets of film reviews (Rotten Tomatoes)",
    "products": "sentences of product reviews (Amazon)",
    "editorials": "sentences of editorials (New York Times)",
    "tweets": "tweets",
}
CLASSES = tuple(PHRASES)
CLEAR = 0.5  # a mean rating nearer to 0 says neither
TRAIN, VAL, TEST = 4000, 1000, 2000  # snippets, half of them of either class; of a test set at most


class Rated(NamedTuple):
    """A text, its class, and the number of the review or editorial that it comes from."""

    text: str
    label: int
    source: int


def load_sentiment_benchmark(root: Path, shifts: str | Sequence[str] | None = None, complete: bool = True) -> Benchmark:
    """Read the four domains from the archive, without unpacking it or running anything in it.

    Every set holds as many texts of either class, so that its accuracy is a balanced accuracy. Film snippets are split by
    the digest of their text: 4,000 train, 1,000 val, 2,000 test. A text that has stood before, but for capitals and
    punctuation, is left out wherever it stands again: no test text was trained on. Test texts stand in order of length,
    so that batches of them need little padding.

    Parameters
    ----------
    root : Path
        The data folder, which has ``sentiment/vaderSentiment-3.3.2.tar.gz``.
    shifts : str or sequence of str, optional
        Some of ``products``, ``editorials``, ``tweets``; by default all.
    complete : bool
        Whether to refuse a file with another digest than the official one.

    Raises
    ------
    WiseftError
        If the file is another than the official one, or damaged.

    Explained in notebook 13_try_text.
    """
    chosen, path = choose_shifts(list(FILES)[1:], shifts), archive_of(root)
    if not path.exists():
        raise WiseftError(f"the ratings are not on disk, there is no {path}: fetch them with {FETCH}")
    if complete and digest_of(path, DIGEST) != DIGEST:
        raise WiseftError(
            f"{path} is not the official file, its digest is another: delete it and fetch it with {FETCH}"
        )
    films, *others = (balanced(texts) for texts in distinct(read_domains(path)).values())
    tests = {name: as_texts(texts[:TEST]) for name, texts in zip(list(FILES)[1:], others, strict=True)}
    return Benchmark(
        "sentiment",
        CLASSES,
        ("{}",),
        train=as_texts(films[:TRAIN], by_length=False),
        val=as_texts(films[TRAIN : TRAIN + VAL]),
        reference=as_texts(films[TRAIN + VAL : TRAIN + VAL + TEST]),
        shifts={name: tests[name] for name in chosen},
        reference_name="films",
        about=dict(ABOUT),
        root=root,
    )


def archive_of(root: Path) -> Path:
    """Where the source distribution lies below the data folder."""
    return root / FOLDER / FILE


def read_domains(path: Path) -> dict[str, list[Rated]]:
    """The texts of each domain that most people found clearly negative or positive, in the file's order."""
    try:
        with tarfile.open(path) as outer, tarfile.open(fileobj=io.BytesIO(outer.extractfile(INNER).read())) as inner:
            read = {
                n: inner.extractfile(f"hutto_ICWSM_2014/{file}_GroundTruth.txt").read() for n, file in FILES.items()
            }
        return {name: list(rated(content.decode("utf-8"), i)) for i, (name, content) in enumerate(read.items())}
    except (OSError, tarfile.TarError, EOFError, KeyError, AttributeError, ValueError) as error:
        raise WiseftError(
            f"{path} cannot be read as {FILE} ({reason(error)}): delete it and fetch it with {FETCH}"
        ) from error


def rated(content: str, domain: int) -> Iterator[Rated]:
    """Lines ``number<tab>mean rating<tab>text``; sentences of one review are numbered 12_1, 12_2 and so on."""
    for line in content.splitlines():
        number, rating, text = line.split("\t", 2)
        if abs(float(rating)) >= CLEAR:
            yield Rated(text, int(float(rating) > 0), domain * 10**6 + int(number.partition("_")[0]))


def words_of(text: str) -> str:
    """A text without capitals and punctuation: by this copies are told."""
    return " ".join(re.findall(r"\w+", text.lower()))


def distinct(domains: dict[str, list[Rated]]) -> dict[str, list[Rated]]:
    """Each text once, where it stands first, the reference going before the shifts."""
    seen: set[str] = set()
    found = {}
    for name, texts in domains.items():
        found[name] = [t for t in texts if (words := words_of(t.text)) not in seen and not seen.add(words)]
    return found


def balanced(texts: list[Rated]) -> list[Rated]:
    """Negative and positive texts in turns, in the order of their digests, as many as there are of both."""
    order = sorted(texts, key=lambda t: hashlib.sha256(words_of(t.text).encode()).digest())
    both = zip(*([t for t in order if t.label == label] for label in range(len(CLASSES))), strict=False)
    return [text for pair in both for text in pair]


def as_texts(texts: list[Rated], by_length: bool = True) -> Texts:
    """As a dataset; in order of length if asked."""
    texts = sorted(texts, key=lambda t: len(t.text)) if by_length else texts
    return Texts([t.text for t in texts], [t.label for t in texts], np.array([t.source for t in texts]))
