"""Rows of one width that are read in blocks: an array, or what is larger than the memory."""

# N rows, D width, n rows of a block.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import ValidationError

Metric = Literal["cosine", "dot", "l2"]
WIDE_ROWS = 4096  # held at once in float64


class Vectors(Protocol):
    """Rows of one width that are read in blocks."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""

    def blocks(self, n_rows: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """First row number and (n, D) rows, n <= `n_rows`, from the first to the last row."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Some rows (n, D), in the order asked for."""


@dataclass(frozen=True, eq=False)
class ArrayVectors:
    """The rows of an array, memory-mapped or not.

    Attributes:
        values: (N, D).
    """

    values: NDArray[np.floating]

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self.values.shape[0], self.values.shape[1]

    def blocks(self, n_rows: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Views of the rows."""
        for start in range(0, len(self.values), n_rows):
            yield start, self.values[start : start + n_rows]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Copies of some rows."""
        return self.values[rows]


def directions(
    rows: NDArray[np.floating], metric: Metric, what: str, numbers: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """Rows (n, D) as float64; of unit length for the cosine.

    Args:
        rows: the rows.
        metric: see `search`.
        what: what they are, for messages.
        numbers: their numbers, or the first one's.

    Raises:
        ValidationError: a row is not finite, or zero where a cosine is asked; names it.
    """
    wide = np.asarray(rows, dtype=np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    bad = ~np.isfinite(norms)
    if metric == "cosine":
        bad |= norms == 0
    if bad.any():
        place = int(np.argmax(bad))
        number = numbers + place if isinstance(numbers, int) else numbers[place]
        wanted = "a finite vector that is not zero" if metric == "cosine" else "a finite vector"
        raise ValidationError(
            f"{what} row {number}: expected {wanted}, got length {norms[place]}",
            "leave that sample out, or look at the model that made it",
        )
    return wide / norms[:, None] if metric == "cosine" else wide


def narrow_blocks(
    gallery: Vectors, metric: Metric, n_rows: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """First row and rows (n, D) float32 as FAISS reads them: checked, unit for the cosine."""
    for start, block in gallery.blocks(n_rows):
        narrow = np.empty(block.shape, dtype=np.float32)
        for first in range(0, len(block), WIDE_ROWS):
            part = slice(first, first + WIDE_ROWS)
            narrow[part] = directions(block[part], metric, "gallery", start + first)
        yield start, narrow
