"""Galleries and queries: labelled vectors, in memory or on disk, of what a user names."""

# N samples, D width.

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.embeddings import Embeddings
from ..core.errors import DataError, ValidationError
from ..core.hashing import sample_id, sha256_json
from ..core.vectors import ArrayVectors, Vectors
from .features import Features
from .opening import open_data

if TYPE_CHECKING:
    from ..core.modality import Source
    from .subjects import Extraction, Subject

_CHANCE_WIDTH = 64


@dataclass(frozen=True, eq=False)
class GalleryTask:
    """What is searched, and for what.

    Attributes:
        name: how a user calls it.
        gallery: labelled samples.
        queries: labelled samples; None = those of the gallery, each sought among the others.
    """

    name: str
    gallery: "Source"
    queries: "Source | None"

    def hash(self) -> str:
        """The sha256 over the fingerprints of both."""
        queries = None if self.queries is None else self.queries.fingerprint()
        return sha256_json({"gallery": self.gallery.fingerprint(), "queries": queries})

    def labelled(self, subject: "Subject") -> tuple["Labelled", "Labelled | None"]:
        """What a subject, fitted to the gallery, makes of gallery and queries.

        Raises:
            DataError: no labels, no sample can be read, or one is not in the file.
            ValidationError: a vector is zero or not finite.
        """
        fitted = subject.fit(self.gallery)
        gallery = labelled_vectors(fitted, self.gallery)
        queries = self.queries
        return gallery, None if queries is None else labelled_vectors(fitted, queries)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Vectors and whose they are.

    Attributes:
        vectors: N rows, in memory or on disk.
        labels: (N,) int64.
        classes: names of the labels.
        keys_at: names of some rows.
    """

    vectors: Vectors
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    keys_at: Callable[[NDArray[np.int64]], list[str]]

    def __len__(self) -> int:
        return len(self.labels)


def open_galleries(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",  # noqa: ARG001 - as every protocol's opener
    train: str | None = None,
    test: str | None = None,
) -> tuple[GalleryTask, dict[str, Any]]:
    """The gallery and the queries that a user names, and the `data.` settings as they are.

    Args:
        text: something with a train split (the gallery) and a test split (the queries), or any
            one labelled source, or a .parquet file of embeddings.
        own: the `data.` settings.
        extraction: unused.
        train: the gallery, where it has a name of its own.
        test: the queries, likewise.

    Raises:
        UsageError: only one of `train` and `test` is given.
        DataError: there is no such data, or it has no labels.
    """
    if train is None and test is None and not _has_splits(text):
        return GalleryTask(Path(text).name, _source(text), None), dict(own)
    if train is not None and test is not None:
        name = f"{Path(train).name}, {Path(test).name}"
        return GalleryTask(name, _source(train), _source(test)), dict(own)
    task = open_data(text, train, test)
    return GalleryTask(task.name, task.train, task.test), dict(own)


def _has_splits(text: str) -> bool:
    from ..modalities.catalogue import CATALOGUE

    path = Path(text)
    splits = any((path / name).is_dir() for name in ("test", "val"))
    return text in CATALOGUE or path.suffix == ".npz" or (splits and (path / "train").is_dir())


def _source(text: str) -> "Source":
    from ..modalities.catalogue import resolve_data

    if Path(text).suffix == ".parquet":
        from .embedding_files import EmbeddingSource

        return EmbeddingSource(Embeddings(Path(text)))
    source = resolve_data(text)
    if source.labels is None:
        raise DataError(
            f"{text} does not say what its samples show, and this benchmark needs it",
            "make a folder per class or person, or name a file of embeddings with labels",
        )
    return source


def labelled_vectors(subject: "Subject", source: "Source") -> Labelled:
    """What a subject makes of a source: read from disk where both are one file of embeddings.

    The vectors of `chance` are random, drawn by each sample's name.

    Raises:
        DataError: no labels, no sample can be read, one is not in the file, or its vector there is
            zero.
        ValidationError: a vector is zero or not finite; names the sample.
    """
    from .embedding_files import EmbeddingSubject

    stored = subject.stored(source) if isinstance(subject, EmbeddingSubject) else None
    if stored is not None:
        _check_directions(stored)
        labels, classes = stored.identities()
        return Labelled(stored, labels, classes, stored.keys_at)
    if subject.kind == "chance":
        keys = tuple(source.keys)
        found = Features(drawn_vectors(keys), source.labels, keys, tuple(source.classes))
    else:
        found = subject.features(source)
    zero = ~found.values.any(axis=1)
    if zero.any():
        raise ValidationError(
            f"{subject.name} gives '{found.keys[int(np.argmax(zero))]}' a zero embedding, which "
            "has no direction",
            "leave that sample out, or look at the model",
        )
    names = np.array(found.keys, dtype=object)
    return Labelled(
        ArrayVectors(found.values), found.classes_of, found.classes,
        lambda rows: names[rows].tolist(),
    )  # fmt: skip


def _check_directions(stored: Embeddings) -> None:
    row = stored.zero_row()
    if row is not None:
        key = stored.keys_at(np.array([row]))[0]
        raise DataError(
            f"{stored.path} row {row} ('{key}'): expected an embedding that is not zero: it has no "
            "direction",
            "leave that sample out, or look at the model that made it",
        )


def drawn_vectors(keys: Sequence[str]) -> NDArray[np.float32]:
    """(N, 64) standard normal numbers, each row a function of its sample's name."""
    import torch

    from ..core.draws import Draws

    ids = torch.tensor([sample_id(key) for key in keys], dtype=torch.int64)
    drawn: NDArray[np.float32] = Draws(0, ids, stream="chance").normal(_CHANCE_WIDTH).numpy()
    return drawn
