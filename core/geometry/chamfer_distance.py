"""The Chamfer distance between clouds (Fan et al., 2017), differentiable on both sides."""

# B clouds, K predicted points, N target points.

import torch
from torch import Tensor

from .backend import Backend, uses_pytorch3d
from .neighbours import squared_distances

_BLOCK_VALUES = 1 << 21  # distances held at once, with their gradient


def chamfer(
    prediction: Tensor, target: Tensor, *, squared: bool = True, backend: Backend = "auto"
) -> Tensor:
    """The mean over clouds of `chamfer_per_cloud`, a scalar; the same arguments."""
    return chamfer_per_cloud(prediction, target, squared=squared, backend=backend).mean()


def chamfer_per_cloud(
    prediction: Tensor, target: Tensor, *, squared: bool = True, backend: Backend = "auto"
) -> Tensor:
    """(B,) both directed mean nearest distances, summed.

    Args:
        prediction: (B, K, 3) points.
        target: (B, N, 3) points.
        squared: squared Euclidean distances (the L2 form) or plain ones (the L1 form, halved).
        backend: what computes.

    Example:
        >>> chamfer_per_cloud(torch.zeros(1, 1, 3), torch.ones(1, 2, 3)).item()
        6.0
    """
    prediction, target = prediction.float(), target.float()
    there, back = nearest_squared(prediction, target, backend=backend)
    if not squared:
        # the root's slope at zero is infinite: a point that is met exactly would give NaN
        tiny = torch.finfo(torch.float32).tiny
        there, back = (there + tiny).sqrt(), (back + tiny).sqrt()
    both = there.mean(1) + back.mean(1)
    return both if squared else both / 2


def nearest_squared(
    first: Tensor, second: Tensor, *, backend: Backend = "auto"
) -> tuple[Tensor, Tensor]:
    """(B, K) and (B, N) squared distances to the nearest point of the other cloud.

    The gradient goes to the nearest points only, so large clouds are searched without one first.
    """
    if uses_pytorch3d(backend, first):
        from pytorch3d.ops import knn_points

        return (
            knn_points(first, second, K=1).dists[..., 0],
            knn_points(second, first, K=1).dists[..., 0],
        )
    if first.shape[1] * second.shape[1] * len(first) <= _BLOCK_VALUES:
        distances = squared_distances(first, second)
        return distances.amin(2), distances.amin(1)
    return _to_nearest(first, second), _to_nearest(second, first)


def _to_nearest(queries: Tensor, points: Tensor) -> Tensor:
    from .neighbours import nearest_neighbours
    from .sampling import take_points

    _, ids = nearest_neighbours(queries, points, 1, backend="torch")
    return (queries - take_points(points, ids[..., 0])).square().sum(-1)
