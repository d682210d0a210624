"""Files of shapes on disk: read when they are prepared, by their suffix."""

import re
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ..files import Encoded, FileKind, read_whole
from ..npz import read_npy
from .pcd import read_pcd
from .ply import read_ply
from .shapes import Points, Shape, shape_of
from .text_shapes import read_obj, read_off, read_xyz

_WIDEST = 64  # values a point may have beside its coordinates


def read_array(name: str, data: bytes) -> Shape:
    """The cloud of a `.npy` file: (N, 3) or wider; the first three columns are coordinates.

    Raises:
        DataError: it is damaged, or of another shape.
    """
    return shape_of(name, checked_cloud(name, read_npy(name, data)))


def checked_cloud(name: str, array: np.ndarray) -> Points:
    """(N, 3) float32 of an array of points, the columns after the third left out.

    Raises:
        DataError: it is no table of points.
    """
    numeric = np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)
    if array.ndim != 2 or not 3 <= array.shape[1] <= _WIDEST or not numeric:
        raise DataError(
            f"{name} holds {array.dtype} of the shape {array.shape}",
            "expected numbers (points, 3) or wider, the coordinates first",
        )
    with np.errstate(over="ignore"):  # too large for float32: refused as not finite
        return array[:, :3].astype(np.float32)


READERS = {
    ".npy": read_array,
    ".obj": read_obj,
    ".off": read_off,
    ".pcd": read_pcd,
    ".ply": read_ply,
    ".xyz": read_xyz,
}
SHAPES = FileKind("point-cloud", frozenset(READERS), read_whole)


def read_shape(content: Encoded) -> Shape:
    """The shape in a file's bytes, by the suffix of its name, or where it has none by its begin.

    Raises:
        DataError: it is damaged; names the file.
    """
    suffix = Path(content.name).suffix.lower()
    read = READERS.get(suffix) or READERS[_kind(content.data)]
    return read(content.name, content.data)


def _kind(data: bytes) -> str:
    """The suffix that a file's begin asks for (members of tar shards are named without one)."""
    begin = data[:2048]
    for mark, suffix in ((b"ply", ".ply"), (b"OFF", ".off"), (b"\x93NUMPY", ".npy")):
        if begin.startswith(mark):
            return suffix
    if b"FIELDS" in begin and b"POINTS" in begin:
        return ".pcd"
    return ".obj" if re.search(rb"^v\s", data, re.MULTILINE) else ".xyz"
