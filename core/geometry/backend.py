"""Which implementation computes: torch everywhere, pytorch3d where it is installed and wanted."""

from typing import Literal

from torch import Tensor

from ..errors import UsageError
from ..extras import installed, require

Backend = Literal["auto", "torch", "pytorch3d"]


def uses_pytorch3d(backend: Backend, points: Tensor) -> bool:
    """Whether pytorch3d computes: where it is asked for, or "auto" finds it and points on CUDA.

    Raises:
        MissingExtra: it is asked for and not installed.
    """
    if backend == "pytorch3d":
        require("pytorch3d")
        return True
    return backend == "auto" and points.is_cuda and installed("pytorch3d")


def checked(points: Tensor, name: str) -> Tensor:
    """The points, where they are a batch of clouds in space.

    Raises:
        UsageError: they have another shape, or there are none.
    """
    if points.ndim != 3 or points.shape[-1] != 3 or 0 in points.shape:
        raise UsageError(
            f"{name} has the shape {tuple(points.shape)}", "expected (clouds, points, 3), none 0"
        )
    return points
