"""What lies at a path: a folder, tar shards, arrays, or one shape."""

from itertools import islice
from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Source
from ..files import read_whole
from ..folders import open_file, open_folder, split_of
from ..npz import read_npy
from ..shards import ShardSource
from .arrays import SUFFIXES as ARRAYS
from .arrays import holds_clouds, open_arrays
from .files import SHAPES

_LOOKED_AT = 256  # files of a folder
_OF_SHAPES = SHAPES.suffixes - {".npy"}  # that plainly hold shapes
_CLOUDS = 3  # dimensions of an array of several clouds


def open_source(path: Path) -> Source:
    """The shapes at a path; `FOLDER#SPLIT` names a sub-folder, `FILE.npz#SPLIT` a part.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    path, split = split_of(Path(path))
    if not path.exists():
        raise DataError(f"{path} does not exist", "check the path given to --data")
    if path.is_file():
        return _open_one(path, split)
    if split is not None:
        if not (path / split).is_dir():
            raise DataError(f"{path} has no sub-folder {split!r}", "check the part after '#'")
        path = path / split
    shards = sorted(path.glob("*.tar"))
    return ShardSource(str(path), shards, SHAPES) if shards else open_folder(path, SHAPES)


def _open_one(path: Path, split: str | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        return open_arrays(path, split)
    if split is not None:
        raise DataError(f"{path} has no splits", f"leave out '#{split}'")
    if suffix == ".tar":
        return ShardSource(str(path), [path], SHAPES)
    if suffix == ".npy" and read_npy(str(path), read_whole(path).data).ndim == _CLOUDS:
        return open_arrays(path, None)
    if suffix in SHAPES.suffixes:
        return open_file(path, SHAPES)
    raise DataError(
        f"{path} is no shape, array or .tar file",
        f"known are .tar {' '.join(sorted(ARRAYS | SHAPES.suffixes))}, and folders",
    )


def holds_shapes(path: Path) -> bool:
    """Whether a path plainly holds shapes, by the names of the first files there."""
    path, split = split_of(path)
    path = path if split is None or not path.is_dir() else path / split
    if path.is_dir():
        found = (p for p in islice(path.rglob("*"), _LOOKED_AT) if p.is_file())
        return any(p.suffix.lower() in _OF_SHAPES for p in found)
    suffix = path.suffix.lower()
    if suffix == ".npz" and path.is_file():
        return holds_clouds(path)
    return suffix in _OF_SHAPES or suffix in ARRAYS - {".npz"}
