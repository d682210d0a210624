"""Pairs of face pictures, same person or not: what a verification benchmark compares."""

# N pairs, K pictures.

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.hashing import sha256_json
from ....core.modality import Source
from .pictures import Chosen


@dataclass(frozen=True, eq=False)
class FacePairs:
    """A list of pairs over the pictures of a source.

    Attributes:
        name: how a user calls it.
        source: the K pictures.
        first: (N,) int64 row of each pair's first picture.
        second: (N,) of its second picture.
        same: (N,) whether the pair is genuine.
        fold: (N,) int64 fold of each pair, from 0.
        origin: (N,) the data set that a pair's pictures come from, "" where the list names none.
        identities: (K,) who each picture shows, or None where the list does not say.
        template: that the pictures are aligned to; None where they are not aligned.
        absent: keys of pictures that the list names and that are not there.
    """

    name: str
    source: Source
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]
    origin: tuple[str, ...]
    identities: tuple[str, ...] | None
    template: str | None
    absent: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.same)

    def check_both_kinds(self) -> None:
        """Refuse a list that only says "same", or only "different".

        Raises:
            DataError: one kind is missing.
        """
        n_genuine = int(self.same.sum())
        if n_genuine in (0, len(self)):
            raise DataError(
                f"{self.name} holds {n_genuine} genuine and {len(self) - n_genuine} impostor pairs",
                "verification needs both: accepting everything (or nothing) would be right here",
            )

    @property
    def used(self) -> NDArray[np.int64]:
        """The rows of `source` that stand in a pair, rising."""
        return np.unique(np.concatenate([self.first, self.second]))

    def hash(self) -> str:
        """The sha256 of the list and of the pictures in it.

        Raises:
            DataError: a picture that is there cannot be read.
        """
        keys = self.source.keys
        there = [row for row in self.used.tolist() if keys[row] not in self.absent]
        rows = [
            [keys[a], keys[b], bool(same), int(fold), origin]
            for a, b, same, fold, origin in zip(
                self.first.tolist(), self.second.tolist(), self.same, self.fold, self.origin,
                strict=True,
            )
        ]  # fmt: skip
        return sha256_json({
            "pairs": rows, "identities": self.identities, "template": self.template,
            "pictures": Chosen(self.source, there).fingerprint(),
        })  # fmt: skip
