"""From any shape to a cloud of so many points in one form; each step is a pure function.

Sources differ in how they were sampled: at random, farthest points, on a grid. A classifier of a
set that is mixed of them can read the sampling instead of the shape. The form "surface" takes it
away: cells of a grid around the shape, only those at its surface, a point at a random place in
each, and of these the farthest points.
"""

# N points given, n points wanted, S cells a side.

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.draws import Draws
from ...core.errors import DataError
from ...core.geometry import farthest_points
from .shapes import Points

Take = Literal["random", "first", "farthest"]


def finite_points(name: str, points: Points, *, drop: bool) -> Points:
    """The points whose coordinates are numbers.

    Args:
        name: of the cloud, for messages.
        points: (N, 3).
        drop: leave the others out instead of refusing the cloud (scans mark misses by NaN).

    Raises:
        DataError: a coordinate is NaN or infinite, or none is left.
    """
    whole = np.isfinite(points).all(axis=1)
    if whole.all():
        return points
    if not drop:
        raise DataError(
            f"{name}: point {int(np.argmin(whole))} is not finite "
            f"({int((~whole).sum())} of {len(points)})",
            "mend the file, or leave such points out with --set data.non_finite=drop",
        )
    if not whole.any():
        raise DataError(f"{name}: none of its {len(points)} points is finite", "mend the file")
    return points[whole]


def in_unit_sphere(points: Points) -> Points:
    """The cloud with its mean at the origin and its farthest point at distance 1.

    A cloud of one place becomes the origin.

    Example:
        >>> in_unit_sphere(np.array([[1, 0, 0], [5, 0, 0]], np.float32)).tolist()
        [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    centred = points.astype(np.float64)
    centred = centred - centred.mean(axis=0)
    radius = np.linalg.norm(centred, axis=1).max()
    # below float32's rounding of the coordinates nothing is left but that rounding
    if radius <= 1e-6 * np.abs(points).max(initial=0):
        return np.zeros_like(points)
    return (centred / radius).astype(np.float32)


def taken(points: Points, count: int, how: Take, draws: Draws | None) -> Points:
    """(n, 3) of a cloud's points; where there are fewer they are repeated in order.

    Args:
        points: (N, 3).
        count: n.
        how: "random" (with draws; else the first), "first", or "farthest".
        draws: one row, in training.
    """
    if len(points) < count:
        return points[np.arange(count) % len(points)]
    if how == "farthest":
        return points[farthest_points(torch.from_numpy(points)[None], count)[0].numpy()]
    if how == "random" and draws is not None:
        return points[draws.fork("take").permutation(len(points))[0, :count].numpy()]
    return points[:count]


def surface_form(points: Points, cells: int, count: int, draws: Draws) -> Points:
    """(n, 3) points at the surface of a shape, as if every source had been sampled alike.

    Args:
        points: (N, 3) of its surface or of its inside too (full cells of a grid).
        cells: S, of the longest side of the box around it.
        count: n.
        draws: one row.
    """
    low = points.min(axis=0).astype(np.float64)
    extent = float((points.max(axis=0).astype(np.float64) - low).max())
    if extent <= 0:
        return np.repeat(points[:1], count, axis=0)
    ids = ((points.astype(np.float64) - low) / extent * cells).astype(np.int64)
    full = np.zeros((cells + 2,) * 3, dtype=bool)  # an empty layer around
    full[tuple(ids.clip(max=cells - 1).T + 1)] = True
    shell = np.argwhere(full & ~_inside(full))
    if len(shell) < count:
        shell = shell[np.arange(count) % len(shell)]
    places = draws.fork("place").uniform(len(shell), 3)[0].numpy()
    spread = (shell + places).astype(np.float32)
    return spread[farthest_points(torch.from_numpy(spread)[None], count)[0].numpy()]


def _inside(full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Full cells whose six neighbours are full."""
    inside = full.copy()
    for axis in range(3):
        for step in (-1, 1):
            inside &= np.roll(full, step, axis)
    return inside


def scaled_and_shifted(points: Tensor, draws: Draws) -> Tensor:
    """Each axis scaled by U(2/3, 3/2) and shifted by U(±0.2) (Point-M2AE, official code)."""
    scale = 2 / 3 + (3 / 2 - 2 / 3) * draws.fork("scale").uniform(3)[0]
    shift = 0.4 * draws.fork("shift").uniform(3)[0] - 0.2
    return points * scale + shift


def rotated_and_scaled(points: Tensor, draws: Draws) -> Tensor:
    """Turned about y by any angle, each axis scaled by U(0.9, 1.1) (ScanObjectNN fine-tuning)."""
    angle = 2 * torch.pi * draws.fork("angle").uniform(1)[0, 0]
    cosine, sine = torch.cos(angle), torch.sin(angle)
    x, y, z = points.unbind(-1)
    turned = torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)
    return turned * (0.9 + 0.2 * draws.fork("scale").uniform(3)[0])
