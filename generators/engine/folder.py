"""The folder of a synthesized set: its names, its lock, and the claims on its shards.

Locks are POSIX record locks: the system drops them when their process dies, so nothing that a
killed process held stays held, on one machine or on a shared folder. A process loses its locks
on a file when it closes *any* handle on it, so each of the two files is opened once.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...core.atomic_io import explained
from ...core.errors import UsageError

PLAN = "plan.json"
PREPARED = "prepared"
SHARDS = "shards"
MANIFEST = "manifest.parquet"
INDEX = "shards.json"
AUDIT = "audit.json"
FINAL = (AUDIT, MANIFEST, INDEX)  # in the order in which they are withdrawn
_LOCK = ".lock"
_CLAIMS = ".claims"
_POLL_S = 0.1

Say = Callable[[str], None]


def enter(folder: Path) -> None:
    """Make the folder, or accept one that the engine has begun.

    Raises:
        UsageError: it is a file, or holds something else.
        MasqueradeError: the system refuses to write.
    """
    if folder.is_file():
        raise UsageError(f"{folder} is a file, expected a folder", "choose another one with --out")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        ours = (folder / PLAN).exists() or (folder / _LOCK).exists()
        other = [] if ours else sorted(path.name for path in folder.iterdir())
        # another process may have begun between the two looks
        if other and not (folder / _LOCK).exists():
            raise UsageError(
                f"the folder {folder} holds other files ({other[0]}, …) and no plan",
                "choose an empty or a new folder with --out",
            )
        (folder / _LOCK).touch()


@contextmanager
def locked(folder: Path, say: Say) -> Iterator[None]:
    """Hold the folder's lock inside the block; wait for it, and say so."""
    with explained(folder):
        handle = (folder / _LOCK).open("a+")
    with handle:
        if not _take(handle, 0):
            say(f"another process is at work on the plan or the audit of {folder}; waiting for it")
            while not _take(handle, 0):
                time.sleep(_POLL_S)
        yield


class Claims:
    """Claims on units: one byte of one file each. Open it once in a process."""

    def __init__(self, folder: Path) -> None:
        with explained(folder):
            self._handle = (folder / _CLAIMS).open("a+")

    def take(self, unit: int) -> bool:
        """Claim a unit; False while another process holds it."""
        return _take(self._handle, unit)

    def free(self, unit: int) -> None:
        """Give a unit back."""
        fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, unit, os.SEEK_SET)

    def close(self) -> None:
        """Give all back."""
        self._handle.close()


def _take(handle: IO[str], place: int) -> bool:
    with explained(Path(handle.name)):
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place, os.SEEK_SET)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
    return True


def sweep(folder: Path, pattern: str = ".*.tmp") -> None:
    """Remove temporary files that a killed process left; call it under the lock or the claim."""
    for path in folder.glob(pattern):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def present(folder: Path) -> set[str]:
    """The names of the shards that are there."""
    shards = folder / SHARDS
    if not shards.is_dir():
        return set()
    with os.scandir(shards) as entries:
        return {entry.name for entry in entries if entry.name.endswith(".tar")}
