"""Video files on disk: never read whole, perhaps only a part of their time."""

from dataclasses import dataclass
from pathlib import Path

from ...core.errors import DataError
from ...core.hashing import sha256_file, sha256_json
from ..files import FileKind

SUFFIXES = frozenset({
    ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv",
})  # fmt: skip


@dataclass(frozen=True)
class VideoFile:
    """A video file, or some of its frames.

    Attributes:
        name: as a user knows it, for messages.
        path: where it lies.
        start: the first frame.
        stop: the frame after the last one; None = to the end.
    """

    name: str
    path: Path
    start: int = 0
    stop: int | None = None

    @property
    def n_bytes(self) -> int:
        """The file's size.

        Raises:
            DataError: it cannot be read.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise unreadable(self.path, error) from error

    def digest(self) -> str:
        """The sha256 of the file's bytes; of a part, of them and its ends.

        Raises:
            DataError: it cannot be read.
        """
        try:
            whole = sha256_file(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if self.start == 0 and self.stop is None:
            return whole
        return sha256_json({"file": whole, "start": self.start, "stop": self.stop})


def on_disk(path: Path) -> VideoFile:
    """All of a video file."""
    return VideoFile(str(path), path)


def unreadable(path: Path, error: OSError) -> DataError:
    """The sentence for a file that the system does not give."""
    return DataError(f"cannot read {path}: {error.strerror}", "restore the file")


VIDEOS = FileKind("video", SUFFIXES, on_disk)
