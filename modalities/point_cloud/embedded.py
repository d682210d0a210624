"""Real meshes that the package pyvista carries: read by path, nothing of it is imported.

`pieces` is which of four meshes (airplane, ant, nut, sphere) a piece of the surface was cut from:
the 1,024 points nearest to a place on it, of 4,096 drawn by area. Training pieces are cut around
places in the lower 55 % of the longest side, test pieces in the upper 40 %.
"""

from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.draws import Draws
from ...core.extras import path_inside
from ..files import read_whole
from ..image.arrays import Arrays, ArraySource
from .meshes import sample_surface
from .ply import read_ply
from .shapes import Shape

MESHES = ("airplane", "ant", "nut", "sphere")
_PARTS = {"train": (0.0, 0.55, 400), "test": (0.6, 1.0, 100)}  # of the longest side; pieces
_WHOLE, _PIECE = 4096, 1024  # points


def pieces(split: str) -> ArraySource:
    """Pieces of four meshes as (1024, 3) float32; the label is the mesh.

    Args:
        split: "train" (400 pieces) or "test" (100).

    Raises:
        MissingExtra: pyvista is not installed.
        DataError: the installed package does not carry a mesh.
    """
    name = "pieces" if split == "train" else f"pieces:{split}"
    return ArraySource(name, partial(_pieces, split), "point-cloud")


def _pieces(split: str) -> Arrays:
    """Piece i is of mesh i mod 4; its points and place are drawn with key (0, i)."""
    begin, end, count = _PARTS[split]
    clouds, keys = [], []
    for i in range(count):
        mesh = MESHES[i % len(MESHES)]
        draws = Draws(0, torch.tensor([i]), stream=f"pieces/{split}")
        clouds.append(_piece(mesh, begin, end, draws))
        keys.append(f"{split}/{i:03d}-{mesh}")
    labels = np.arange(count, dtype=np.int64) % len(MESHES)
    return Arrays(clouds, keys, labels, MESHES)


@cache
def _mesh(name: str) -> Shape:
    path = path_inside("pyvista", f"examples/{name}.ply")
    return read_ply(str(path), read_whole(path).data)


def _piece(mesh: str, begin: float, end: float, draws: Draws) -> NDArray[np.float32]:
    shape = _mesh(mesh)
    assert shape.faces is not None  # noqa: S101 - the four are meshes
    whole = sample_surface(mesh, shape.points, shape.faces, _WHOLE, draws.fork("mesh"))
    low, high = whole.min(axis=0), whole.max(axis=0)
    axis = int(np.argmax(high - low))
    along = (whole[:, axis] - low[axis]) / (high[axis] - low[axis])
    there = np.flatnonzero((along >= begin) & (along <= end))
    centre = whole[there[int(draws.integers(len(there), 1)[0, 0])]]
    near = np.argsort(np.square(whole - centre).sum(axis=1), kind="stable")[:_PIECE]
    return whole[np.sort(near)]
