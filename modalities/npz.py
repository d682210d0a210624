"""Arrays of `.npz` files, read without running anything and without trusting their headers."""

import zipfile
import zlib
from pathlib import Path

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


def read_member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    """One array; the header must agree with the member's size before memory is taken.

    Raises:
        DataError: it is damaged, or holds pickled objects.
    """
    try:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as handle:
            version = npy.read_magic(handle)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = header(handle)
            if dtype.hasobject:
                raise DataError(
                    f"{path}: the array {name!r} holds pickled objects, which could run code",
                    "write it as numbers",
                )
            length = handle.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
            if length != info.file_size:
                raise ValueError(f"the header asks for {length} bytes of {info.file_size}")
        with archive.open(info) as handle:
            return npy.read_array(handle, allow_pickle=False)
    except (
        OSError, ValueError, KeyError, EOFError, SyntaxError, TypeError, MemoryError,
        OverflowError, RecursionError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path}: the array {name!r} is damaged: {error}", "write the file again"
        ) from error
