"""List files: one line per video, with its label and perhaps the part of it that is meant.

A line is `path [label [start stop]]`, separated by tabs, commas or (where there are neither) by
the last spaces, as the lists of Kinetics are. Paths are relative to the list's folder. Labels are
whole numbers from 0, or names. Frames start … stop − 1 are the sample. Lines that are empty or
begin with # do not count.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint
from ..labels import label_values
from .files import VideoFile

LISTS = frozenset({".csv", ".lst", ".tsv", ".txt"})
_MOST_BYTES = 1 << 30
_FIRST_BYTES = 4096
_EXPECTED = "expected `path`, `path label` or `path label start stop`"


@dataclass(frozen=True)
class _Line:
    number: int
    path: str
    label: int | str | None
    start: int
    stop: int | None


class ListSource(Source):
    """The videos that a list names.

    Attributes:
        lines: one per sample, in the order of the keys.
        root: the folder that paths are relative to.
    """

    modality = "video"

    def __init__(self, path: Path) -> None:
        """Read the list; the videos themselves are not looked at.

        Raises:
            DataError: a line is not understood, or names a sample twice.
        """
        self.name, self.root = str(path), path.parent
        found = _read(path)
        named = sorted(zip(_keys(path, found), found, strict=True), key=lambda pair: pair[0])
        self.keys = [key for key, _ in named]
        self.lines = [line for _, line in named]
        labels = [line.label for line in self.lines]
        self.labels, self.classes = label_values(self.name, self.keys, labels)

    def read(self, index: int) -> Sample:
        """The file, not yet opened."""
        line = self.lines[index]
        path = self.root / line.path
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], VideoFile(str(path), path, line.start, line.stop), label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and files."""
        return fingerprint(self)


def first_paths(path: Path) -> list[str]:
    """What the first lines of a text would name if it were a list; nothing where it is no text."""
    try:
        with path.open("rb") as handle:
            start = handle.read(_FIRST_BYTES)
    except OSError:  # whoever opens it says so
        return []
    lines = start.decode("utf-8", "replace").splitlines()
    return [_split(line)[0] for line in lines if line.strip() and not line.startswith("#")]


def _read(path: Path) -> list[_Line]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than a list of videos can be", "check --data")
        text = path.read_text("utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "restore the file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: {error.reason}", "write it in UTF-8") from error
    lines = [
        _parse(path, number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise DataError(f"no videos in {path}: it names none", _EXPECTED)
    return lines


def _parse(path: Path, number: int, line: str) -> _Line:
    where = f"{path}, line {number}"
    parts = _split(line)
    if len(parts) not in (1, 2, 4) or not parts[0]:
        raise DataError(f"{where}: {len(parts)} parts in {line.strip()[:80]!r}", _EXPECTED)
    if "\0" in line:
        raise DataError(f"{where} holds a null character", "write the list again")
    label = None if len(parts) == 1 else _label(parts[1])
    if len(parts) < 4:
        return _Line(number, parts[0], label, 0, None)
    if not all(part.isdecimal() for part in parts[2:]) or int(parts[2]) >= int(parts[3]):
        raise DataError(
            f"{where}: frames {parts[2]} to {parts[3]}", "expected two rising whole numbers"
        )
    return _Line(number, parts[0], label, int(parts[2]), int(parts[3]))


def _split(line: str) -> list[str]:
    for separator in ("\t", ","):
        if separator in line:
            return [part.strip() for part in next(csv.reader([line], delimiter=separator))]
    words = line.split()
    if len(words) >= 4 and all(word.isdecimal() for word in words[-3:]):
        return [line.strip().rsplit(None, 3)[0], *words[-3:]]
    return line.strip().rsplit(None, 1)


def _label(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _keys(path: Path, lines: Sequence[_Line]) -> list[str]:
    """The paths without suffix; with it where two share the rest, with frames where given."""
    stems = [Path(line.path).with_suffix("").as_posix() for line in lines]
    files = {line.path: stem for line, stem in zip(lines, stems, strict=True)}
    shared = Counter(files.values())
    keys = []
    for line in lines:
        stem = files[line.path]
        key = line.path if shared[stem] > 1 else stem
        keys.append(key if line.stop is None else f"{key}:{line.start}-{line.stop}")
    twice = next((key for key, count in Counter(keys).items() if count > 1), None)
    if twice is not None:
        again = [line.number for line, key in zip(lines, keys, strict=True) if key == twice]
        raise DataError(
            f"{path}: lines {again[0]} and {again[1]} name the same sample {twice!r}",
            "leave one out",
        )
    return keys
