"""PLY files, ASCII and binary, read without trusting what their headers declare.

Open3D's reader of them is native code that a damaged file can crash, and the process with it;
this one only ever fails with `DataError`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from .shapes import Faces, Shape, as_faces, fan, shape_of

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 16
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str  # of the values
    count: str | None = None  # of a list's length; None = one value


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]

    def row(self, order: str) -> np.dtype:
        """The binary layout of a row without lists."""
        return np.dtype([(f"{i}", order + p.kind) for i, p in enumerate(self.properties)])

    @property
    def has_lists(self) -> bool:
        return any(p.count for p in self.properties)

    def place(self, name: str) -> int:
        return [p.name for p in self.properties].index(name)


def read_ply(name: str, data: bytes) -> Shape:
    """The points of a PLY file, with its faces where it has any.

    Raises:
        DataError: it is damaged or no PLY; names the file.
    """
    try:
        return _read(name, data)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is damaged or no PLY: {error}", "write it again") from error


def _read(name: str, data: bytes) -> Shape:
    order, elements, body = _header(data)
    rest = data[body:]
    read = _AsciiBody(rest) if order == "" else _BinaryBody(rest, order)
    points, faces = None, None
    for element in elements:
        if element.name == "vertex":
            values = read.rows(element)
            points = np.stack([values[element.place(axis)] for axis in _AXES], axis=1)
        elif element.name == "face" and element.has_lists:
            faces = read.polygons(element)
        elif element.has_lists:
            read.polygons(element)
        else:
            read.rows(element)
    if points is None:
        raise ValueError("it has no element 'vertex'")
    return shape_of(name, points, faces)


def _header(data: bytes) -> tuple[str, list[_Element], int]:
    """Byte order ("" = ASCII), the elements, and where the body begins."""
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise ValueError("its header does not go from 'ply' to 'end_header'")
    order, elements = None, []
    for line in data[:end].decode("ascii", errors="replace").splitlines()[1:]:
        match line.split():
            case ["format", kind, *_]:
                order = _ORDERS[kind]
            case ["element", what, count]:
                elements.append(_Element(what, int(count), ()))
            case ["property", "list", count, kind, what]:
                elements[-1] = _with(elements[-1], _Property(what, _TYPES[kind], _TYPES[count]))
            case ["property", kind, what]:
                elements[-1] = _with(elements[-1], _Property(what, _TYPES[kind]))
            case [] | ["comment", *_] | ["obj_info", *_]:
                continue
            case _:
                raise ValueError(f"its header has the line {line[:60]!r}")
    if order is None or any(e.count < 0 or not e.properties for e in elements if e.count):
        raise ValueError("its header lacks a format, or an element its properties")
    return order, elements, newline + 1


def _with(element: _Element, added: _Property) -> _Element:
    return _Element(element.name, element.count, (*element.properties, added))


class _AsciiBody:
    """The numbers of an ASCII body, in order."""

    def __init__(self, data: bytes) -> None:
        self._words = data.split()
        self._at = 0

    def rows(self, element: _Element) -> list[NDArray[np.float64]]:
        """A column per property."""
        width = len(element.properties)
        words = self._take(element.count * width)
        table = np.array(words, dtype="S32").astype(np.float64).reshape(element.count, width)
        return list(table.T)

    def polygons(self, element: _Element) -> Faces:
        triangles = []
        for _ in range(element.count):
            for p in element.properties:
                size = int(self._take(1)[0]) if p.count else 1
                values = self._take(size)
                if p.count and p.name.startswith("vertex_ind"):
                    triangles += fan([int(v) for v in values])
        return as_faces(triangles)

    def _take(self, count: int) -> list[bytes]:
        if count < 0 or self._at + count > len(self._words):
            raise ValueError(f"it declares more than the {len(self._words)} values that it has")
        self._at += count
        return self._words[self._at - count : self._at]


class _BinaryBody:
    """The rows of a binary body, in order."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data, self._order, self._at = data, order, 0

    def rows(self, element: _Element) -> list[NDArray[np.float64]]:
        """A column per property."""
        if element.has_lists:
            raise ValueError(f"its element '{element.name}' has lists")
        table = self._table(element.row(self._order), element.count)
        return [table[name].astype(np.float64) for name in table.dtype.names or ()]

    def polygons(self, element: _Element) -> Faces:
        fast = self._triangles(element)
        if fast is not None:
            return fast
        triangles = []
        for _ in range(element.count):
            for p in element.properties:
                size = int(self._table(np.dtype(self._order + p.count), 1)[0]) if p.count else 1
                values = self._table(np.dtype(self._order + p.kind), size)
                if p.count and p.name.startswith("vertex_ind"):
                    triangles += fan(values.tolist())
        return as_faces(triangles)

    def _triangles(self, element: _Element) -> Faces | None:
        """All at once where the element is one list and every list has three entries."""
        if len(element.properties) != 1 or not element.count:
            return None
        (only,) = element.properties
        row = np.dtype([("n", self._order + (only.count or "")), ("v", self._order + only.kind, 3)])
        if len(self._data) - self._at < element.count * row.itemsize:
            return None
        before = self._at
        table = self._table(row, element.count)
        if (table["n"] != 3).any() or not only.name.startswith("vertex_ind"):
            self._at = before
            return None
        return table["v"].astype(np.int64)

    def _table(self, row: np.dtype, count: int) -> NDArray[np.void]:
        size = row.itemsize * count
        if count < 0 or self._at + size > len(self._data):
            left = len(self._data) - self._at
            raise ValueError(f"it declares {size} bytes where {left} are left")
        self._at += size
        return np.frombuffer(self._data, dtype=row, count=count, offset=self._at - size)
