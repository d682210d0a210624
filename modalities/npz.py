"""Arrays of `.npz` and `.npy` files, read without running anything or trusting their headers."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..core.errors import DataError


def open_zip(path: Path) -> zipfile.ZipFile:
    """The archive that an .npz file is.

    Raises:
        DataError: it is none, or damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged or no .npz: {error}", "write it again") from error


def member_names(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays in an archive."""
    return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, SyntaxError, TypeError, MemoryError,
    OverflowError, RecursionError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def read_member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """One array; the header must agree with the member's size before memory is taken.

    Raises:
        DataError: it is damaged, or holds pickled objects.
    """
    try:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as handle:
            _check_header(f"{path}: the array {name!r}", handle, info.file_size)
        with archive.open(info) as handle:
            return npy.read_array(handle, allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(
            f"{path}: the array {name!r} is damaged: {error}", "write the file again"
        ) from error


def read_npy(name: str, data: bytes) -> NDArray[np.generic]:
    """The array of a `.npy` file's bytes.

    Args:
        name: of the file, for messages.
        data: all of it.

    Raises:
        DataError: it is damaged, or holds pickled objects.
    """
    try:
        _check_header(name, io.BytesIO(data), len(data))
        return npy.read_array(io.BytesIO(data), allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(f"{name} is damaged or no .npy: {error}", "write it again") from error


def _check_header(what: str, handle: IO[bytes], size: int) -> None:
    """Refuse objects, and a header that asks for other than the bytes that are there.

    Raises:
        DataError: the array holds pickled objects.
        ValueError: the header is wrong.
    """
    version = npy.read_magic(handle)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(handle)
    if dtype.hasobject:
        raise DataError(
            f"{what} holds pickled objects, which could run code", "write it as numbers"
        )
    length = handle.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
    if length != size:
        raise ValueError(f"the header asks for {length} bytes of {size}")
