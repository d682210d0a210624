"""Pickled plain data, read without Python's unpickler: nothing in the file can be executed.

The opcodes are walked by `pickletools.genops`, which only parses, and those that build plain data
are carried out here. A name is never looked up, let alone called: of all the names that a pickle
can ask for, the few that stand for plain NumPy data and bytes are understood, each by code of our
own; any other name, or opcode, is refused.
"""

import io
import math
import pickletools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import DataError

Value = Any  # None, bool, int, float, str, bytes, list, tuple, dict, a NumPy array or a CSR matrix
_LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_PYTHON_2_TEXTS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})  # bytes, as they were
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_SHORT_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ITEM_KINDS = frozenset({"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"})
_BYTES = (bytes, bytearray)
_MAX_SIDES, _MAX_SIDE = 32, 1 << 40  # of an array's shape
_CORES = ("numpy.core", "numpy._core")  # before NumPy 2, and since
_NAMES = {
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "no bytes",  # so protocols 0 to 2 write b""
    ("__builtin__", "list"): "list",
    ("builtins", "list"): "list",
    ("collections", "defaultdict"): "defaultdict",
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    **{(f"{core}.multiarray", "scalar"): "scalar" for core in _CORES},
    **{(f"{core}.multiarray", "_reconstruct"): "reconstruct" for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): "frombuffer" for core in _CORES},
    **{(f"scipy.sparse.{module}", "csr_matrix"): "csr" for module in ("csr", "_csr")},
}

# what a pickle that does not fit together makes of the steps below
_DAMAGE = (
    ValueError, TypeError, AttributeError, IndexError, KeyError, OverflowError, struct.error,
)  # fmt: skip


class _Mark:
    """Where a list of items begins on the stack."""


class _Name:
    """One of `_NAMES`, as a word; there is nothing behind it."""

    def __init__(self, word: str) -> None:
        self.word = word


class _Unbuilt:
    """A NumPy type or array, or a sparse matrix, that its BUILD opcode has not filled yet."""

    def __init__(self, word: str, kind: str = "") -> None:
        self.word, self.kind = word, kind
        self.places: list[int] = []  # where the memo holds it


class _Refused(Exception):  # noqa: N818 - becomes a DataError with file and place
    """Something that is no plain data."""


