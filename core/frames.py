"""Tables of predictions: their content hash, and Parquet files of them.

The hash is of the content alone: column names, kinds and canonical bytes. Two Parquet files of
different writers, compressions or metadata with the same rows have the same hash.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .atomic_io import canonical_json
from .errors import ValidationError

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pyarrow import DataType
    from pyarrow.parquet import ParquetFile

MAX_ROWS = 100_000_000
MAX_BYTES = 8 << 30  # of a table unpacked
_SMALL = 4 << 20  # bytes of a table that threads would only slow down


def content_hash(frame: "DataFrame") -> str:
    """The sha256 of a table's content: columns by name, rows in order.

    Per column a canonical JSON header [name, kind, shape], then its values: integers as
    little-endian int64, floats as little-endian float64, booleans as bytes, texts as UTF-8 with
    their lengths before them, lists of numbers as one float64 matrix.

    Raises:
        ValidationError: NaN, infinity, a missing value or lists of different lengths; names column
            and row.
    """
    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        kind, shape, data = _canonical(frame[name], str(name))
        digest.update(canonical_json([str(name), kind, list(shape)]).encode() + b"\n" + data)
    return digest.hexdigest()


def _canonical(column: "Series", name: str) -> tuple[str, tuple[int, ...], bytes]:
    array = column.to_numpy()
    if array.dtype.kind in "iu":
        return "int64", array.shape, array.astype("<i8").tobytes()
    if array.dtype.kind == "b":
        return "bool", array.shape, array.astype("u1").tobytes()
    if array.dtype.kind == "f":
        return "float64", array.shape, _finite(array, name).tobytes()
    values = array.tolist()
    if all(isinstance(value, str) for value in values):
        texts = [value.encode() for value in values]
        lengths = np.array([len(text) for text in texts], dtype="<i8")
        return "text", array.shape, lengths.tobytes() + b"".join(texts)
    return _canonical_lists(values, name)


def _canonical_lists(values: list, name: str) -> tuple[str, tuple[int, ...], bytes]:
    widths = [len(value) if hasattr(value, "__len__") else -1 for value in values]
    for row, (value, width) in enumerate(zip(values, widths, strict=True)):
        if isinstance(value, str) or width != widths[0] or width < 0:
            raise ValidationError(
                f"column '{name}' row {row}: expected one kind of value in every row, "
                f"got {str(value)[:60]!r}"
            )
    matrix = _finite(np.array(values, dtype=np.float64), name)
    return "matrix", matrix.shape, matrix.tobytes()


def _finite(array: NDArray, name: str) -> NDArray:
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValidationError(f"column '{name}' row {row}: expected finite numbers, got NaN or inf")
    return array.astype("<f8")


def write_frame(frame: "DataFrame", path: Path) -> None:
    """Write a table as Parquet (to a temporary name; see `atomic_io.write_file`)."""
    frame.to_parquet(path, index=False)


def read_frame(path: Path) -> "DataFrame":
    """The table in a Parquet file of anybody's.

    Only plain columns are read (whole and real numbers, truth values, texts, lists of real
    numbers), and what the writer says about pandas is not looked at. A few bytes of Parquet can
    stand for any number of rows, so their number is limited before anything is unpacked.

    Raises:
        ValidationError: missing, no Parquet, too large, or a column of another kind.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            n_bytes = _check_form(file, path)
            threads = n_bytes > _SMALL
            table = file.read(use_threads=threads)
            return table.to_pandas(ignore_metadata=True, use_threads=threads)
    except (OSError, ArrowException, UnicodeDecodeError) as error:
        raise ValidationError(f"{path}: expected a Parquet table, found {error}") from error


def _check_form(file: "ParquetFile", path: Path) -> int:
    """Refuse what is too large or of other columns; the bytes of the table unpacked."""
    n_rows, n_bytes = file.metadata.num_rows, 0
    for group in range(file.metadata.num_row_groups):
        n_bytes += file.metadata.row_group(group).total_byte_size
    for what, found, most in (("rows", n_rows, MAX_ROWS), ("bytes", n_bytes, MAX_BYTES)):
        if found > most:
            raise ValidationError(f"{path}: {what}: found {found}, expected at most {most}")
    schema = file.schema_arrow
    for field in schema:
        if not _is_plain(field.type):
            raise ValidationError(
                f"{path}: column '{field.name}': found {field.type}, expected whole or real "
                "numbers, truth values, texts or lists of real numbers"
            )
    if len(set(schema.names)) < len(schema.names):
        raise ValidationError(f"{path}: columns: found a name twice, expected each once")
    return n_bytes


def _is_plain(kind: "DataType") -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return types.is_floating(kind.value_type)
    plain = (types.is_integer, types.is_floating, types.is_boolean, types.is_string)
    return any(of(kind) for of in plain) or types.is_large_string(kind)
