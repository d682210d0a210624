"""manifest.parquet (one row per picture) and shards.json (one entry per shard).

Both are made of the sidecars, in order, a few thousand rows at a time, by a writer with fixed
settings and no times: the same shards give the same files.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.atomic_io import canonical_json, write_file, write_text
from ...core.errors import DataError
from ...core.hashing import sha256_json
from ..generator import Fact
from .folder import INDEX, MANIFEST
from .plan import Plan
from .shards import Sidecar, read_sidecar
from .units import Unit, member, units

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP = 8192  # rows of a row group: what is in memory at once


@dataclass(frozen=True)
class Row:
    """One picture, as the manifest has it.

    Attributes:
        shard: the tar's file name.
        member: the picture's name in it.
        identity: 0 … N - 1.
        number: 0 … M - 1.
        offset: of its first byte in the shard.
        n_bytes: its length.
        sha256: of its bytes.
        facts: by name.
    """

    shard: str
    member: str
    identity: int
    number: int
    offset: int
    n_bytes: int
    sha256: str
    facts: dict[str, Fact]


@dataclass(frozen=True)
class Shard:
    """One entry of shards.json."""

    shard: str
    n_images: int
    n_bytes: int
    sha256: str


def schema(plan: Plan) -> "pa.Schema":
    """The columns of the manifest: those of `Row`, then the facts by name."""
    import pyarrow as pa

    kinds = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
    own = [
        ("shard", pa.string()), ("member", pa.string()), ("identity", pa.int64()),
        ("number", pa.int64()), ("offset", pa.int64()), ("n_bytes", pa.int64()),
        ("sha256", pa.string()),
    ]  # fmt: skip
    facts = [(name, kinds[kind]) for name, kind in sorted(plan.fact_types.items())]
    return pa.schema(own + facts)


def rows_of(plan: Plan, unit: Unit, sidecar: Sidecar) -> Iterator[dict[str, Any]]:
    """The manifest's rows of a shard."""
    for place, entry in enumerate(sidecar.entries):
        identity, number = divmod(unit.first + place, plan.images_per_identity)
        yield {
            "shard": unit.shard, "member": member(plan, unit.first + place),
            "identity": identity, "number": number, "offset": entry.offset,
            "n_bytes": entry.n_bytes, "sha256": entry.sha256, **entry.facts,
        }  # fmt: skip


def write_manifest(folder: Path, plan: Plan) -> None:
    """Write manifest.parquet, then shards.json.

    Raises:
        DataError: a sidecar is missing or damaged.
        MasqueradeError: the system refuses to write.
    """
    shards: list[Shard] = []
    write_file(folder / MANIFEST, lambda path: _write_parquet(path, folder, plan, shards))
    entries = [vars(shard) for shard in shards]
    write_text(folder / INDEX, canonical_json({"plan": plan.hash(), "shards": entries}))


def _write_parquet(path: Path, folder: Path, plan: Plan, shards: list[Shard]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns, plan_hash = schema(plan), plan.hash()
    options = {"version": "2.6", "compression": "zstd", "compression_level": 3}
    waiting: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, columns, **options) as writer:
        for unit in units(plan):
            sidecar = read_sidecar(folder, unit, plan_hash)
            shards.append(Shard(unit.shard, len(unit), sidecar.n_bytes, sidecar.sha256))
            waiting += rows_of(plan, unit, sidecar)
            if len(waiting) >= _GROUP or unit.last == plan.images:
                writer.write_table(pa.Table.from_pylist(waiting, schema=columns))
                waiting.clear()


def read_index(folder: Path, plan_hash: str) -> list[Shard]:
    """The entries of shards.json.

    Raises:
        DataError: it is missing, damaged, or of another plan.
    """
    path = folder / INDEX
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["plan"] != plan_hash:
            raise ValueError("it belongs to another plan")
        return [Shard(**entry) for entry in values["shards"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path} is missing or damaged: {error}",
            "run the command that made the data set again: it writes what is missing",
        ) from error


def read_rows(folder: Path, plan: Plan, first: int = 0, last: int | None = None) -> Iterator[Row]:
    """The manifest's rows first … last - 1, in order, a few thousand in memory.

    Raises:
        DataError: the manifest is missing, damaged, or has other columns than the plan says.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / MANIFEST
    last = plan.images if last is None else last
    try:
        with parquet.ParquetFile(path) as file:
            if file.schema_arrow != schema(plan):
                raise ValueError(f"its columns are {file.schema_arrow.names}")
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                begin, stop = max(first, start), min(last, end)
                if begin < stop:
                    table = file.read_row_group(group).slice(begin - start, stop - begin)
                    yield from (_row(values) for values in table.to_pylist())
                start = end
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is missing or damaged: {error}",
            "remove it and run the command that made the data set again: it writes it anew",
        ) from error


def _row(values: dict[str, Any]) -> Row:
    own = {name: values.pop(name) for name in tuple(Row.__dataclass_fields__) if name != "facts"}
    return Row(**own, facts=values)


def content_hash(plan_hash: str, shards: list[Shard]) -> str:
    """The data set's hash: of its plan and the sha256 of all its shards, in order."""
    return sha256_json([plan_hash, [shard.sha256 for shard in shards]])
