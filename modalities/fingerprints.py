"""The hash of a source's contents: equal for a folder and a tar of it, for arrays and a pack."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ..core.modality import Source


def fingerprint(source: Source) -> str:
    """The sha256 of all keys, labels and contents, in the order of the keys.

    Encoded files count by their bytes, arrays by shape and values.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for index, key in enumerate(source.keys):
        sample = source.read(index)
        label = "" if sample.label is None else str(sample.label)
        digest.update(f"{key}\0{label}\0{content_digest(sample.content)}\n".encode())
    return digest.hexdigest()


def content_digest(content: object) -> str:
    """The sha256 of one sample's content: an encoded file's bytes, an array's shape and values."""
    if isinstance(content, np.ndarray):
        return array_hash(content)
    return content.digest()  # type: ignore[attr-defined,no-any-return]


def array_hash(array: NDArray[np.generic]) -> str:
    """The sha256 of an array's type, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
