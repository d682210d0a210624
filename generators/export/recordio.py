"""InsightFace's RecordIO: train.rec, train.idx and property, as the usual face loaders read them.

Framing (dmlc-core): magic, a word of 3 bits of continuation and 29 of length, the data, zeros up
to a multiple of four. Data that holds the magic on a multiple of four is cut there. Each record
starts with MXNet's image header 'IfQQ' (flag, label, id, id2); flag > 0 says that so many float32
labels follow.

Record 0 is a header with the labels [n + 1, n + 1 + identities]; records 1 … n are the pictures,
sorted by identity; then one record per identity with the labels [first, last + 1] of its pictures.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...core.atomic_io import new_folder
from ...core.errors import UsageError
from ..engine.dataset import SynthesizedSet
from .folders import refuse_existing

_MAGIC = struct.pack("<I", 0xCED7230A)
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = 0, 1, 2, 3
_EXACT = 1 << 24  # float32 counts no further without gaps, and the format keeps counts in float32


def export_recordio(dataset: SynthesizedSet, out: Path) -> None:
    """Write `out`/train.rec, train.idx and property; `out` appears whole or not at all.

    Raises:
        UsageError: `out` exists, the set is too large for the format, or holds WebP.
        DataError: a shard or the manifest is damaged.
        MasqueradeError: the system refuses to write.
    """
    refuse_existing(out)
    plan = dataset.plan
    if plan.picture.format == "webp":
        raise UsageError(
            f"{dataset.folder} holds WebP, which readers of RecordIO often cannot decode",
            "export it --to folders, or make it with --format jpg or png",
        )
    if len(dataset) + 1 + plan.identities > _EXACT:
        raise UsageError(
            f"{len(dataset):,} pictures of {plan.identities:,} identities: RecordIO keeps counts "
            f"as float32, which is exact up to {_EXACT:,} records",
            "export it --to folders, or make several sets of other seeds",
        )
    height, width = dataset.picture(next(dataset.rows())).shape[:2]
    with new_folder(out) as folder:
        with (folder / "train.rec").open("wb") as rec, (folder / "train.idx").open("w") as idx:
            for number, record in enumerate(_records(dataset)):
                idx.write(f"{number}\t{rec.tell()}\n")
                write_record(rec, record)
        # as the loaders expect it: without a line's end
        (folder / "property").write_text(f"{plan.identities},{height},{width}", encoding="utf-8")


def _records(dataset: SynthesizedSet) -> Iterator[bytes]:
    n, n_identities = len(dataset), dataset.plan.identities
    yield image_record([n + 1, n + 1 + n_identities], 0)
    for number, row in enumerate(dataset.rows(), start=1):
        yield image_record(row.identity, number, dataset.read(row))
    m = dataset.plan.images_per_identity
    for identity in range(n_identities):
        first = 1 + identity * m
        yield image_record([first, first + m], n + 1 + identity)


def image_record(label: int | list[int], number: int, data: bytes = b"") -> bytes:
    """A record with MXNet's image header: one label in it, or several after it.

    Example:
        >>> image_record(7, 3).hex()
        '000000000000e04003000000000000000000000000000000'
    """
    if isinstance(label, int):
        return struct.pack("<IfQQ", 0, float(label), number, 0) + data
    labels = struct.pack(f"<{len(label)}f", *label)
    return struct.pack("<IfQQ", len(label), 0.0, number, 0) + labels + data


def write_record(handle: IO[bytes], data: bytes) -> None:
    """Write one framed record, cut where it holds the magic on a multiple of four.

    Raises:
        UsageError: it is longer than the format's 2^29 - 1 bytes.
    """
    if len(data) >> _LENGTH_BITS:
        raise UsageError(f"a record of {len(data)} bytes is too long for RecordIO", "make it less")
    cuts = list(_cuts(data))
    starts = [0, *(cut + len(_MAGIC) for cut in cuts)]
    ends = [*cuts, len(data)]
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        kind = _MIDDLE
        if place == len(cuts):
            kind = _LAST if cuts else _WHOLE
        elif place == 0:
            kind = _FIRST
        handle.write(_MAGIC + struct.pack("<I", kind << _LENGTH_BITS | end - start))
        handle.write(data[start:end])
    handle.write(bytes(-len(data) % 4))


def _cuts(data: bytes) -> Iterator[int]:
    """The places of the magic on multiples of four."""
    place = data.find(_MAGIC)
    while place >= 0:
        if place % 4 == 0:
            yield place
        # the places of one magic cannot overlap: its bytes differ
        place = data.find(_MAGIC, place + 1)
