"""A labelled set of faces as a judge sees it: vectors, hashes, looks and poses, each made once."""

# N pictures, K identities, D width, S side of the template.

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.hashing import sample_id
from ..core.metrics.duplicates import perceptual_hashes
from ..core.metrics.faces import identity_centres

if TYPE_CHECKING:
    from ..core.modality import Source
    from ..modalities.image.faces.attributes import Look
    from ..modalities.image.faces.embedders import Embedder
    from ..modalities.image.faces.points import PointsOf
    from .features import Features
    from .subjects import Extraction

ATTRIBUTES = ("brightness", "contrast", "sharpness")  # of `Look`
POSES = ("yaw", "pitch", "roll")


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures drawn of a set: as many of each identity.

    Attributes:
        rows: (n,) of the set, identity by identity.
        identities: (n,) their labels.
    """

    rows: NDArray[np.int64]
    identities: NDArray[np.int64]

    def first(self, n_pictures: int) -> "Sample":
        """The whole identities among the first n pictures, two at least."""
        per_identity = int((self.identities == self.identities[0]).sum())
        end = max(n_pictures // per_identity, 2) * per_identity
        return Sample(self.rows[:end], self.identities[:end])


class JudgedFaces:
    """A set and what a judge makes of its readable pictures.

    Args:
        name: how a user calls it.
        source: its pictures, aligned to the template.
        template: of the pictures.
        judge: the face net.
        extraction: how features are computed.
        owners: (N of the source,) whose each picture is, where the source has no labels.
    """

    def __init__(
        self,
        name: str,
        source: "Source",
        *,
        template: str,
        judge: "Embedder",
        extraction: "Extraction",
        owners: NDArray[np.int64] | None = None,
    ) -> None:
        self.name, self.source, self.template = name, source, template
        self._judge, self._extraction, self._owners = judge, extraction, owners
        self._looks: dict[int, Look] = {}
        self._poses: dict[int, NDArray[np.float64] | None] = {}

    def __len__(self) -> int:
        return len(self._features)

    @property
    def keys(self) -> tuple[str, ...]:
        """The pictures' names."""
        return self._features.keys

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(N, D) raw."""
        return self._features.values

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) whose each picture is."""
        return self._features.classes_of if self._owners is None else self._owners[self._places]

    @property
    def classes(self) -> tuple[str, ...]:
        """The identities' names, by label; () where they have none."""
        return tuple(self._features.classes)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(K,) how many pictures each identity has that has any."""
        return np.unique(self.labels, return_counts=True)[1]

    def centres(self, mean: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The identities' labels (K,), rising, and centres (K, D) less a mean vector."""
        labels, centres = identity_centres(self.vectors - mean, self.labels)
        order = np.argsort(labels)
        return labels[order], centres[order]

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """The picture (S, S, 3)."""
        from ..modalities.image.faces.aligned import AlignedFaces
        from ..modalities.image.faces.templates import template

        return AlignedFaces(self.source, template(self.template)).pixels(int(self._places[row]))

    @cached_property
    def hashes(self) -> tuple[NDArray[np.bytes_], NDArray[np.bool_]]:
        """The sha256 of each picture's pixels (N,), and its perceptual hash (N, 64)."""
        from ..modalities.image.faces.attributes import small_grey

        exact, coarse = [], []
        for row in range(len(self)):
            pixels = self.pixels(row)
            exact.append(hashlib.sha256(pixels.tobytes()).digest())
            coarse.append(perceptual_hashes(small_grey(pixels)[None])[0])
        return np.array(exact, dtype="S32"), np.stack(coarse)

    def looks(self, rows: Sequence[int]) -> "list[Look]":
        """Light, sharpness and the small grey picture of some pictures."""
        from ..modalities.image.faces.attributes import look_at

        for row in rows:
            if row not in self._looks:
                self._looks[row] = look_at(self.pixels(row))
        return [self._looks[row] for row in rows]

    def poses(self, rows: Sequence[int]) -> "list[NDArray[np.float64] | None]":
        """Yaw, pitch and roll (3,) of some pictures; None where MTCNN finds no face."""
        import torch

        from ..modalities.image.faces.attributes import poses

        for row in rows:
            if row not in self._poses:
                image = torch.from_numpy(self.pixels(row)).permute(2, 0, 1)[None]
                points, found = self._points_of(image.float().div(127.5).sub(1))
                self._poses[row] = poses(points.numpy())[0] if bool(found) else None
        return [self._poses[row] for row in rows]

    def order(self, key: str, images_per_identity: int) -> NDArray[np.int64]:
        """The labels of identities with so many pictures, in the order of a hash of their names.

        So who is drawn depends neither on the order of files nor on who else is there.
        """
        labels = np.unique(self.labels)[self.counts >= images_per_identity]
        return labels[np.argsort([sample_id(f"{key}/{self._called(i)}") for i in labels.tolist()])]

    def drawn(self, key: str, labels: NDArray[np.int64], images_per_identity: int) -> Sample:
        """So many pictures of each of some identities, in the order of a hash of their names."""
        rows = []
        for label in labels.tolist():
            own = np.flatnonzero(self.labels == label)
            ranks = [sample_id(f"{key}/{self.keys[row]}") for row in own.tolist()]
            rows.append(own[np.argsort(ranks)][:images_per_identity])
        return Sample(np.concatenate(rows), np.repeat(labels, images_per_identity))

    def _called(self, label: int) -> str:
        return self.classes[label] if self.classes else str(label)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """(N,) where each readable picture stands in the source."""
        place = {key: row for row, key in enumerate(self.source.keys)}
        return np.array([place[key] for key in self.keys], dtype=np.int64)

    @cached_property
    def _features(self) -> "Features":
        from .face_subjects import EmbedderSubject

        subject = EmbedderSubject(self._judge, self._extraction, {"template": self.template})
        found = subject.features(self.source)
        zero = ~found.values.any(axis=1)
        if zero.any():
            raise DataError(
                f"{self._judge.name} gives '{found.keys[int(np.argmax(zero))]}' a zero vector, "
                "which has no direction",
                "leave that picture out, or name another judge",
            )
        return found

    @cached_property
    def _points_of(self) -> "PointsOf":
        from ..modalities.image.faces.points import PointsOf

        return PointsOf(self.template)
