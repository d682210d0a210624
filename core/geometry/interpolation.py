"""Features between points: the inverse-distance mean of the nearest (Qi et al., 2017, eq. 2)."""

# B clouds, Q queries, N points, k neighbours, D width.

from torch import Tensor

from .backend import Backend
from .neighbours import nearest_neighbours
from .sampling import take_points

_EPS = 1e-8


def interpolate_nearest(
    queries: Tensor, points: Tensor, values: Tensor, k: int = 3, *, backend: Backend = "auto"
) -> Tensor:
    """(B, Q, D) values at queries: the mean of the k nearest points', weighted by 1 / (d² + 10⁻⁸).

    A query that is one of the points gets that point's value (to 10⁻⁸ over the squared distance
    of the next one). With fewer points than k, all of them are taken.

    Args:
        queries: (B, Q, 3).
        points: (B, N, 3).
        values: (B, N, D).
        k: how many.
        backend: what searches.
    """
    k = min(k, points.shape[1])
    distances, ids = nearest_neighbours(queries, points, k, backend=backend)
    weights = 1 / (distances + _EPS)
    weights = weights / weights.sum(-1, keepdim=True)
    return (take_points(values, ids) * weights[..., None].to(values.dtype)).sum(2)
