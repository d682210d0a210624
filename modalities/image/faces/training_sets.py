"""Labelled sets of faces made of others: some pictures of one, and several together."""

# N pictures, C identities.

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.modality import Sample, Source
from ...fingerprints import fingerprint
from .aligned import declared_template


class LabelledPart(Source):
    """Some pictures of a labelled source; identities without any are left out.

    Args:
        source: the whole.
        rows: its pictures, rising.
        name: how a user calls the part.
    """

    def __init__(self, source: Source, rows: NDArray[np.int64], name: str) -> None:
        labels = labels_of(source)[rows]
        kept, self.labels = np.unique(labels, return_inverse=True)
        self.source, self.rows, self.name = source, rows, name
        self.keys = tuple(source.keys[row] for row in rows.tolist())
        self.classes = tuple(source.classes[label] for label in kept.tolist())
        self.template = declared_template(source)

    def read(self, index: int) -> Sample:
        """The whole's sample, with the label that it has here.

        Raises:
            DataError: its file is damaged; names the file.
        """
        sample = self.source.read(int(self.rows[index]))
        return Sample(sample.key, sample.content, int(labels_of(self)[index]))

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and contents."""
        return fingerprint(self)


class Together(Source):
    """Several labelled sources as one; an identity of each stays an identity of its own.

    Args:
        sources: what is put together.
        name: how a user calls all.

    Raises:
        DataError: they declare different templates.
    """

    def __init__(self, sources: Sequence[Source], name: str) -> None:
        self.sources, self.name = tuple(sources), name
        self.template = _one_template(self.sources)
        starts = np.cumsum([0, *(len(source.classes) for source in sources)])
        labels = [labels_of(s) + start for s, start in zip(sources, starts, strict=False)]
        self.labels = np.concatenate(labels)
        numbered = list(enumerate(sources))
        # numbered, because two sets may use the same names
        self.keys = tuple(f"{number}/{key}" for number, s in numbered for key in s.keys)  # noqa: SIM118
        self.classes = tuple(f"{number}/{person}" for number, s in numbered for person in s.classes)
        self._ends = np.cumsum([len(source) for source in sources])

    def read(self, index: int) -> Sample:
        """The sample of the source that has it.

        Raises:
            DataError: its file is damaged; names the file.
        """
        number = int(np.searchsorted(self._ends, index, side="right"))
        own = self.sources[number]
        sample = own.read(index - int(self._ends[number]) + len(own))
        return Sample(self.keys[index], sample.content, int(labels_of(self)[index]))

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and contents."""
        return fingerprint(self)


def cut(source: Source, identities: int, pictures: int, name: str) -> LabelledPart:
    """The first identities of a source, and of each as many pictures as of any other, about.

    Every identity gives its first picture, then every one its second, until there are enough.

    Args:
        source: the whole.
        identities: how many are kept, at most.
        pictures: how many are kept in all.
        name: how a user calls the part.

    Raises:
        DataError: so few identities have fewer pictures.
    """
    labels = labels_of(source)
    kept = np.flatnonzero(np.isin(labels, np.unique(labels)[:identities]))
    order = np.argsort(labels[kept], kind="stable")
    grouped = labels[kept][order]
    turn = np.empty(len(kept), dtype=np.int64)  # which of its identity's pictures each is
    turn[order] = np.arange(len(kept)) - np.searchsorted(grouped, grouped)
    if len(kept) < pictures:
        raise DataError(
            f"{source.name} has {len(kept)} pictures of {min(identities, len(np.unique(labels)))} "
            f"identities, expected at least {pictures}",
            "make more pictures of each identity, or compare with a smaller set",
        )
    chosen = kept[np.lexsort((labels[kept], turn))[:pictures]]
    return LabelledPart(source, np.sort(chosen), name)


def labels_of(source: Source) -> NDArray[np.int64]:
    """The labels of a source.

    Raises:
        DataError: it has none.
    """
    if source.labels is None:
        raise DataError(
            f"{source.name} does not say whose faces it holds",
            "give a folder with a sub-folder per identity, or a synthesized set",
        )
    return source.labels


def _one_template(sources: Sequence[Source]) -> str | None:
    said = {t: s.name for s in sources if (t := declared_template(s)) is not None}
    if len(said) > 1:
        (one, first), (other, second) = list(said.items())[:2]
        raise DataError(
            f"{first} holds faces of the template '{one}', {second} of '{other}'",
            "prepare both with the same --template",
        )
    return next(iter(said), None)
