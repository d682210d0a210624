"""Precision, recall, density and coverage of generated features, by balls around neighbours.

A feature's ball reaches to its k-th nearest neighbour among its own set. Precision and recall are
those of Kynkäänniemi et al. (2019), density and coverage those of Naeem et al. (2020). They depend
on n (balls shrink as it grows), so both sets have the same, and so must those compared.
"""

# N features in each set, D width.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import checked_values

_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Manifold:
    """Where each feature lies; the four figures are the means of these.

    Attributes:
        precision: (N,) bool, of generated ones: inside a ball of a real one.
        density: (N,) of generated ones: in how many balls of real ones, divided by k.
        recall: (N,) bool, of real ones: inside a ball of a generated one.
        coverage: (N,) bool, of real ones: a generated one lies in the own ball.
    """

    precision: NDArray[np.bool_]
    density: NDArray[np.float64]
    recall: NDArray[np.bool_]
    coverage: NDArray[np.bool_]


def manifold(real: ArrayLike, generated: ArrayLike, k: int, k_density: int) -> Manifold:
    """Which features of two sets lie in each other's balls; a ball holds its border.

    Args:
        real: (N, D).
        generated: (N, D).
        k: of precision and recall (3 in the paper).
        k_density: of density and coverage (5 in the paper).

    Raises:
        ValidationError: bad rows, unequal shapes, or no more rows than k.
    """
    one, other = checked_values(real, "real", 2), checked_values(generated, "generated", 2)
    if one.shape != other.shape or len(one) <= max(k, k_density):
        raise ValidationError(
            f"precision and recall: expected equally many features of one width, more than "
            f"{max(k, k_density)}, got shapes {one.shape} and {other.shape}",
            "draw equally many from both sets",
        )
    middle = one.mean(axis=0)  # shorter vectors lose fewer digits in their products
    one, other = one - middle, other - middle
    balls = _radii(one, (k, k_density))
    own = _radii(other, (k,))[:, 0]
    inside = np.zeros((len(other), 2), dtype=np.int64)  # balls of real ones, of k and of k_density
    recall, coverage = np.zeros(len(one), bool), np.zeros(len(one), bool)
    for start in range(0, len(other), _ROWS):
        block = slice(start, start + _ROWS)
        apart = _squared(other[block], one)
        in_balls = apart[:, :, None] <= balls[None]
        inside[block] = in_balls.sum(axis=1)
        coverage |= in_balls[:, :, 1].any(axis=0)
        recall |= (apart <= own[block, None]).any(axis=0)
    return Manifold(inside[:, 0] > 0, inside[:, 1] / k_density, recall, coverage)


def _radii(features: NDArray[np.float64], ks: tuple[int, ...]) -> NDArray[np.float64]:
    """The squared distance (N, len(ks)) of each feature to its k-th neighbour in its own set."""
    radii = np.empty((len(features), len(ks)))
    for start in range(0, len(features), _ROWS):
        block = slice(start, start + _ROWS)
        apart = _squared(features[block], features)
        rows = np.arange(len(apart))
        apart[rows, start + rows] = -1  # itself, whatever rounding made of its zero
        radii[block] = np.partition(apart, ks, axis=1)[:, ks]
    return radii


def _squared(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances (n, N)."""
    lengths = np.einsum("nd,nd->n", rows, rows)[:, None] + np.einsum("nd,nd->n", others, others)
    return np.maximum(lengths - 2 * rows @ others.T, 0)
