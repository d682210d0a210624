"""Append-only files of JSON lines that can be cut back to where a checkpoint was taken."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic_io import canonical_json, explained
from ..errors import DataError


class JsonLines:
    """A file of one canonical JSON object per line.

    Every line goes to the system at once, so that a killed process loses none; `sync` makes them
    survive a power cut too.

    Args:
        path: the file; it is created when absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._file = path.open("ab", buffering=0)

    def write(self, value: Mapping[str, Any]) -> None:
        """Append one line.

        Raises:
            MasqueradeError: the system refuses (a full disk).
            ValueError: the value holds a NaN or an infinity.
        """
        line = memoryview(f"{canonical_json(value)}\n".encode())
        with explained(self.path):
            while line:  # an unbuffered write may take only a part
                line = line[self._file.write(line) :]

    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._file.fileno()).st_size

    def sync(self) -> None:
        """Make all lines durable."""
        with explained(self.path):
            os.fsync(self._file.fileno())

    def cut(self, size: int) -> None:
        """Forget everything behind the first `size` bytes.

        Raises:
            DataError: the file is shorter than that.
        """
        if self.size() < size:
            raise DataError(
                f"{self.path} has {self.size()} bytes, the checkpoint was taken at {size}",
                "put the file back, or start again in another folder",
            )
        with explained(self.path):
            self._file.truncate(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
