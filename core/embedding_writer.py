"""Writing embeddings as Parquet: part by part, so that no set is too large for the memory."""

# n rows of a part, D width.

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic_io import canonical_json, write_file
from .embeddings import FORMAT, METADATA
from .errors import DataError

_GROUP_ROWS = 1 << 14  # of a row group


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of embeddings.

    Attributes:
        keys: their n samples' names.
        labels: (n,) class indices, or None.
        values: (n, D) float32.
    """

    keys: Sequence[str]
    labels: NDArray[np.int64] | None
    values: NDArray[np.float32]


def write_embeddings(path: Path, parts: Iterator[Part], facts: Mapping[str, Any]) -> None:
    """Write embeddings atomically, a part in memory at a time.

    Args:
        path: the Parquet file.
        parts: at least one, all of one width and with or without labels.
        facts: who made them; JSON values.

    Raises:
        DataError: no part, or parts of different widths.
        MasqueradeError: the system refuses to write.
    """
    first = next(parts, None)
    if first is None:
        raise DataError(f"{path}: no embeddings to write", "give it at least one sample")
    write_file(path, lambda temporary: _write(temporary, first, parts, facts))


def _write(path: Path, first: Part, others: Iterator[Part], facts: Mapping[str, Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    width, labelled = first.values.shape[1], first.labels is not None
    item = pa.field("item", pa.float32(), nullable=False)
    fields = [pa.field("key", pa.string(), nullable=False)]
    fields += [pa.field("label", pa.int64(), nullable=False)] if labelled else []
    fields += [pa.field("feature", pa.list_(item, width), nullable=False)]
    said = canonical_json({"format": FORMAT, **facts}).encode()
    schema = pa.schema(fields, metadata={METADATA: said})
    # floats of a model neither compress nor repeat
    plain = {"compression": {"key": "zstd"}, "use_dictionary": False, "write_statistics": False}
    with parquet.ParquetWriter(path, schema, **plain) as writer:
        for part in chain([first], others):
            if part.values.shape[1] != width or (part.labels is not None) != labelled:
                raise DataError(
                    f"embeddings of '{part.keys[0]}': expected width {width} as before, "
                    f"got {part.values.shape[1]}",
                    "embed all samples with one model",
                )
            columns: list[Any] = [pa.array(list(part.keys), pa.string())]
            columns += [pa.array(part.labels, pa.int64())] if labelled else []
            flat = pa.array(np.ascontiguousarray(part.values, np.float32).ravel())
            columns += [pa.FixedSizeListArray.from_arrays(flat, type=schema.field("feature").type)]
            table = pa.Table.from_arrays(columns, schema=schema)
            writer.write_table(table, row_group_size=_GROUP_ROWS)
