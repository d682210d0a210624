"""Sources of pictures beside files: held in memory, some of another source, mirrored."""

# K pictures.

from collections.abc import Sequence

import numpy as np

from ....core.modality import Sample, Source
from ...fingerprints import fingerprint
from ..decoding import Encoded, Picture


class Pictures(Source):
    """Encoded pictures in memory, without labels.

    Args:
        name: how a user calls them.
        keys: of the pictures, in the order that they keep.
        contents: their bytes.
        template: that all of them are aligned to, or None.
    """

    def __init__(
        self,
        name: str,
        keys: Sequence[str],
        contents: Sequence[Encoded],
        template: str | None = None,
    ) -> None:
        self.name, self.keys, self.contents = name, tuple(keys), tuple(contents)
        self.template = template
        self.labels, self.classes = None, ()

    def read(self, index: int) -> Sample:
        """The picture's bytes, not yet decoded."""
        return Sample(self.keys[index], self.contents[index])

    def fingerprint(self) -> str:
        """The sha256 of all keys and bytes."""
        return fingerprint(self)


class Chosen(Source):
    """Some pictures of another source, without labels.

    Args:
        source: the other one.
        rows: its pictures, in the order that they keep.
        template: that all of them are aligned to, or None.
    """

    def __init__(self, source: Source, rows: Sequence[int], template: str | None = None) -> None:
        self.source, self.rows, self.template = source, tuple(rows), template
        self.name = source.name
        self.keys = tuple(source.keys[row] for row in rows)
        self.labels, self.classes = None, ()

    def read(self, index: int) -> Sample:
        """The other source's sample.

        Raises:
            DataError: its file is damaged; names the file.
        """
        sample = self.source.read(self.rows[index])
        return Sample(sample.key, sample.content)

    def fingerprint(self) -> str:
        """The sha256 of all keys and contents."""
        return fingerprint(self)


class Mirrored(Source):
    """Another source's pictures, left and right exchanged.

    Args:
        source: the other one.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.name, self.keys = source, source.name, source.keys
        self.labels, self.classes = source.labels, source.classes
        self.template: str | None = getattr(source, "template", None)

    def read(self, index: int) -> Sample:
        """The mirrored pixels (H, W, 3).

        Raises:
            DataError: the picture is damaged; names it.
        """
        sample = self.source.read(index)
        pixels = Picture(sample.content, sample.key).pixels()
        return Sample(sample.key, np.ascontiguousarray(pixels[:, ::-1]), sample.label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and mirrored pixels."""
        return fingerprint(self)
