"""PCD files (Point Cloud Library): ASCII, binary and compressed, with headers not trusted."""

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from .shapes import Shape, shape_of

_LONGEST_HEADER = 1 << 16
_KINDS = {"F": "f", "I": "i", "U": "u"}
_MOST_EXPANSION = 300  # LZF makes at most 264 bytes of three
_AXES = ("x", "y", "z")


def read_pcd(name: str, data: bytes) -> Shape:
    """The points of a PCD file.

    Raises:
        DataError: it is damaged or no PCD; names the file.
    """
    try:
        with np.errstate(invalid="ignore"):  # a NaN that signals stays a NaN
            return shape_of(name, _read(data))
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise DataError(f"{name} is damaged or no PCD: {error}", "write it again") from error


def _read(data: bytes) -> NDArray[np.float64]:
    header, kind, body = _header(data)
    fields = header["FIELDS"]
    counts = [int(c) for c in header.get("COUNT", ["1"] * len(fields))]
    sizes = [_KINDS[t] + str(int(s)) for t, s in zip(header["TYPE"], header["SIZE"], strict=True)]
    n_points = int(header["POINTS"][0])
    if n_points < 0 or min(counts) < 0 or not len(fields) == len(counts) == len(sizes):
        raise ValueError("its header contradicts itself")
    columns = [fields.index(axis) for axis in _AXES]
    if any(counts[column] != 1 for column in columns):
        raise ValueError("a coordinate has several values")
    if kind == "ascii":
        starts = np.concatenate([[0], np.cumsum(counts)])
        return _ascii(data[body:], n_points, int(starts[-1]))[:, starts[columns]]
    layout = [(str(i), "<" + s, (c,)) for i, (s, c) in enumerate(zip(sizes, counts, strict=True))]
    row = np.dtype(layout)
    if kind == "binary":
        table = _exactly(data[body:], row.itemsize * n_points).view(row)
        return np.stack([table[str(c)][:, 0].astype(np.float64) for c in columns], axis=1)
    flat = _exactly(_decompressed(data[body:], row.itemsize * n_points), row.itemsize * n_points)
    widths = [np.dtype((s, (c,))).itemsize * n_points for _, s, (c,) in layout]
    starts = np.concatenate([[0], np.cumsum(widths)])
    parts = [flat[starts[c] : starts[c] + widths[c]].view(layout[c][1]) for c in columns]
    return np.stack([part.astype(np.float64) for part in parts], axis=1)


def _header(data: bytes) -> tuple[dict[str, list[str]], str, int]:
    """The lines by their first word, the kind of the body, and where it begins."""
    header: dict[str, list[str]] = {}
    at = 0
    while at < min(len(data), _LONGEST_HEADER):
        end = data.find(b"\n", at)
        if end < 0:
            break
        words = data[at:end].decode("ascii", errors="replace").split()
        at = end + 1
        if words and words[0] == "DATA":
            if words[1] not in ("ascii", "binary", "binary_compressed"):
                raise ValueError(f"its data are {words[1]!r}")
            return header, words[1], at
        if words:
            header[words[0]] = words[1:]
    raise ValueError("its header has no line 'DATA'")


def _ascii(body: bytes, n_points: int, width: int) -> NDArray[np.float64]:
    words = body.split()
    if len(words) < n_points * width:
        raise ValueError(f"it declares {n_points} points of {width} values, it has {len(words)}")
    values = np.array(words[: n_points * width], dtype="S32").astype(np.float64)
    return values.reshape(n_points, width)


def _exactly(body: bytes, size: int) -> NDArray[np.uint8]:
    if len(body) < size:
        raise ValueError(f"it declares {size} bytes where {len(body)} are left")
    return np.frombuffer(body, dtype=np.uint8, count=size)


def _decompressed(body: bytes, size: int) -> bytes:
    """The bytes of an LZF stream behind its two lengths."""
    packed, unpacked = (int(n) for n in np.frombuffer(body[:8], dtype="<u4"))
    if unpacked != size or packed > len(body) - 8 or size > packed * _MOST_EXPANSION:
        raise ValueError(f"its lengths {packed} and {unpacked} do not fit {size} bytes of points")
    return _lzf(body[8 : 8 + packed], size)


def _lzf(packed: bytes, size: int) -> bytes:
    out = bytearray()
    at = 0
    while at < len(packed) and len(out) <= size:
        control = packed[at]
        at += 1
        if control < 32:  # a run of control + 1 bytes as they are
            out += packed[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += packed[at]
            at += 1
        back = ((control & 31) << 8) + packed[at] + 1
        at += 1
        start = len(out) - back
        if start < 0:
            raise ValueError("its compressed data point before their begin")
        length += 2
        piece = bytes(out[start : start + length])
        # a reference may reach into what it writes itself: a repeated pattern
        out += (piece * (length // len(piece) + 1))[:length]
    return bytes(out)
