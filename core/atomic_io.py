"""Writing files so that a crash leaves the old file or the new one, never half of one."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import MasqueradeError


def canonical_json(value: Any, default: Callable[[Any], Any] | None = None) -> str:  # noqa: ANN401
    """Canonical JSON text: sorted keys, no spaces, UTF-8, no NaN or infinity.

    Args:
        value: any JSON value.
        default: makes one of what is none.

    Raises:
        ValueError: the value holds a NaN or an infinity.

    Example:
        >>> canonical_json({"b": 1, "a": [1.5, None]})
        '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False,
        default=default,
    )  # fmt: skip


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's refusal into one sentence with the mend."""
    try:
        yield
    except OSError as error:
        raise MasqueradeError(
            f"cannot write {path}: {error.strerror or error}",
            "free space there or choose another folder with --out",
        ) from error


def _umask() -> int:
    """The process's mask of permissions; the system tells it only while setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then fsync it and rename it to `path`.

    Raises:
        MasqueradeError: the disk is full, the folder is read-only, …; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            temporary.chmod(0o666 & ~_umask())  # some writers give the owner alone access
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    write_file(path, lambda temporary: temporary.write_bytes(data))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when not.

    Every file inside is fsynced before the rename. An existing `path` is replaced.

    Raises:
        MasqueradeError: the system refuses to write.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
