"""What a file of a shape holds, before it is a cloud of so many points."""

# N points, F triangles.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

Points = NDArray[np.float32]
Faces = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shape:
    """Points, or a mesh of triangles.

    Attributes:
        points: (N, 3) float32; the corners where there are triangles.
        faces: (F, 3) int64 ids of corners, or None (of a cloud, or a mesh without faces).
    """

    points: Points
    faces: Faces | None = None


def shape_of(name: str, points: NDArray[np.number], faces: Faces | None = None) -> Shape:
    """The shape, where it has points, and faces only of those.

    Args:
        name: of the file, for messages.
        points: (N, 3).
        faces: (F, 3), or None; none at all counts as None.

    Raises:
        DataError: no points, or a face of a corner that is not there.
    """
    if not len(points):
        raise DataError(f"{name} holds no points", "give a cloud of at least one")
    if faces is None or not len(faces):
        return Shape(points.astype(np.float32))
    if faces.min() < 0 or faces.max() >= len(points):
        wrong = int(faces.min()) if faces.min() < 0 else int(faces.max())
        raise DataError(
            f"{name}: a face names corner {wrong} of {len(points)}", "write the mesh again"
        )
    return Shape(points.astype(np.float32), faces)


def fan(polygon: Sequence[int]) -> list[tuple[int, int, int]]:
    """The triangles of a polygon around its first corner.

    Example:
        >>> fan([4, 5, 6, 7])
        [(4, 5, 6), (4, 6, 7)]
    """
    pairs = zip(polygon[1:], polygon[2:], strict=False)
    return [(polygon[0], second, third) for second, third in pairs]


def as_faces(triangles: Sequence[tuple[int, int, int]]) -> Faces:
    """(F, 3) int64 of triangles."""
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)
