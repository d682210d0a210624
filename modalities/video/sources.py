"""What lies at a path: a folder, a list, tar shards, a pack, or one video."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Source
from ..folders import open_file, open_folder, split_of
from ..image.decoding import SUFFIXES as PICTURES
from ..packing import PackSource, is_pack, open_pack
from ..shards import ShardSource
from .files import SUFFIXES, VIDEOS
from .lists import LISTS, ListSource, first_paths

_LOOKED_AT = 64  # members of a tar


def open_source(path: Path) -> Source:
    """The videos at a path; `FOLDER#SPLIT` names a sub-folder.

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
    if is_pack(path):
        return open_pack(path, VIDEOS.noun)
    shards = sorted(path.glob("*.tar"))
    return ShardSource(str(path), shards, VIDEOS) if shards else open_folder(path, VIDEOS)


def holds_videos(path: Path) -> bool:
    """Whether the first file there that has the name of a picture or a video is a video."""
    path, split = split_of(path)
    path = path if split is None else path / split
    if is_pack(path):
        return PackSource(path).modality == VIDEOS.noun
    if path.is_dir():
        shards = sorted(path.glob("*.tar"))
        return holds_videos(shards[0]) if shards else _is_first(path.rglob("*"))
    suffix = path.suffix.lower()
    if suffix in LISTS and path.is_file():
        return _is_first(first_paths(path))
    if suffix == ".tar" and path.is_file():
        return _is_first(_members(path))
    return suffix in SUFFIXES


def _is_first(names: Iterable[str | Path]) -> bool:
    suffixes = (Path(name).suffix.lower() for name in names)
    known = (suffix for suffix in suffixes if suffix in SUFFIXES or suffix in PICTURES)
    return next(known, None) in SUFFIXES


def _members(path: Path) -> Iterator[str]:
    """Names of members; none where the file is no tar, which whoever opens it says."""
    try:
        with tarfile.open(path, "r:") as tar:
            for _ in range(_LOOKED_AT):
                member = tar.next()
                if member is None:
                    return
                yield member.name
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError):
        return


def _open_one(path: Path, split: str | None) -> Source:
    if split is not None:
        raise DataError(f"{path} has no splits", f"leave out '#{split}'")
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return ShardSource(str(path), [path], VIDEOS)
    if suffix in LISTS:
        return ListSource(path)
    if suffix in SUFFIXES:
        return open_file(path, VIDEOS)
    raise DataError(
        f"{path} is no video, list or .tar file",
        f"known are .tar {' '.join(sorted(LISTS | SUFFIXES))}, and folders",
    )