def read_pickled_data(data: bytes, where: str) -> Value:
    r"""The plain data in a pickle of any protocol; texts of Python 2 become bytes.

    Args:
        data: the pickle.
        where: the file's name, for messages.

    Raises:
        DataError: the pickle is damaged, or holds anything but None, numbers, texts, bytes,
            lists, tuples, dictionaries, NumPy arrays or scalars of plain numbers, and SciPy's
            matrices of compressed rows; names what and where.

    Example:
        >>> read_pickled_data(b"(K\x01U\x03abct.", "two values")
        (1, b'abc')
    """
    machine, place = _Machine(), 0
    try:
        for opcode, argument, position in pickletools.genops(io.BytesIO(data)):
            place = position or 0
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except _Refused as error:
        raise DataError(
            f"refused {where}: {error} (byte {place}); only plain data is read, and no code is run",
            "ask its author for a file of plain data",
        ) from error
    except _DAMAGE as error:
        raise DataError(
            f"{where} is damaged or no pickle (after byte {place}): {error}", "fetch it again"
        ) from error
    raise DataError(f"{where} is damaged: the pickle does not end", "fetch it again")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}

    def step(self, name: str, argument: Value) -> None:
        """Carry out one opcode."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _PYTHON_2_TEXTS:
            self.stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _PUT:
            self._remember(argument)
        elif name in _GET:
            if argument not in self.memo:
                raise ValueError(f"value {argument} is asked for before it was stored")
            self.stack.append(self.memo[argument])
        elif name in _SHORT_TUPLES:
            self.stack.append(tuple(self._pop() for _ in range(_SHORT_TUPLES[name]))[::-1])
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            raise _Refused(f"it holds the opcode {name}")

    def result(self) -> Value:
        """The only value that is left."""
        (value,) = self.stack
        return self._whole(value)

    def _pop(self) -> Value:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise IndexError("a value is missing on the stack")
        return value

    def _whole(self, value: Value) -> Value:
        if isinstance(value, _Mark | _Name | _Unbuilt):
            raise ValueError("something that is no value stands where one is expected")
        return value

    def _since_mark(self) -> list[Value]:
        items = []
        while not isinstance(value := self.stack.pop(), _Mark):
            items.append(value)
        return items[::-1]

    def _extend(self, items: list[Value]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError(f"items are appended to a {type(target).__name__}")
        target += map(self._whole, items)

    def _dict(self) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._set_items(items)

    def _set_items(self, items: list[Value]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError(f"items are set in a {type(target).__name__}")
        target.update(zip(*[iter(map(self._whole, items))] * 2, strict=True))

    def _remember(self, place: int) -> None:
        value = self.stack[-1]
        self.memo[place] = value
        if isinstance(value, _Unbuilt):
            value.places.append(place)

    def _name(self, module: str, name: str) -> None:
        word = _NAMES.get((module, name)) if isinstance(module, str) else None
        if word is None:
            raise _Refused(f"it asks for '{module}.{name}'"[:120])
        self.stack.append(_Name(word))

    def _reduce(self) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Name) or called.word not in _MADE:
            raise _Refused("it calls something that is no function")
        self.stack.append(_MADE[called.word](*arguments))

    def _new(self) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Name) or called.word != "csr" or arguments:
            raise _Refused("it makes an object of something that is no sparse matrix")
        self.stack.append(_Unbuilt("csr"))

    def _build(self) -> None:
        state, target = self._pop(), self.stack.pop()
        if not isinstance(target, _Unbuilt):
            raise _Refused("it sets the state of something that is no NumPy array")
        made = {"array": _array, "csr": _compressed_rows}
        value = _typed(target.kind, state) if target.word == "dtype" else made[target.word](state)
        for place in target.places:
            self.memo[place] = value
        self.stack.append(value)


_ACTIONS: dict[str, Callable[[_Machine, Value], None]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "MARK": lambda machine, _: machine.stack.append(_Mark()),
    "MEMOIZE": lambda machine, _: machine._remember(len(machine.memo)),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "LIST": lambda machine, _: machine.stack.append([*map(machine._whole, machine._since_mark())]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine._since_mark())),
    "APPEND": lambda machine, _: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._since_mark()),
    "GLOBAL": lambda machine, text: machine._name(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine._name(*[machine._pop(), machine._pop()][::-1]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "DICT": lambda machine, _: machine._dict(),
    "SETITEM": lambda machine, _: machine._set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._since_mark()),
    "NEWOBJ": lambda machine, _: machine._new(),
    "REDUCE": lambda machine, _: machine._reduce(),
    "BUILD": lambda machine, _: machine._build(),
}


def _encoded(text: str, coding: str) -> bytes:
    """Bytes as Python 3 writes them into pickles of protocol 2."""
    if coding not in ("latin1", "latin-1"):
        raise _Refused(f"it encodes a text as {coding!r}")
    return text.encode("latin-1")


def _scalar(kind: np.dtype, data: bytes) -> Value:
    (value,) = np.frombuffer(data, _plain(kind))
    return value.item()


_MADE: dict[str, Callable[..., Value]] = {
    "encode": _encoded,
    "no bytes": lambda: b"",
    "scalar": _scalar,
    "dtype": lambda kind, *_: _Unbuilt("dtype", kind),
    "reconstruct": lambda *_: _Unbuilt("array"),
    "frombuffer": lambda data, kind, shape, order: _array((1, shape, kind, order == "F", data)),
    "defaultdict": lambda *_: {},  # what absent keys would get is no data
}


def _text(value: Value) -> Value:
    """A text, which Python 2 wrote as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _typed(kind: Value, state: Value) -> np.dtype:
    """The type that a dtype's name and its state (version, byte order, …) mean."""
    kind, order = _text(kind), _text(state[1])
    if kind not in _ITEM_KINDS or order not in ("|", "<"):
        raise _Refused("it holds an array of other items than plain little-endian numbers")
    return np.dtype(f"<{kind}")


def _plain(kind: Value) -> np.dtype:
    if not isinstance(kind, np.dtype):
        raise _Refused("it holds an array of a type that is no number")
    return kind


def _array(state: Value) -> np.ndarray:
    """The array that a state (version, shape, type, Fortran order, bytes) means."""
    _, shape, kind, fortran, data = state
    known = isinstance(shape, tuple) and len(shape) <= _MAX_SIDES and isinstance(data, _BYTES)
    if not known or not all(isinstance(side, int) and 0 <= side < _MAX_SIDE for side in shape):
        raise ValueError("an array without a shape or without bytes")
    if len(data) != _plain(kind).itemsize * math.prod(shape):
        raise ValueError(f"an array of {math.prod(shape)} {kind} has {len(data)} bytes")
    return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _compressed_rows(state: Value) -> Value:
    """The sparse matrix that a state (shape, where rows begin, columns, values) means."""
    from scipy.sparse import csr_matrix

    plain = {_text(name): value for name, value in state.items()}
    (n_rows, n_columns), starts, columns, values = (
        plain[name] for name in ("_shape", "indptr", "indices", "data")
    )
    if not all(isinstance(a, np.ndarray) and a.ndim == 1 for a in (starts, columns, values)):
        raise ValueError("a sparse matrix without its three arrays")
    whole = all(np.issubdtype(a.dtype, np.integer) for a in (starts, columns))
    if not whole or len(starts) != n_rows + 1 or len(columns) != len(values):
        raise ValueError(f"a sparse matrix of {n_rows} rows has {len(starts)} row pointers")
    if starts[0] != 0 or starts[-1] != len(columns) or (np.diff(starts) < 0).any():
        raise ValueError("the rows of a sparse matrix overlap")
    if len(columns) and not 0 <= columns.min() <= columns.max() < n_columns:
        raise ValueError(f"a sparse matrix of {n_columns} columns names column {columns.max()}")
    return csr_matrix((values, columns, starts), shape=(n_rows, n_columns))
