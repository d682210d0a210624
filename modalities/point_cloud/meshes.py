"""Points on a mesh, drawn evenly by area, the same ones each time."""

# F triangles, N points.

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.draws import Draws
from ...core.errors import DataError
from .shapes import Faces, Points


def sample_surface(
    name: str, corners: Points, faces: Faces, count: int, draws: Draws
) -> NDArray[np.float32]:
    """Points uniform on the triangles (Osada et al., 2002, §3.1): (N, 3) float32.

    Args:
        name: of the mesh, for messages.
        corners: (C, 3), finite.
        faces: (F, 3) ids of corners.
        count: N.
        draws: one row.

    Raises:
        DataError: no triangle has an area.
    """
    triangles = corners.astype(np.float64)[faces]
    first, second, third = triangles.transpose(1, 0, 2)
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    total = np.cumsum(areas)
    if not total[-1] > 0 or not np.isfinite(total[-1]):
        raise DataError(f"{name}: its triangles have no area", "write the mesh again")
    along, across, which = draws.uniform(3, count)[0].to(torch.float64).numpy()
    chosen = np.searchsorted(total, which * total[-1], side="right").clip(max=len(faces) - 1)
    root = np.sqrt(along)[:, None]
    a, b, c = triangles[chosen].transpose(1, 0, 2)
    share = across[:, None]
    points = (1 - root) * a + root * (1 - share) * b + root * share * c
    return points.astype(np.float32)
