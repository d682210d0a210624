"""Embeddings in a Parquet file (see `embedding_writer`), memory-mapped and read block by block.

Columns: `key` (text), `label` (class index; left out where there are none), `feature` (a list of
D float32). The schema's metadata says under "masquerade" who made it: subject, its hash, training
data, preprocessing, data, and the names of the classes.
"""

# N rows, D width, n rows of a block.

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .atomic_io import canonical_json
from .errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

FORMAT = "masquerade-embeddings/1"
METADATA = b"masquerade"
_ROWS = 1 << 12
_KEY_ROWS = 1 << 16
_MEND = "make it with `masquerade embed SUBJECT --data DATA --out FILE.parquet`"


class Embeddings:
    """The embeddings in a Parquet file; nothing but its footer is read before it is asked for.

    The file is memory-mapped and its pages are given back after each block, so reading holds one
    block, whatever the file's size.

    Args:
        path: what `masquerade embed` wrote, or any table with a column `feature` of equally long
            lists of floats and a column `key`.

    Attributes:
        path: the file.
        width: D.
        facts: what its metadata says; {} in files of others.

    Raises:
        DataError: missing, no Parquet, without these columns, or without a row.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with self._opened() as (file, _):
            self._n = int(file.metadata.num_rows)
            self._columns = frozenset(file.schema_arrow.names)
            self.facts = _facts_of(file.schema_arrow.metadata or {})
            _check_columns(self.path, file.schema_arrow)
        if self._n < 1:
            raise DataError(f"{self.path} holds no embedding", _MEND)
        _, first = next(self._lists(1))
        self.width = int(first[0])
        if self.width < 1:
            raise DataError(f"{self.path} row 0: expected an embedding, got none", _MEND)

    def __len__(self) -> int:
        return self._n

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self._n, self.width

    def blocks(self, n_rows: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First row number and (n, D) float32 rows, n <= `n_rows`, from the first to the last row.

        Raises:
            DataError: a row has another width, or none.
        """
        start = 0
        for values, widths in self._lists(n_rows):
            other = widths != self.width
            if other.any():
                row = int(np.argmax(other))
                raise DataError(
                    f"{self.path} row {start + row}: expected an embedding of width "
                    f"{self.width} as in row 0, got {widths[row]}",
                    "embed all samples with one model",
                )
            yield start, values.reshape(-1, self.width)
            start += len(widths)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some rows (n, D), in the order asked for; one pass through the file."""
        wanted = np.argsort(rows, kind="stable")
        found = np.empty((len(rows), self.width), dtype=np.float32)
        for start, block in self.blocks(_ROWS):
            low, high = np.searchsorted(rows[wanted], [start, start + len(block)])
            found[wanted[low:high]] = block[rows[wanted[low:high]] - start]
        return found

    def key_blocks(self) -> Iterator[tuple[int, list[str]]]:
        """First row number and names of some rows, from the first to the last row.

        Raises:
            DataError: a row has no name.
        """
        start = 0
        for column in self._batches(_KEY_ROWS, "key"):
            if column.null_count:
                raise DataError(f"{self.path}: expected a key in every row, got none", _MEND)
            try:
                keys = column.to_pylist()
            except UnicodeDecodeError as error:
                raise DataError(f"{self.path}: a key is no text: {error}", _MEND) from error
            yield start, keys
            start += len(keys)

    def keys_at(self, rows: NDArray[np.int64]) -> list[str]:
        """The names of some rows, in the order asked for."""
        found = np.empty(len(rows), dtype=object)
        for start, keys in self.key_blocks():
            inside = np.flatnonzero((rows >= start) & (rows < start + len(keys)))
            found[inside] = [keys[row - start] for row in rows[inside]]
        return found.tolist()

    def rows_of(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The rows of some names: (n,).

        Raises:
            DataError: a name is missing here, or stands in two rows.
        """
        place = {key: row for row, key in enumerate(keys)}
        rows = np.full(len(keys), -1, dtype=np.int64)
        for start, names in self.key_blocks():
            for row, name in enumerate(names, start):
                if name not in place:
                    continue
                if rows[place[name]] >= 0:
                    raise DataError(f"{self.path}: '{name}' stands in two rows", _MEND)
                rows[place[name]] = row
        if (rows < 0).any():
            missing = keys[int(np.argmax(rows < 0))]
            raise DataError(
                f"{self.path} has no embedding of '{missing}' ({int((rows < 0).sum())} of "
                f"{len(keys)} are missing)",
                "name the data that it was made of, or the file itself, with --data",
            )
        return rows

    def identities(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Whose each row is (N,), and the names: by its label, or else by its key's folder.

        Labels count where the file says what they mean, or where keys have no folder.

        Raises:
            DataError: there are neither labels nor folders.
        """
        classes, labels = self.facts.get("classes"), self.labels()
        if labels is not None and classes and 0 <= labels.min() <= labels.max() < len(classes):
            return labels, tuple(classes)
        numbers: dict[str, int] = {}
        places = np.empty(self._n, dtype=np.int64)
        for start, keys in self.key_blocks():
            folders = [key.rpartition("/")[0] for key in keys]
            if "" in folders:
                return self._by_label(labels, keys[folders.index("")])
            places[start : start + len(keys)] = [
                numbers.setdefault(folder, len(numbers)) for folder in folders
            ]
        return _sorted_names(places, list(numbers))

    def _by_label(
        self, labels: NDArray[np.int64] | None, key: str
    ) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        if labels is None:
            raise DataError(
                f"{self.path} does not say whose '{key}' is: it has no labels, and the key has no "
                "folder",
                "embed a data set with one folder per class",
            )
        known, places = np.unique(labels, return_inverse=True)
        return _sorted_names(places, [str(label) for label in known])

    def labels(self) -> NDArray[np.int64] | None:
        """The class indices (N,); None where there are none."""
        if "label" not in self._columns:
            return None
        parts = [part.to_numpy() for part in self._batches(_KEY_ROWS, "label")]
        return np.concatenate(parts).astype(np.int64)

    def content_hash(self) -> str:
        """The sha256 of keys, labels and features, as `frames.content_hash` defines it.

        Raises:
            DataError: a row is not finite or has another width.
        """
        return self._scanned[0]

    def zero_row(self) -> int | None:
        """The first row whose embedding is zero; None where each has a direction.

        Raises:
            DataError: as for `content_hash`, which is one pass with this.
        """
        return self._scanned[1]

    @cached_property
    def _scanned(self) -> tuple[str, int | None]:
        """The hash and the first zero row."""
        digest, zero = hashlib.sha256(), None
        header = canonical_json(["feature", "matrix", [self._n, self.width]])
        digest.update(header.encode() + b"\n")
        for start, block in self.blocks(_ROWS):
            bad = ~np.isfinite(block).all(axis=1)
            if bad.any():
                raise DataError(
                    f"{self.path} row {start + int(np.argmax(bad))}: expected finite numbers",
                    "leave that sample out, or look at the model that made it",
                )
            flat = ~block.any(axis=1)
            if zero is None and flat.any():
                zero = start + int(np.argmax(flat))
            digest.update(block.astype("<f8").tobytes())
        digest.update(canonical_json(["key", "text", [self._n]]).encode() + b"\n")
        for _, keys in self.key_blocks():
            lengths = [len(key.encode()) for key in keys]
            digest.update(np.array(lengths, dtype="<i8").tobytes())
        for _, keys in self.key_blocks():
            digest.update("".join(keys).encode())
        labels = self.labels()
        if labels is not None:
            digest.update(canonical_json(["label", "int64", [self._n]]).encode() + b"\n")
            digest.update(labels.astype("<i8").tobytes())
        return digest.hexdigest(), zero

    def _lists(self, n_rows: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All numbers of some rows, one after the other, and how many each row has."""
        import pyarrow.compute as pc

        for column in self._batches(n_rows, "feature"):
            widths = pc.list_value_length(column)
            flat = column.flatten()
            if widths.null_count or flat.null_count:
                raise DataError(f"{self.path}: expected a feature in every row, got none", _MEND)
            yield (
                flat.to_numpy(zero_copy_only=False).astype(np.float32, copy=False),
                widths.to_numpy(zero_copy_only=False).astype(np.int64),
            )

    def _batches(self, n_rows: int, name: str) -> Iterator["pa.Array"]:
        """A column, some rows at a time."""
        with self._opened() as (file, mapped):
            n_read = 0
            for batch in file.iter_batches(n_rows, columns=[name], use_threads=False):
                n_read += len(batch)
                if n_read > self._n:
                    break
                yield batch.column(0)
                if hasattr(mmap, "MADV_DONTNEED"):
                    mapped.madvise(mmap.MADV_DONTNEED)  # read again from the file where needed
            if n_read != self._n:
                raise ValueError(f"its column '{name}' has not the {self._n} rows it says")

    @contextmanager
    def _opened(self) -> Iterator[tuple["parquet.ParquetFile", mmap.mmap]]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with self.path.open("rb") as handle:
                mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            yield parquet.ParquetFile(pa.BufferReader(pa.py_buffer(mapped))), mapped
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{self.path} is no readable Parquet file: {error}", _MEND) from error


def _sorted_names(
    places: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The same names sorted, and each row's place among them."""
    order = sorted(range(len(names)), key=names.__getitem__)
    new = np.empty(len(names), dtype=np.int64)
    new[order] = np.arange(len(names))
    return new[places], tuple(names[place] for place in order)


def _facts_of(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    try:
        facts = json.loads(metadata.get(METADATA, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) and facts.get("format") == FORMAT else {}


def _check_columns(path: Path, schema: "pa.Schema") -> None:
    import pyarrow as pa

    names = schema.names
    if not {"key", "feature"} <= set(names):
        raise DataError(
            f"{path}: expected the columns key and feature, got {', '.join(names)}", _MEND
        )
    feature = schema.field("feature").type
    nested = isinstance(feature, pa.ListType | pa.LargeListType | pa.FixedSizeListType)
    if not nested or not pa.types.is_floating(feature.value_type):
        raise DataError(f"{path}: expected lists of floats as feature, got {feature}", _MEND)
