"""Farthest-point sampling (Eldar et al., 1997; Qi et al., 2017, PointNet++)."""

# B clouds, N points of each, S sampled.

import torch
from torch import Tensor

from ..errors import UsageError
from .backend import Backend, checked, uses_pytorch3d

_BLOCK = 32
_NEAR_ORIGIN = 1e-3  # squared norm, of the CUDA kernel of PointNet++


def take_points(values: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` (B, …) of `values` (B, N, C): (B, …, C).

    Example:
        >>> take_points(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[1, 0], [1, 1]]])).shape
        torch.Size([1, 2, 2, 1])
    """
    flat = ids.flatten(1)[:, :, None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).unflatten(1, ids.shape[1:])


def farthest_points(
    points: Tensor, count: int, *, skip_near_origin: bool = False, backend: Backend = "auto"
) -> Tensor:
    """Ids of points, each the farthest from those chosen before it; the first is point 0.

    Of equally far points the first is taken. Once every place is taken, as where a cloud has fewer
    points (or fewer different ones) than are asked for, the first point is taken again (with
    `skip_near_origin` the first of those that may be chosen).

    Args:
        points: (B, N, 3).
        count: S, how many.
        skip_near_origin: never choose points whose squared norm is at most 10⁻³, but for the
            first, as the CUDA kernel does that PointNet++ and its followers use.
        backend: pytorch3d knows no `skip_near_origin`, so torch computes that everywhere.

    Returns:
        (B, S) int64.

    Raises:
        UsageError: no points, or none asked for.

    Example:
        >>> line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [4, 0, 0], [2, 0, 0]]])
        >>> farthest_points(line, 3)
        tensor([[0, 2, 3]])
    """
    checked(points, "points")
    if count < 1:
        raise UsageError(f"{count} farthest points are asked for", "ask for at least 1")
    if not skip_near_origin and uses_pytorch3d(backend, points):
        return _by_pytorch3d(points, count)
    return _by_torch(points, count, skip_near_origin=skip_near_origin)


@torch.no_grad()
def _by_torch(points: Tensor, count: int, *, skip_near_origin: bool) -> Tensor:
    n_clouds, n_points, _ = points.shape
    # a row per coordinate: each of the S steps is then a few passes over (B, N) without a stride;
    # rows are filled up to whole blocks with points that are never chosen
    wide = -(-n_points // _BLOCK) * _BLOCK
    rows = torch.zeros(3, n_clouds, wide, device=points.device)
    rows[:, :, :n_points] = points.detach().permute(2, 0, 1)
    x, y, z = rows
    nearest = torch.full_like(x, torch.inf)
    nearest[:, n_points:] = -2.0
    if skip_near_origin:
        # below every distance, and it stays there
        nearest[(x * x + y * y + z * z <= _NEAR_ORIGIN) & (nearest > 0)] = -1.0
    chosen = torch.zeros(n_clouds, count, dtype=torch.int64, device=points.device)
    last = chosen[:, :1]
    distance, part = torch.empty_like(x), torch.empty_like(x)
    for step in range(1, count):
        torch.sub(x, x.gather(1, last), out=part)
        torch.mul(part, part, out=distance)
        for axis in (y, z):
            torch.sub(axis, axis.gather(1, last), out=part)
            distance.addcmul_(part, part)
        torch.minimum(nearest, distance, out=nearest)
        last = _first_largest(nearest)
        chosen[:, step : step + 1] = last
    return chosen


def _first_largest(values: Tensor) -> Tensor:
    """(B, 1) the first place of each row's largest value.

    On a CPU `amax` is vectorized and `argmax` is not, so it looks at blocks first.
    """
    if values.device.type != "cpu":
        return values.argmax(1, keepdim=True)
    blocks = values.unflatten(1, (-1, _BLOCK))
    block = blocks.amax(2).argmax(1, keepdim=True)
    inside = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0]
    return block * _BLOCK + inside.argmax(1, keepdim=True)


def _by_pytorch3d(points: Tensor, count: int) -> Tensor:
    from pytorch3d.ops import sample_farthest_points

    _, ids = sample_farthest_points(points.detach().float(), K=count, random_start_point=False)
    return ids.clamp_min(0)  # -1 where it ran out of points
