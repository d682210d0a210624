"""Whole numbers and tables in text files, read fast, each mistake named with its line."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

_MAX_EXPANSION = 1000  # of a packed file: more is a bomb


def read_text(path: Path) -> str:
    """A text file, unpacked where its name ends in .gz.

    Raises:
        DataError: it cannot be read, is no text, or its packing is damaged.
    """
    try:
        data = path.read_bytes()
        return (_unpacked(data, path) if path.suffix == ".gz" else data).decode("utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read {path}: {reason}", "restore the file") from error
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}", "fetch it again") from error


def _unpacked(data: bytes, path: Path) -> bytes:
    limit = _MAX_EXPANSION * len(data)
    with gzip.open(path) as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise DataError(f"{path} unpacks to more than {limit} bytes", "it is no table")
    return text


def read_numbers(path: Path, columns: int | None = None) -> NDArray[np.float64]:
    """The rows of a table of numbers separated by commas or spaces, without a heading.

    Args:
        path: the file, .gz or not.
        columns: how many there must be; None = any number, the same in each line.

    Returns:
        (lines, columns) float64; no lines give (0, columns).

    Raises:
        DataError: a line is no such row; names it.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        return np.empty((0, columns or 0))
    width = columns if columns is not None else len(lines[0].replace(",", " ").split())
    values = [line.replace(",", " ").split() for line in lines]
    wrong = next((i for i, found in enumerate(values) if len(found) != width), None)
    if wrong is not None:
        raise DataError(
            f"{path}, line {wrong + 1}: {len(values[wrong])} numbers, expected {width}",
            "mend the line",
        )
    try:
        return np.array(values, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}: {error}", "expected numbers only") from error


def read_ids(path: Path, columns: int = 1) -> NDArray[np.int64]:
    """A table of whole numbers: (lines, columns), or (lines,) of one column.

    Raises:
        DataError: as `read_numbers`, or a number is not whole.
    """
    numbers = read_numbers(path, columns)
    whole = np.isfinite(numbers) & (np.abs(numbers) < 2**53) & (numbers == np.floor(numbers))
    if not whole.all():
        line = int(np.argwhere(~whole)[0][0])
        raise DataError(f"{path}, line {line + 1}: expected whole numbers", "mend the line")
    ids = numbers.astype(np.int64)
    return ids[:, 0] if columns == 1 else ids
