"""Texts in memory with their labels: what ``ImageSet`` is for images.

Explained in notebook 13_try_text.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Dataset

from wiseft_nb.engine.cache import fingerprint
from wiseft_nb.errors import WiseftError


class Texts(Dataset):
    """Texts in memory that yield ``(str, label)``.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence of int
        One a text.
    source : sequence of int, optional
        The number of what each text was taken from. Sentences of one review share it, and intervals of means draw
        them together.

    Raises
    ------
    WiseftError
        If their numbers differ, or something is no text.

    Explained in notebook 13_try_text.
    """

    in_memory = True  # worker processes would cost more than they save

    def __init__(self, texts: Sequence[str], labels: Sequence[int], source: Sequence[int] | None = None):
        self.texts, self.labels = list(texts), np.asarray(labels, np.int64)
        self.source = None if source is None else np.asarray(source, np.int64)
        for what in (self.labels, self.source):
            if what is not None and what.shape != (len(self.texts),):
                raise WiseftError(f"{len(self.texts)} texts but labels or sources {what.shape}: give one a text")
        odd = next((text for text in self.texts if not isinstance(text, str)), None)
        if odd is not None:
            raise WiseftError(f"{odd!r} is a {type(odd).__name__}, no text: give a list of str")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], int(self.labels[index])

    def subset(self, indices: Sequence[int] | np.ndarray | slice) -> "Texts":
        """The texts at ``indices``, in that order."""
        rows = np.arange(len(self))[indices]
        source = None if self.source is None else self.source[rows]
        return Texts([self.texts[i] for i in rows], self.labels[rows], source)

    def content(self) -> Iterator[bytes]:
        """What the samples are, for the cache."""
        yield fingerprint(self.texts, self.labels).encode()
