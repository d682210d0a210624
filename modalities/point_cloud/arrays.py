"""Many clouds in one file: `.npz` and `.npy` arrays, ModelNet40's and ScanObjectNN's `.h5`.

Coordinates are read from `points` (or data, pos, x): (N, M, 3) or wider, or (T, 3) cut by
`offsets` (N + 1,), or one cloud (M, 3). Occupancy grids are read from `voxels` (N, S, S, S) or,
as bits, `packed` (N, S³ / 8): a point stands in the middle of each full cell. Labels are read from
`label`, `labels` or `y`, as whole numbers or names, with `classes` (names) and `split` (a name for
each cloud). Colours and normals, as further columns or arrays of their own, are left out.
"""

# N clouds, M points of each, T points of all, S cells a side.

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.extras import require
from ..files import read_whole
from ..image.arrays import Arrays, ArraySource
from ..npz import member_names, open_zip, read_member, read_npy
from .files import checked_cloud
from .shapes import Points

_POINTS = ("points", "data", "pos", "x")
_LABELS = ("label", "labels", "y")
_OTHERS = ("packed", "voxels", "offsets", "classes", "split")
_MOST_BYTES = 8 << 30  # of one array of an .h5 file
SUFFIXES = frozenset({".npz", ".h5", ".hdf5"})
Read = Callable[[str], NDArray[Any]]


def holds_clouds(path: Path) -> bool:
    """Whether an .npz file holds arrays that this module reads as clouds and nothing else does."""
    try:
        with open_zip(path) as archive:
            return bool({"points", "pos", "packed", "voxels"} & {*member_names(archive)})
    except DataError:
        return False


def open_arrays(path: Path, split: str | None) -> ArraySource:
    """The clouds of a file of arrays.

    Args:
        path: .npz, .h5 or .npy.
        split: of those that its array `split` names; None = all.

    Raises:
        DataError: damaged, or it holds no clouds, or no such split.
        MissingExtra: h5py, for .h5.
    """
    name = f"{path}#{split}" if split else str(path)
    return ArraySource(name, partial(_load, path, split), "point-cloud")


def _load(path: Path, split: str | None) -> Arrays:
    arrays = _read_all(path)
    clouds = _clouds(path, arrays)
    labels, classes = _labels(path, arrays, len(clouds))
    rows = _rows(path, arrays, split, len(clouds))
    prefix = f"{split}/" if split else ""
    return Arrays(
        [clouds[i] for i in rows], [f"{prefix}{i:06d}" for i in rows],
        None if labels is None else labels[rows], classes,
    )  # fmt: skip


def _read_all(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file that are of use here."""
    wanted = {*_POINTS, *_LABELS, *_OTHERS}
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return {"points": read_npy(str(path), read_whole(path).data)}
    if suffix == ".npz":
        with open_zip(path) as archive:
            names = wanted & {*member_names(archive)}
            return {name: read_member(path, archive, name) for name in sorted(names)}
    return _read_h5(path, wanted)


def _read_h5(path: Path, wanted: set[str]) -> dict[str, NDArray[Any]]:
    h5py = require("h5py")
    found = {}
    try:
        with h5py.File(path, "r") as file:
            for name in sorted(wanted & {*file.keys()}):
                item = file[name]
                if not isinstance(item, h5py.Dataset) or item.nbytes > _MOST_BYTES:
                    raise ValueError(f"'{name}' is no array, or too large")
                # what it declares may be far more than what is stored
                if item.id.get_storage_size() == 0 and item.nbytes:
                    raise ValueError(f"'{name}' was never written")
                found[name] = item[()]
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, OverflowError) as error:
        raise DataError(f"{path} is damaged or no .h5: {error}", "write it again") from error
    return found


def _clouds(path: Path, arrays: Mapping[str, NDArray[Any]]) -> list[Points]:
    """N clouds (M, 3) float32."""
    for kind in ("packed", "voxels"):
        if kind in arrays:
            return [_centres(path, kind, grid) for grid in arrays[kind]]
    name = next((n for n in _POINTS if n in arrays), None)
    if name is None:
        raise DataError(
            f"no clouds in {path}", f"expected one of the arrays {', '.join(_POINTS)}, voxels"
        )
    values = arrays[name]
    if "offsets" in arrays:
        return _cut(path, values, arrays["offsets"].reshape(-1))
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or not len(values):
        raise DataError(
            f"{path}: the array {name!r} has the shape {values.shape}",
            "expected (clouds, points, 3) or wider, at least one cloud",
        )
    return [checked_cloud(f"{path}: cloud {i} of {name!r}", v) for i, v in enumerate(values)]


def _cut(path: Path, values: NDArray[Any], offsets: NDArray[Any]) -> list[Points]:
    cuts = offsets.astype(np.int64) if np.issubdtype(offsets.dtype, np.integer) else offsets[:0]
    if len(cuts) < 2 or (np.diff(cuts) < 0).any() or not 0 <= cuts[0] <= cuts[-1] <= len(values):
        raise DataError(
            f"{path}: 'offsets' do not cut {len(values)} points", "expected rising whole numbers"
        )
    parts = np.split(values, cuts)[1:-1]
    return [checked_cloud(f"{path}: cloud {i}", part) for i, part in enumerate(parts)]


def _centres(path: Path, name: str, grid: NDArray[Any]) -> Points:
    """(M, 3) the middles of the full cells of a grid, in cells."""
    full = np.unpackbits(grid) if name == "packed" and grid.dtype == np.uint8 else grid
    side = round(full.size ** (1 / 3))
    if side**3 != full.size or not full.size:
        raise DataError(
            f"{path}: the array {name!r} has grids of {full.size} cells", "expected cubes"
        )
    return (np.argwhere(full.reshape(side, side, side) != 0) + 0.5).astype(np.float32)


def _labels(
    path: Path, arrays: Mapping[str, NDArray[Any]], count: int
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    name = next((n for n in _LABELS if n in arrays), None)
    if name is None:
        return None, ()
    values = arrays[name].reshape(-1)
    given = tuple(str(c) for c in arrays["classes"].reshape(-1)) if "classes" in arrays else ()
    if len(values) != count:
        raise DataError(f"{path}: {len(values)} labels for {count} clouds", f"mend {name!r}")
    if values.dtype.kind in "US":
        found = given or tuple(sorted({str(v) for v in values}))
        numbers = {c: i for i, c in enumerate(found)}
        unknown = next((str(v) for v in values if str(v) not in numbers), None)
        if unknown is not None:
            raise DataError(f"{path}: label {unknown!r} is not in 'classes'", "mend the labels")
        return np.array([numbers[str(v)] for v in values], dtype=np.int64), found
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise DataError(
            f"{path}: the array {name!r} holds {values.dtype}", "expected whole numbers from 0"
        )
    top = int(values.max()) + 1
    classes = given or tuple(str(i) for i in range(top))
    if len(classes) < top:
        raise DataError(f"{path}: label {top - 1} but {len(classes)} classes", "mend 'classes'")
    return values.astype(np.int64), classes


def _rows(
    path: Path, arrays: Mapping[str, NDArray[Any]], split: str | None, count: int
) -> NDArray[np.int64]:
    if split is None:
        return np.arange(count, dtype=np.int64)
    names = arrays["split"].reshape(-1).astype(str) if "split" in arrays else np.array([], str)
    if len(names) != count or split not in names:
        raise DataError(
            f"{path} has no split {split!r}",
            f"choose one of: {', '.join(sorted(set(names))) or 'none is named in it'}",
        )
    return np.flatnonzero(names == split).astype(np.int64)
