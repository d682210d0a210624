"""Shapes in text: OFF and OBJ meshes, XYZ clouds."""

import numpy as np

from ...core.errors import DataError
from .shapes import Shape, as_faces, fan, shape_of

_ERRORS = (ValueError, IndexError, OverflowError)


def read_off(name: str, data: bytes) -> Shape:
    """The mesh of an OFF file; its first line may hold the counts too, as ModelNet's do.

    Raises:
        DataError: it is damaged or no OFF; names the file.
    """
    try:
        lines = _lines(data)
        first = lines[0]
        if not first.startswith("OFF"):
            raise ValueError("it does not begin with 'OFF'")
        lines = ([first[3:]] if first[3:].strip() else []) + lines[1:]
        n_points, n_faces = (int(word) for word in lines[0].split()[:2])
        if min(n_points, n_faces) < 0 or 1 + n_points + n_faces > len(lines):
            raise ValueError(f"it declares {n_points} points and {n_faces} faces it does not have")
        points = np.array([_three(line) for line in lines[1 : 1 + n_points]], dtype=np.float64)
        triangles = []
        for line in lines[1 + n_points : 1 + n_points + n_faces]:
            size, *corners = (int(word) for word in line.split()[: 1 + int(line.split()[0])])
            if len(corners) != size:
                raise ValueError(f"a face of {size} corners names {len(corners)}")
            triangles += fan(corners)
    except _ERRORS as error:
        raise DataError(f"{name} is damaged or no OFF: {error}", "write it again") from error
    return shape_of(name, points, as_faces(triangles))


def read_obj(name: str, data: bytes) -> Shape:
    """The mesh of an OBJ file: its `v` and `f` lines; materials and normals are not read.

    Raises:
        DataError: it is damaged or no OBJ; names the file.
    """
    points: list[tuple[float, float, float]] = []
    triangles = []
    try:
        for line in _lines(data):
            kind, _, rest = line.partition(" ")
            if kind == "v":
                points.append(_three(rest))
            elif kind == "f":
                corners = [int(word.split("/")[0]) for word in rest.split()]
                # counted from 1; from the end where negative
                triangles += fan([c - 1 if c > 0 else len(points) + c for c in corners])
        if not points:
            raise ValueError("it has no line 'v'")
    except _ERRORS as error:
        raise DataError(f"{name} is damaged or no OBJ: {error}", "write it again") from error
    return shape_of(name, np.array(points, dtype=np.float64), as_faces(triangles))


def read_xyz(name: str, data: bytes) -> Shape:
    """The cloud of a text file: a point a line, its first three numbers (spaces or commas).

    Raises:
        DataError: a line has no three numbers; names the file.
    """
    try:
        points = [_three(line.replace(",", " ")) for line in _lines(data)]
    except _ERRORS as error:
        raise DataError(f"{name}: a line is no point: {error}", "write x y z") from error
    return shape_of(name, np.array(points, dtype=np.float64))


def _lines(data: bytes) -> list[str]:
    """The lines that say something, without comments."""
    text = (line.partition("#")[0].strip() for line in data.decode("latin-1").splitlines())
    return [line for line in text if line]


def _three(line: str) -> tuple[float, float, float]:
    x, y, z = (float(word) for word in line.split()[:3])
    return x, y, z
