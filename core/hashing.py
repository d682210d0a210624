"""Content hashes: the names by which weights, data and settings are known."""

import hashlib
from pathlib import Path
from typing import Any

from .atomic_io import canonical_json

_ID_BITS = 63  # a sample id fits a signed 64-bit integer


def sha256_file(path: Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """The sha256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The sha256 of a value's canonical JSON."""
    return sha256_bytes(canonical_json(value).encode())


def sample_id(key: str) -> int:
    """The sample's 63-bit id, a hash of its key, so that it never depends on its neighbours.

    Example:
        >>> sample_id("cat/001") == sample_id("cat/001")
        True
    """
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & ((1 << _ID_BITS) - 1)
