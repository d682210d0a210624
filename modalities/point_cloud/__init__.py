"""Point clouds: files, meshes and arrays to clouds in the unit sphere, and coloured pictures."""

from .adapter import PointCloud

__all__ = ["PointCloud"]
