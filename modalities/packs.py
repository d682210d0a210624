"""Packing and verifying the sources of any modality."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.modality import Sample, Source
from .packing import PackSource, write_pack
from .registry import modality

Progress = Callable[[Iterable[int]], Iterable[int]]


def pack_source(
    source: Source,
    out: Path,
    short_side: int | None = None,
    *,
    strict: bool = False,
    progress: Progress = iter,
) -> list[tuple[str, str]]:
    """Pack decoded samples (`Modality.whole`); returns (key, reason) of the files left out.

    Args:
        source: what to pack.
        out: the new folder.
        short_side: larger pictures and frames are scaled down to it; None = full size, loss-free.
        strict: stop at the first damaged file.
        progress: wraps the range of indices.

    Raises:
        as `write_pack`.
    """

    def decode(sample: Sample) -> NDArray[np.uint8]:
        return adapter.whole(sample, short_side)

    adapter = modality(source.modality)
    settings = {"modality": source.modality, "short_side": short_side, "source": source.name}
    return write_pack(source, decode, out, settings=settings, strict=strict, progress=progress)


def damaged_files(source: Source, progress: Progress = iter) -> list[tuple[str, str]]:
    """(key, reason) of each sample that cannot be decoded, or whose checksum is wrong."""
    if isinstance(source, PackSource):
        return source.damaged()
    damaged, adapter = [], modality(source.modality)
    for index in progress(range(len(source))):
        try:
            adapter.check(source.read(index))
        except DataError as error:
            damaged.append((source.keys[index], error.message))
    return damaged
