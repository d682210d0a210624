"""What the folders and tar shards of any modality hold: files of one kind, opened late."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.hashing import sha256_bytes


@dataclass(frozen=True)
class Encoded:
    """The bytes of a file.

    Attributes:
        name: the file as a user knows it (path, or shard and member), for messages.
        data: its bytes.
    """

    name: str
    data: bytes

    @property
    def n_bytes(self) -> int:
        """How many they are."""
        return len(self.data)

    def digest(self) -> str:
        """The sha256 of the bytes."""
        return sha256_bytes(self.data)


@dataclass(frozen=True)
class FileKind:
    """A kind of files.

    Attributes:
        noun: what one is called, for messages: the slug of its modality ("image").
        suffixes: of their names, lower case with the dot.
        content: what a sample holds of a file on disk; picklable. It has `name` and `digest()`.
    """

    noun: str
    suffixes: frozenset[str]
    content: Callable[[Path], Any]

    def holds(self, path: Path) -> bool:
        """Whether a file is of this kind, by its name."""
        return path.suffix.lower() in self.suffixes


def read_whole(path: Path) -> Encoded:
    """All of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return Encoded(str(path), path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "restore the file") from error
