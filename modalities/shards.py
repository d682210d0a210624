"""WebDataset tar shards: the headers are read once, the samples where they lie, at random.

Nothing is ever unpacked. A sample is all members of one name up to the first dot of its last
part: a file of the kind wanted, and its label in `.cls` (a whole number) or `.json`
({"label": number or name}).
"""

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ..core.errors import DataError
from ..core.modality import Sample, Source
from .files import Encoded, FileKind
from .fingerprints import fingerprint
from .labels import label_values

_LABEL_BYTES = 1 << 20  # no label file is larger


@dataclass
class _Entry:
    """Where a sample lies, and what its label file says."""

    shard: int = 0
    offset: int = -1
    size: int = 0
    label: int | str | None = None
    suffixes: set[str] = field(default_factory=set)


class ShardSource(Source):
    """Files of one kind inside tar files.

    Attributes:
        shards: the tar files.
        kind: what is sought in them.
        places: (N, 3) int64: shard, offset, size of each sample.
    """

    def __init__(self, name: str, shards: list[Path], kind: FileKind) -> None:
        """Index the shards.

        Raises:
            DataError: a shard is damaged, holds no such files, or only some have labels.
        """
        self.name, self.shards, self.kind, self.modality = name, shards, kind, kind.noun
        entries: dict[str, _Entry] = {}
        for number, shard in enumerate(shards):
            _index_shard(shard, number, entries, kind)
        found = sorted((key, entry) for key, entry in entries.items() if entry.offset >= 0)
        if not found:
            raise DataError(
                f"no {kind.noun}s in {name}",
                f"WebDataset members look like 000123{min(kind.suffixes)}",
            )
        self.keys = [key for key, _ in found]
        self.places = np.array([(e.shard, e.offset, e.size) for _, e in found], dtype=np.int64)
        self.labels, self.classes = label_values(name, self.keys, [e.label for _, e in found])

    def read(self, index: int) -> Sample:
        """The sample's bytes, not yet decoded.

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


def _index_shard(path: Path, number: int, entries: dict[str, _Entry], kind: FileKind) -> None:
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
                    _add_member(path, number, member, tar, entries=entries, kind=kind)
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
    *,
    entries: dict[str, _Entry],
    kind: FileKind,
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
    if suffix not in kind.suffixes and suffix not in (".cls", ".json"):
        return
    entry = entries.setdefault(key, _Entry(shard=number))
    wanted = suffix in kind.suffixes
    if suffix in entry.suffixes or entry.shard != number or (wanted and entry.offset >= 0):
        raise DataError(
            f"{path} holds the key {key!r} a second time", "give each sample a name of its own"
        )
    entry.suffixes.add(suffix)
    if wanted:
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
