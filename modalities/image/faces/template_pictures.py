"""The pictures of a template list, aligned by the landmarks that the list gives."""

# K pictures, S side of the template.

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.modality import Sample, Source
from ...fingerprints import fingerprint
from ..decoding import Encoded, Picture
from .alignment import align
from .templates import template as named


class ListedPictures(Source):
    """The pictures that a list names, in its order, without labels.

    Args:
        name: how a user calls the list.
        root: the folder that holds the pictures.
        images: K file names relative to it.
        points: (K, 5, 2) landmarks by which each is aligned, or None.
        template: that they are aligned to, now or already; None = nobody says.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        images: tuple[str, ...],
        points: NDArray[np.float64] | None,
        template: str | None,
    ) -> None:
        self.name, self.root, self.images, self.points = name, root, images, points
        self.template = template
        self.keys = images
        self.labels, self.classes = None, ()

    def read(self, index: int) -> Sample:
        """The aligned pixels (S, S, 3), or the file's bytes where it is aligned already.

        Raises:
            DataError: the file is missing or damaged; names it.
        """
        path = self.root / self.images[index]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"cannot read {path}: {error.strerror}",
                "name the pictures' folder with --set data.root=FOLDER",
            ) from error
        content = Encoded(str(path), data)
        if self.points is None or self.template is None:
            return Sample(self.keys[index], content)
        pixels = Picture(content, self.keys[index]).pixels()
        return Sample(self.keys[index], align(pixels, self.points[index], named(self.template)))

    def fingerprint(self) -> str:
        """The sha256 of all keys and contents."""
        return fingerprint(self)
