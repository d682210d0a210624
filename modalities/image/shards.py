"""WebDataset tar shards: the headers are read once, the pictures where they lie, at random.

Nothing is ever unpacked. A sample is all members of one name up to the first dot of its last
part: a picture, and its label in `.cls` (a whole number) or `.json` ({"label": number or name}).
"""

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint
from .decoding import SUFFIXES, Encoded

_LABEL_BYTES = 1 << 20  # no label file is larger
_LARGEST_LABEL = 10_000_000


@dataclass
class _Entry:
    """Where a sample's picture lies, and what its label file says."""

    shard: int = 0
    offset: int = -1
    size: int = 0
    label: int | str | None = None
    suffixes: set[str] = field(default_factory=set)


class ShardSource(Source):
    """Pictures inside tar files.

    Attributes:
        shards: the tar files.
        places: (N, 3) int64: shard, offset, size of each picture.
    """

    def __init__(self, name: str, shards: list[Path]) -> None:
        """Index the shards.

        Raises:
            DataError: a shard is damaged, holds no pictures, or only some have labels.
        """
        self.name, self.shards = name, shards
        entries: dict[str, _Entry] = {}
        for number, shard in enumerate(shards):
            _index_shard(shard, number, entries)
        found = sorted((key, entry) for key, entry in entries.items() if entry.offset >= 0)
        if not found:
            raise DataError(f"no images in {name}", "WebDataset members look like 000123.jpg")
        self.keys = [key for key, _ in found]
        self.places = np.array([(e.shard, e.offset, e.size) for _, e in found], dtype=np.int64)
        self.labels, self.classes = _labels(name, found)

    def read(self, index: int) -> Sample:
        """The picture's bytes, not yet decoded.

        Raises:
            DataError: the shard cannot be read, or became shorter.
        """
        shard, offset, size = (int(v) for v in self.places[index])
        place = f"{self.shards[shard]}:{self.keys[index]}"
        try:
            with self.shards[shard].open("rb") as handle:
                handle.seek(offset)
                data = handle.read(size)
        except OSError as error:
            raise DataError(f"cannot read {place}: {error.strerror}", "restore it") from error
        if len(data) != size:
            raise DataError(
                f"{place} has {len(data)} of {size} bytes: the shard became shorter", "restore it"
            )
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], Encoded(place, data), label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and file bytes."""
        return fingerprint(self)


def _index_shard(path: Path, number: int, entries: dict[str, _Entry]) -> None:
    """Add the members of one shard to `entries`."""
    length = path.stat().st_size
    end = 0
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                # headers that lead backwards or beyond the end would loop or lie
                if member.offset_data < end or member.size < 0:
                    raise tarfile.ReadError("a header points backwards")
                end = member.offset_data + member.size
                if end > length:
                    raise tarfile.ReadError(f"member {member.name!r} is cut off")
                if member.isreg():
                    _add_member(path, number, member, tar, entries)
                tar.members = []  # type: ignore[attr-defined]  # else all headers are kept
            _check_end(path, tar.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise DataError(
            f"{path} is damaged or no tar: {str(error) or type(error).__name__}",
            "write the shard again (plain .tar, not compressed)",
        ) from error


def _check_end(path: Path, offset: int) -> None:
    """Refuse what tarfile takes for the end in silence: a damaged header, a missing end mark."""
    with path.open("rb") as handle:
        handle.seek(offset)
        block = handle.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut off (no end-of-archive mark)")
    if block.count(0) != tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"the header at byte {offset} is damaged")


def _add_member(
    path: Path,
    number: int,
    member: tarfile.TarInfo,
    tar: tarfile.TarFile,
    entries: dict[str, _Entry],
) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name or "\\" in member.name:
        raise DataError(
            f"{path} holds the member {member.name!r}, which leaves its folder",
            "do not trust this archive",
        )
    if member.issparse():
        raise DataError(f"{path}: the member {member.name!r} is sparse", "write it plainly")
    stem, _, ending = name.name.partition(".")
    if not stem:
        return
    key, suffix = (name.parent / stem).as_posix(), f".{ending.lower()}"
    if suffix not in SUFFIXES and suffix not in (".cls", ".json"):
        return
    entry = entries.setdefault(key, _Entry(shard=number))
    picture = suffix in SUFFIXES
    if suffix in entry.suffixes or entry.shard != number or (picture and entry.offset >= 0):
        raise DataError(
            f"{path} holds the key {key!r} a second time", "give each sample a name of its own"
        )
    entry.suffixes.add(suffix)
    if picture:
        entry.offset, entry.size = member.offset_data, member.size
    else:
        label = _read_label(path, member, tar, suffix)
        entry.label = entry.label if label is None else label


def _read_label(
    path: Path, member: tarfile.TarInfo, tar: tarfile.TarFile, suffix: str
) -> int | str | None:
    handle = tar.extractfile(member)
    data = handle.read(_LABEL_BYTES) if handle is not None else b""
    try:
        text = data.decode()
        if suffix == ".cls":
            return int(text)
        facts = json.loads(text)
        label = facts.get("label") if isinstance(facts, dict) else None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: {member.name} holds no label: {error}",
            "a .cls file holds a whole number, a .json file an object",
        ) from error
    return label if isinstance(label, (int, str)) and not isinstance(label, bool) else None


def _labels(
    name: str, found: list[tuple[str, _Entry]]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Label values and class names: numbers stand for themselves, names are sorted."""
    given = [entry.label for _, entry in found]
    if all(label is None for label in given):
        return None, ()
    kinds = {type(label) for label in given}
    if len(kinds) > 1:
        odd = next(key for key, e in found if type(e.label) is not type(found[0][1].label))
        raise DataError(
            f"{name}: the labels of {found[0][0]!r} and {odd!r} are of different kinds",
            "give every sample a label of one kind (number or name), or none",
        )
    if kinds == {str}:
        classes = tuple(sorted({str(label) for label in given}))
        number = {c: i for i, c in enumerate(classes)}
        return np.array([number[str(v)] for v in given], dtype=np.int64), classes
    numbers = [int(v) for v in given if v is not None]
    if min(numbers) < 0 or max(numbers) > _LARGEST_LABEL:
        raise DataError(
            f"{name}: labels go from {min(numbers)} to {max(numbers)}", "count them from 0"
        )
    return np.array(numbers, dtype=np.int64), tuple(str(i) for i in range(max(numbers) + 1))
