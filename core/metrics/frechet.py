"""The Fréchet distance between the Gaussians of two sets of features, as FID is one.

‖μ₁ - μ₂‖² + Tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) (Dowson and Landau, 1982; Heusel et al., 2017). The trace of
the root is the sum of the singular values of R₁ R₂ᵀ, where Σ = RᵀR: no covariance is squared and
no root of a tiny or negative eigenvalue is drawn, so it holds for fewer rows than columns, too.

At small n the distance of two samples of one distribution is far from 0 (about as many more as the
features have directions), so only distances at equal n are comparable (Chong and Forsyth, 2020).
"""

# N and M rows, D width, r = the smaller rank.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import checked_values


@dataclass(frozen=True, eq=False)
class Frechet:
    """The parts of a Fréchet distance.

    Attributes:
        mean: ‖μ₁ - μ₂‖².
        first: Tr Σ₁.
        second: Tr Σ₂.
        shared: (r,) the singular values whose sum is Tr (Σ₁ Σ₂)^½, falling.
    """

    mean: float
    first: float
    second: float
    shared: NDArray[np.float64]

    @property
    def distance(self) -> float:
        """The distance; never below 0, which rounding could make of equal sets."""
        return max(0.0, self.mean + self.first + self.second - 2 * float(self.shared.sum()))


def frechet(first: ArrayLike, second: ArrayLike) -> Frechet:
    """The Fréchet distance of two sets of features, in squared units of the features.

    Covariances are the unbiased ones (n - 1), as in the published code of FID.

    Args:
        first: (N, D), N >= 2.
        second: (M, D), M >= 2.

    Raises:
        ValidationError: bad rows, unequal widths, or fewer than two rows.

    Example:
        >>> found = frechet([[0.0], [2.0]], [[5.0], [9.0]])  # means 1 and 7, deviations √2 and √8
        >>> round(found.distance, 9)
        38.0
    """
    one, other = checked_values(first, "first", 2), checked_values(second, "second", 2)
    if one.shape[1] != other.shape[1] or min(len(one), len(other)) < 2:
        raise ValidationError(
            f"Fréchet distance: expected two rows or more of one width, got shapes {one.shape} "
            f"and {other.shape}",
            "take both with the same net, of two pictures at least",
        )
    apart = one.mean(axis=0) - other.mean(axis=0)
    root, rest = _root(one), _root(other)
    return Frechet(
        mean=float(apart @ apart),
        first=float((root**2).sum()),
        second=float((rest**2).sum()),
        shared=np.asarray(np.linalg.svd(root @ rest.T, compute_uv=False), np.float64),
    )


def _root(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """R (min(N, D), D) with RᵀR = the covariance of the rows."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64)
