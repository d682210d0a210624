"""What lies at a path: a folder, tar shards, an array file, a pack, or one picture."""

from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Source
from ..folders import split_of
from ..packing import is_pack, open_pack
from .arrays import open_npz
from .decoding import SUFFIXES
from .folders import PICTURES, open_file, open_folder
from .shards import ShardSource


def open_source(path: Path) -> Source:
    """The images at a path; `PATH#SPLIT` names an array split, a sub-folder or a part of faces.

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
            return _open_part(path, split)
        path = path / split
    if is_pack(path):
        return open_pack(path, PICTURES.noun)
    # a synthesized set keeps its shards in a sub-folder
    shards = sorted(path.glob("*.tar")) or sorted(path.glob("shards/*.tar"))
    return ShardSource(str(path), shards) if shards else open_folder(path)


def _open_part(path: Path, part: str) -> Source:
    """The identities of prepared faces that the shipped split counts to `part`."""
    from .faces.aligned import template_of
    from .faces.split import faces_split, part_of

    if template_of(path) is None:
        raise DataError(f"{path} has no sub-folder {part!r}", "check the part after '#'")
    wanted = set(part_of(faces_split(), part))
    if not any(child.name in wanted for child in path.iterdir()):
        raise DataError(
            f"{path} holds nobody whom faces-split.toml counts to '{part}'",
            "its folders must be called SOURCE_PERSON, such as att_s02",
        )
    source = open_folder(path, only=wanted)
    source.name = f"{path}#{part}"
    return source


def _open_one(path: Path, split: str | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return open_npz(path, split)
    if split is not None:
        raise DataError(f"{path} has no splits", f"leave out '#{split}'")
    if suffix == ".tar":
        return ShardSource(str(path), [path])
    if suffix in SUFFIXES:
        return open_file(path)
    raise DataError(
        f"{path} is no image, .tar or .npz file",
        f"known are .tar .npz {' '.join(sorted(SUFFIXES))}, and folders",
    )
