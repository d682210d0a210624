"""Exact statements about cosines at the speed of float32 products.

Rows are normalised and multiplied in float32 (BLAS); `rounding_margin` bounds what that can be
wrong by, whatever the order of summation. Only pairs within that margin of a decision are looked
at again, by `exact_cosine`. So a statement such as "no pair reaches 0.3" is not a float32 guess.
"""

# N, M rows, D width.

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ValidationError

_UNIT = 2.0**-24  # the rounding of one float32 operation
_ROWS = 1024  # of a tile: 1024 × 1024 float32 stay in the cache while they are looked at
_WIDE_ROWS = 4096  # normalised at once in float64
NOTHING = -2.0  # below every cosine: the largest of none


def unit_rows(vectors: NDArray[np.floating], name: str = "vectors") -> NDArray[np.float32]:
    """The rows (N, D) divided by their norms, each value within 2^-24 of the true one, relatively.

    Raises:
        ValidationError: not two-dimensional, or a row is zero or not finite; names it.
    """
    if vectors.ndim != 2:
        raise ValidationError(f"{name}: expected shape (rows, width), got {vectors.shape}")
    unit = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), _WIDE_ROWS):
        wide = np.asarray(vectors[start : start + _WIDE_ROWS], dtype=np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        bad = ~(np.isfinite(norms) & (norms > 0))
        if bad.any():
            row = int(np.argmax(bad))
            raise ValidationError(
                f"{name} row {start + row}: expected a finite vector that is not zero, "
                f"got norm {norms[row]}",
                "look at what produced it; a cosine needs a direction",
            )
        unit[start : start + len(wide)] = wide / norms[:, None]
    return unit


def rounding_margin(width: int) -> float:
    """How far a float32 product of two `unit_rows` can lie from their vectors' true cosine.

    A sum of D products in any order, fused or not, is wrong by at most γ = D u / (1 - D u) times
    the norms (Higham, 2002, section 3.1); the rounding of the two unit rows adds 2 u, that of the
    number compared with it u, and one u more covers the products of these.

    Example:
        >>> f"{rounding_margin(512):.1e}"
        '3.1e-05'
    """
    terms = (width + 4) * _UNIT
    return terms / (1 - terms)


def exact_cosine(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The cosine of two float32 vectors (D,), right to a few units of 2^-53.

    The product of two float32 numbers is exact in float64 and `fsum` rounds once, so the result
    depends on neither the machine nor its libraries.

    Example:
        >>> exact_cosine(np.float32([3, 4]), np.float32([4, 3]))
        0.96
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    dot, square, other = (math.fsum((x * y).tolist()) for x, y in ((a, b), (a, a), (b, b)))
    return dot / math.sqrt(square * other)


def reaches(
    vector: NDArray[np.floating],
    others: NDArray[np.floating],
    cosines: NDArray[np.float32],
    tau: float,
) -> bool:
    """Whether a vector's cosine with any of the others is >= tau, exactly.

    Args:
        vector: (D,) float32.
        others: (M, D) float32.
        cosines: (M,) their float32 products as unit rows.
        tau: the bound.
    """
    margin = rounding_margin(len(vector))
    if (cosines >= tau + margin).any():
        return True
    near = np.flatnonzero(cosines >= tau - margin)
    return any(exact_cosine(vector, others[row]) >= tau for row in near)


def earlier_tiles(
    unit: NDArray[np.float32],
) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """The products of all pairs (row, earlier row), tile by tile.

    Yields:
        Rows, earlier rows, and their products (R, E) float32; entries that are no such pair (the
        diagonal and above) hold `NOTHING`. A row's tiles come together and in order.
    """
    for start in range(0, len(unit), _ROWS):
        rows = slice(start, min(start + _ROWS, len(unit)))
        for first in range(0, rows.stop, _ROWS):
            earlier = slice(first, min(first + _ROWS, rows.stop))
            tile = unit[rows] @ unit[earlier].T
            if first == start:
                np.copyto(tile, NOTHING, where=np.triu(np.ones(tile.shape, dtype=bool)))
            yield rows, earlier, tile


def largest_earlier(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest float32 product of each row with an earlier row: (N,); the first's is -2."""
    top = np.full(len(unit), NOTHING, dtype=np.float32)
    for rows, _, tile in earlier_tiles(unit):
        np.maximum(top[rows], tile.max(axis=1), out=top[rows])
    return top


@dataclass(frozen=True)
class MaxCosine:
    """The largest cosine of all pairs.

    Attributes:
        value: as `exact_cosine` gives it.
        first: the smaller row number; of equal pairs the first.
        second: the larger row number.
    """

    value: float
    first: int
    second: int


def max_cosine(vectors: NDArray[np.float32]) -> MaxCosine:
    """The largest cosine among the rows (N, D), N >= 2, over every pair.

    Raises:
        ValidationError: fewer than two rows, or a bad one.

    Example:
        >>> max_cosine(np.float32([[1, 0], [0, 1], [3, 4]]))
        MaxCosine(value=0.8, first=1, second=2)
    """
    unit = unit_rows(vectors)
    return max_from_largest(vectors, unit, largest_earlier(unit))


def max_from_largest(
    vectors: NDArray[np.float32], unit: NDArray[np.float32], largest: NDArray[np.float32]
) -> MaxCosine:
    """The same, from what `largest_earlier` gives: only rows that can hold the largest are seen.

    Raises:
        ValidationError: fewer than two rows.
    """
    if len(vectors) < 2:
        raise ValidationError(f"vectors: expected at least two rows, got {len(vectors)}")
    # both the largest and its rival may be off by the margin, each in its own direction
    floor = float(largest.max()) - 2 * rounding_margin(vectors.shape[1])
    best = MaxCosine(-math.inf, 0, 0)
    for row in np.flatnonzero(largest >= floor).tolist():
        for other in np.flatnonzero(unit[:row] @ unit[row] >= floor).tolist():
            value = exact_cosine(vectors[row], vectors[other])
            if value > best.value:
                best = MaxCosine(value, other, row)
    return best
