"""How many identities of a set differ from all earlier ones, at one bound or along a whole curve.

Each identity's largest cosine with an earlier one says it all: at any bound τ the unique ones are
those whose cosine is <= τ, and among the first n identities as many as among the first n cosines.
"""

# K identities, D width.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cosines import NOTHING, earlier_tiles, exact_cosine, rounding_margin, unit_rows

NO_EARLIER = -1.0  # the first identity's: below every bound


@dataclass(frozen=True)
class Separability:
    """How many identities differ from all earlier ones.

    Attributes:
        n: numbers of first identities looked at.
        unique: how many among them are unique.
    """

    n: tuple[int, ...]
    unique: tuple[int, ...]

    @property
    def share(self) -> float:
        """The unique share of all identities."""
        return self.unique[-1] / self.n[-1]


def nearest_earlier(centres: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each identity's largest cosine with an earlier one, right to 1e-14: (K,); the first's is -1.

    Args:
        centres: (K, D) float32 mean features.

    Raises:
        ValidationError: a bad row.

    Example:
        >>> nearest_earlier(np.float32([[1, 0], [0, 1], [3, 4]])).tolist()
        [-1.0, 0.0, 0.8]
    """
    unit, margin = unit_rows(centres, "centres"), rounding_margin(centres.shape[1])
    best = np.full(len(unit), -np.inf)
    for rows, earlier, tile in earlier_tiles(unit):
        top = tile.max(axis=1)
        some = top > (NO_EARLIER + NOTHING) / 2
        for row in np.flatnonzero(some & (top >= best[rows] - margin)):
            near = np.flatnonzero(tile[row] >= top[row] - 2 * margin)
            value = _largest(centres[rows][row], centres[earlier][near])
            best[rows.start + row] = max(best[rows.start + row], value)
    return np.maximum(best, NO_EARLIER)


def _largest(vector: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """The largest cosine of a vector (D,) with others (M, D)."""
    wide = others.astype(np.float64)
    products = wide @ vector.astype(np.float64) / np.sqrt(np.einsum("md,md->m", wide, wide))
    return exact_cosine(vector, others[int(np.argmax(products))])


def unique_identities(centres: NDArray[np.float32], tau: float = 0.4) -> NDArray[np.bool_]:
    """Whether each identity's cosine with every earlier one is <= tau: (K,).

    The earlier ones count even where they are not unique themselves, so the order matters
    (official code of Vec2Face).

    Args:
        centres: (K, D) float32 mean raw features.
        tau: the official bound is 0.4.

    Raises:
        ValidationError: a bad row.
    """
    return nearest_earlier(centres) <= tau


def separability(centres: NDArray[np.float32], tau: float = 0.4, step: int = 1000) -> Separability:
    """The unique count among the first n identities, n in steps (Wu et al., 2025).

    Example:
        >>> separability(np.float32([[1, 0], [0, 1], [1, 0.1]]), step=2)
        Separability(n=(2, 3), unique=(2, 2))
    """
    return counted(nearest_earlier(centres), tau, steps(len(centres), step))


def steps(n_identities: int, step: int) -> tuple[int, ...]:
    """step, 2 step, … and the number itself.

    Example:
        >>> steps(5, 2)
        (2, 4, 5)
    """
    return (*range(step, n_identities, step), n_identities)


def counted(nearest: NDArray[np.float64], tau: float, ends: Sequence[int]) -> Separability:
    """The unique count among the first n identities, from what `nearest_earlier` gives."""
    counts = np.cumsum(nearest <= tau)
    return Separability(tuple(ends), tuple(int(counts[end - 1]) for end in ends))
