"""The `.bin` pair file of face verification: encoded pictures and flags, pickled, perhaps `.xz`.

A 2-tuple: 2N encoded pictures (bytes, or uint8 arrays), aligned to 112 × 112, and N flags; pair i
is pictures 2i and 2i + 1 (Deng et al., 2019, official code). It is read as plain data; see
`core/pickled_data.py`.
"""

# N pairs, K different pictures.

import lzma
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import DataError
from ....core.hashing import sha256_bytes
from ....core.metrics.pair_folds import N_FOLDS, contiguous_folds
from ....core.pickled_data import read_pickled_data
from ..decoding import Encoded
from .pairs import FacePairs
from .pictures import Pictures
from .templates import ARCFACE_112

# encoded pictures hardly shrink: what grows by more is a bomb, unless it is small anyway
_MAX_EXPANSION, _SMALL_BYTES = 8, 64 << 20
_DECODER_BYTES = 256 << 20
_BLOCK = 1 << 20
_AGAIN = "fetch the file again"


def read_pair_file(path: Path, template: str = ARCFACE_112) -> FacePairs:
    """The pairs of a `.bin` or `.bin.xz` file; equal pictures become one.

    Pictures are not decoded here. The file names nobody, so `identities` is None.

    Args:
        path: the file.
        template: that its pictures are aligned to.

    Raises:
        DataError: the file is damaged, asks for code to be run, or holds something else than
            pictures and flags, or twice as many pictures as flags.
    """
    content = read_pickled_data(_read(path), str(path))
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise DataError(f"{path} holds no pair of pictures and flags", "is it a verification .bin?")
    pictures = [
        _bytes(item, f"{path}: picture {i}") for i, item in enumerate(_list(content[0], path))
    ]
    flags = [_flag(item, f"{path}: flag {i}") for i, item in enumerate(_list(content[1], path))]
    if len(pictures) % 2:
        raise DataError(f"{path} holds an odd number of pictures, {len(pictures)}", _AGAIN)
    if len(pictures) != 2 * len(flags):
        raise DataError(
            f"{path} holds {len(pictures) // 2} pairs of pictures and {len(flags)} flags", _AGAIN
        )
    if len(flags) < N_FOLDS:
        raise DataError(
            f"{path} holds {len(flags)} pairs, expected at least {N_FOLDS}, one per fold"
        )
    rows, keys, contents = _unique(pictures, path)
    return FacePairs(
        name=path.name,
        source=Pictures(str(path), keys, contents, template),
        first=rows[0::2],
        second=rows[1::2],
        same=np.array(flags, dtype=bool),
        fold=contiguous_folds(len(flags)),
        origin=("",) * len(flags),
        identities=None,
        template=template,
    )


def _unique(pictures: list[bytes], path: Path) -> tuple[np.ndarray, list[str], list[Encoded]]:
    """The row (2N,) of each picture among the different ones, their keys and contents."""
    width = len(str(len(pictures) - 1))
    first: dict[str, int] = {}
    rows: list[int] = []
    keys: list[str] = []
    contents: list[Encoded] = []
    for number, data in enumerate(pictures):
        digest = sha256_bytes(data)
        if digest not in first:
            first[digest] = len(contents)
            keys.append(f"{number:0{width}d}")
            contents.append(Encoded(f"{path}: picture {number}", data))
        rows.append(first[digest])
    return np.array(rows, dtype=np.int64), keys, contents


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "check the path") from error
    return _unpacked(data, path) if path.suffix == ".xz" else data


def _unpacked(data: bytes, path: Path) -> bytes:
    most = max(_SMALL_BYTES, _MAX_EXPANSION * len(data))
    parts, total = [], 0
    try:
        decoder = lzma.LZMADecompressor(memlimit=_DECODER_BYTES)
        block = decoder.decompress(data, _BLOCK)
        while block or not decoder.eof:
            total += len(block)
            if total > most:
                raise DataError(
                    f"refused {path}: {len(data)} bytes unpack to more than {most}",
                    "encoded pictures do not shrink so much; ask its author for the plain .bin",
                )
            if decoder.needs_input and not decoder.eof:
                raise DataError(f"{path} is damaged: it ends too early", _AGAIN)
            parts.append(block)
            block = b"" if decoder.eof else decoder.decompress(b"", _BLOCK)
    except lzma.LZMAError as error:
        raise DataError(f"{path} is damaged or no .xz file: {error}", _AGAIN) from error
    return b"".join(parts)


def _list(value: Any, path: Path) -> list:  # noqa: ANN401 - plain data of a foreign file
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    raise DataError(f"{path} holds no lists of pictures and flags", "is it a verification .bin?")


def _bytes(value: Any, where: str) -> bytes:  # noqa: ANN401
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise DataError(f"{where}: expected bytes of an encoded picture, got {type(value).__name__}")


def _flag(value: Any, where: str) -> bool:  # noqa: ANN401
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    shown = str(value)[:40] if isinstance(value, int) else type(value).__name__
    raise DataError(f"{where}: expected True or False, got {shown}")
