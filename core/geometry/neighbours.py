"""The nearest points of a cloud to each query, exactly."""

# B clouds, Q queries, N points, k neighbours.

import torch
from torch import Tensor

from ..errors import UsageError
from .backend import Backend, checked, uses_pytorch3d

# distances held at once: 256 MiB on a GPU, on a CPU what stays in its cache
_BLOCK_VALUES = (1 << 26, 1 << 17)


def nearest_neighbours(
    queries: Tensor, points: Tensor, k: int, *, backend: Backend = "auto"
) -> tuple[Tensor, Tensor]:
    """Squared distances and ids of the k nearest points, nearest first; equal ones in any order.

    Distances are sums of squared differences, not the expanded product, whose rounding would put
    a point at a small (or negative) distance from itself. Where a cloud has fewer than k points
    the nearest one is repeated.

    Args:
        queries: (B, Q, 3).
        points: (B, N, 3).
        k: how many.
        backend: what computes.

    Returns:
        (B, Q, k) float32 and (B, Q, k) int64; no gradient flows through them.

    Raises:
        UsageError: a cloud is empty, or no neighbour is asked for.

    Example:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]])
        >>> nearest_neighbours(line[:, :1], line, 2)[1]
        tensor([[[0, 1]]])
    """
    checked(queries, "queries")
    checked(points, "points")
    if k < 1:
        raise UsageError(f"{k} neighbours are asked for", "ask for at least 1")
    have = min(k, points.shape[1])
    find = _by_pytorch3d if uses_pytorch3d(backend, points) else _by_torch
    distances, ids = find(queries.detach().float(), points.detach().float(), have)
    if have < k:
        distances, ids = (_repeat_first(found, k) for found in (distances, ids))
    return distances, ids


def _repeat_first(found: Tensor, k: int) -> Tensor:
    extra = found[..., :1].expand(*found.shape[:-1], k - found.shape[-1])
    return torch.cat([found, extra], dim=-1)


def squared_distances(queries: Tensor, points: Tensor) -> Tensor:
    """(B, Q, N) sums of squared differences, differentiable."""
    total: Tensor | None = None
    for q, p in zip(queries.unbind(-1), points.unbind(-1), strict=True):
        square = (q[:, :, None] - p[:, None, :]).square()
        total = square if total is None else total + square
    assert total is not None  # noqa: S101 - there are three coordinates
    return total


@torch.no_grad()
def _by_torch(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    block = _BLOCK_VALUES[queries.device.type == "cpu"]
    n_points = points.shape[1]
    rows = max(1, block // n_points)
    clouds = max(1, rows // queries.shape[1])
    distances = queries.new_empty(*queries.shape[:2], k)
    ids = torch.empty(distances.shape, dtype=torch.int64, device=queries.device)
    for start in range(0, len(points), clouds):
        some = slice(start, start + clouds)
        among = points[some].transpose(1, 2).contiguous()
        for first in range(0, queries.shape[1], rows):
            part = slice(first, first + rows)
            near, which = _least(_squares(queries[some, part], among), k)
            distances[some, part], ids[some, part] = near, which
    return distances, ids


def _squares(queries: Tensor, points: Tensor) -> Tensor:
    """(B, Q, N) squared distances of (B, Q, 3) and (B, 3, N), with two buffers."""
    total = torch.sub(queries[:, :, :1], points[:, :1]).square_()
    other = torch.empty_like(total)
    for axis in (1, 2):
        torch.sub(queries[:, :, axis, None], points[:, axis, None], out=other)
        total.addcmul_(other, other)
    return total


def _least(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if k > 1:
        return distances.topk(k, dim=-1, largest=False)
    return distances.min(dim=-1, keepdim=True)


def _by_pytorch3d(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    from pytorch3d.ops import knn_points

    found = knn_points(queries, points, K=k, return_sorted=True)
    return found.dists, found.idx
