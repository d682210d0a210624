"""Packs: a source decoded (and resized) once into a memory-mapped array, the fast path.

A pack is a folder with `pixels.bin` (the uint8 values of all samples, one after the other) and
`index.json` (keys, labels, classes, shapes, a CRC-32 per sample, the sha256 of `pixels.bin`,
settings). Samples may have different shapes.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic_io import canonical_json, new_folder
from ..core.errors import DataError, UsageError
from ..core.hashing import sha256_file
from ..core.modality import Sample, Source
from .fingerprints import fingerprint

_FORMAT = "masquerade-pack"
_VERSION = 1
_INDEX = "index.json"
_PIXELS = "pixels.bin"


def is_pack(path: Path) -> bool:
    """Whether a folder is a pack."""
    return (path / _INDEX).is_file() and (path / _PIXELS).is_file()


class PackSource(Source):
    """The samples of a pack, mapped into memory: contents are uint8 arrays.

    Attributes:
        path: the pack's folder.
        settings: how it was made.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the index.

        Raises:
            DataError: the index is damaged, or does not fit the pixel file.
        """
        self.name, self.path = str(path), path
        index = _read_index(path)
        self.keys = index["keys"]
        self.labels = None if index["labels"] is None else np.array(index["labels"], np.int64)
        self.classes = tuple(index["classes"])
        self.settings: dict[str, Any] = index["settings"]
        self.modality = str(self.settings.get("modality", "image"))
        self._sha256, self._crc32 = index["sha256"], index["crc32"]
        self._shapes = [tuple(shape) for shape in index["shapes"]]
        lengths = [int(np.prod(shape)) for shape in self._shapes]
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._map: NDArray[np.uint8] | None = None
        actual = (path / _PIXELS).stat().st_size
        if actual != self._offsets[-1]:
            raise DataError(
                f"{path / _PIXELS} has {actual} bytes, its index asks for {self._offsets[-1]}",
                "prepare the pack again",
            )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_map": None}  # each process maps the file for itself

    def read(self, index: int) -> Sample:
        """One sample as a uint8 array, a view of the mapped file."""
        if self._map is None:
            self._map = np.memmap(self.path / _PIXELS, dtype=np.uint8, mode="r")
        flat = self._map[self._offsets[index] : self._offsets[index + 1]]
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], flat.reshape(self._shapes[index]), label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and pixels."""
        return fingerprint(self)

    def damaged(self) -> list[tuple[str, str]]:
        """(key, reason) of each sample whose bytes changed since the pack was made."""
        if sha256_file(self.path / _PIXELS) == self._sha256:
            return []
        wrong = [
            (key, f"CRC-32 is {crc:08x}, expected {self._crc32[i]:08x}")
            for i, key in enumerate(self.keys)
            if (crc := zlib.crc32(self.read(i).content.tobytes())) != self._crc32[i]
        ]
        return wrong or [(_PIXELS, f"sha256 differs from {self._sha256}")]


def open_pack(path: Path, modality: str) -> PackSource:
    """The pack at a path.

    Raises:
        DataError: it is damaged, or of another modality.
    """
    pack = PackSource(path)
    if pack.modality != modality:
        raise DataError(
            f"{path} is a pack of {pack.modality} data, wanted is {modality}",
            f"name a pack of {modality} data, or a method for {pack.modality} data",
        )
    return pack


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads((path / _INDEX).read_text("utf-8"))
        if (index["format"], index["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {index['format']!r} version {index['version']!r}")
        n = len(index["keys"])
        lists = [index["shapes"], index["crc32"], *([index["labels"]] if index["labels"] else [])]
        sound = (
            all(isinstance(key, str) for key in index["keys"])
            and all(len(values) == n for values in lists)
            and all(isinstance(s, int) and s > 0 for shape in index["shapes"] for s in shape)
            and all(isinstance(v, int) for values in lists[1:] for v in values)
            and isinstance(index["settings"], dict)
            and isinstance(index["sha256"], str)
            and all(isinstance(name, str) for name in index["classes"])
        )
        if not sound or n == 0:
            raise ValueError("its lists do not fit each other")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path / _INDEX} is no index of a pack (version {_VERSION}): {error}",
            "prepare the pack again",
        ) from error
    return index


def write_pack(
    source: Source,
    decode: Callable[[Sample], NDArray[np.uint8]],
    out: Path,
    *,
    settings: dict[str, Any],
    strict: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[tuple[str, str]]:
    """Pack a source into the new folder `out`, which appears whole or not at all.

    Args:
        source: what to pack.
        decode: a sample's uint8 array.
        out: must not exist.
        settings: how `decode` was set, kept in the index.
        strict: stop at the first damaged file instead of leaving it out.
        progress: wraps the range of indices (a progress bar).

    Returns:
        (key, reason) of each damaged file that was left out.

    Raises:
        UsageError: `out` exists.
        DataError: all files are damaged, or one is and `strict`.
        MasqueradeError: the system refuses to write.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", "choose another --out, or remove it first")
    damaged: list[tuple[str, str]] = []
    kept: list[int] = []
    shapes: list[list[int]] = []
    crc32: list[int] = []
    digest = hashlib.sha256()
    with new_folder(out) as folder:
        with (folder / _PIXELS).open("wb") as handle:
            for i in progress(range(len(source))):
                try:
                    data = np.ascontiguousarray(decode(source.read(i)))
                except DataError as error:
                    if strict:
                        raise
                    damaged.append((source.keys[i], str(error)))
                    continue
                raw = data.tobytes()
                handle.write(raw)
                digest.update(raw)
                kept.append(i)
                shapes.append(list(data.shape))
                crc32.append(zlib.crc32(raw))
        if not kept:
            raise DataError(f"all {len(source)} files of {source.name} are damaged", damaged[0][1])
        index = {
            "format": _FORMAT,
            "version": _VERSION,
            "settings": settings,
            "keys": [source.keys[i] for i in kept],
            "labels": None if source.labels is None else [int(source.labels[i]) for i in kept],
            "classes": list(source.classes),
            "shapes": shapes,
            "crc32": crc32,
            "sha256": digest.hexdigest(),
            "damaged": damaged,
        }
        (folder / _INDEX).write_text(canonical_json(index), encoding="utf-8")
    return damaged
