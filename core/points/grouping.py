"""Groups of points: farthest centres and their neighbours, level upon level."""

# B clouds, N points, G groups of a level, k neighbours of a centre.

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..geometry import farthest_points, nearest_neighbours, take_points


@dataclass(frozen=True)
class Groups:
    """The groups of one level.

    Attributes:
        centres: (B, G, 3), points of the level below (of the cloud, at the lowest level).
        ids: (B, G, k) int64, the neighbours of each centre among those points, nearest first; the
            centre itself is the first.
        points: (B, G, k, 3) the neighbours' coordinates.
    """

    centres: Tensor
    ids: Tensor
    points: Tensor

    @property
    def relative(self) -> Tensor:
        """(B, G, k, 3) the neighbours' coordinates from their centre."""
        return self.points - self.centres[:, :, None]

    @property
    def count(self) -> int:
        """G."""
        return self.centres.shape[1]


def grouped(points: Tensor, count: int, size: int, *, skip_near_origin: bool = False) -> Groups:
    """The groups of a cloud (Qi et al., 2017, PointNet++ §3.2, with kNN for the ball).

    With fewer points than groups, groups around point 0 are repeated; with fewer than neighbours,
    the nearest point (see `core.geometry`).

    Args:
        points: (B, N, 3).
        count: G.
        size: k.
        skip_near_origin: see `farthest_points`.
    """
    ids = farthest_points(points, count, skip_near_origin=skip_near_origin)
    centres = take_points(points, ids)
    _, near = nearest_neighbours(centres, points, size)
    return Groups(centres, near, take_points(points, near))


def hierarchy(
    points: Tensor, counts: Sequence[int], sizes: Sequence[int], *, skip_near_origin: bool = False
) -> tuple[Groups, ...]:
    """Groups of points, groups of their centres, …: fine to coarse.

    Args:
        points: (B, N, 3).
        counts: groups of each level.
        sizes: neighbours in a group of each level.
        skip_near_origin: see `farthest_points`.
    """
    levels: list[Groups] = []
    for count, size in zip(counts, sizes, strict=True):
        below = levels[-1].centres if levels else points
        levels.append(grouped(below, count, size, skip_near_origin=skip_near_origin))
    return tuple(levels)
