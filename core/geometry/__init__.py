"""Geometry of point clouds: sampling, neighbours, Chamfer, interpolation, depth projection."""

from .chamfer_distance import chamfer, chamfer_per_cloud
from .interpolation import interpolate_nearest
from .neighbours import nearest_neighbours
from .projection import VIEWS, Projection, project
from .sampling import farthest_points, take_points

__all__ = [
    "VIEWS",
    "Projection",
    "chamfer",
    "chamfer_per_cloud",
    "farthest_points",
    "interpolate_nearest",
    "nearest_neighbours",
    "project",
    "take_points",
]
