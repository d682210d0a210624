"""What a preparation has done so far: one JSON line per picture, in the order of the source."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict, cast

from ....core.atomic_io import canonical_json, explained


class Entry(TypedDict):
    """One picture's outcome.

    Attributes:
        key: of the sample.
        name: the file written, relative to the output folder; "" for a reject.
        sha256: of the file; "" for a reject.
        reason: why there is no file; "" where there is one.
    """

    key: str
    name: str
    sha256: str
    reason: str


class Journal:
    """An append-only file; a line that was cut short, or does not fit the source, is cut off.

    Attributes:
        entries: the pictures done.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        """Read what an earlier run wrote.

        Args:
            path: the file; may be absent.
            keys: of the source.
        """
        self._path = path
        self.entries: list[Entry] = []
        self._whole = 0
        for line, key in zip(_lines(path), keys, strict=False):
            entry = _entry(line)
            if entry is None or entry["key"] != key:
                break
            self.entries.append(entry)
            self._whole += len(line)

    def __enter__(self) -> "Journal":
        with explained(self._path):
            self._handle = self._path.open("ab")
            self._handle.truncate(self._whole)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def add(self, entry: Entry) -> None:
        """Note a picture whose file is safely written, or that is rejected.

        Raises:
            MasqueradeError: the system refuses to write.
        """
        with explained(self._path):
            self._handle.write(canonical_json(entry).encode() + b"\n")
            self._handle.flush()
        self.entries.append(entry)


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as handle:
            yield from handle


def _entry(line: bytes) -> Entry | None:
    """The entry of a whole line."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not line.endswith(b"\n") or not isinstance(values, dict):
        return None
    texts = [values.get(field) for field in ("key", "name", "sha256", "reason")]
    if not all(isinstance(text, str) for text in texts):
        return None
    return cast("Entry", values)
