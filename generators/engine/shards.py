"""One shard: a WebDataset tar that is the same bytes whoever writes it, and its sidecar.

Members are sorted, USTAR, mtime 0, uid and gid 0. The sidecar (JSON) holds the shard's sha256 and
per picture its place, length, sha256 and facts. It gets its name *before* the shard does, so a
process killed at any instant leaves no shard without a true sidecar; the shard's name is what
says that the unit is done.
"""

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ...core.atomic_io import canonical_json, write_text
from ...core.errors import DataError, MasqueradeError
from ...core.hashing import sha256_bytes
from ..generator import Fact, Rendered
from .folder import SHARDS
from .pictures import encode
from .plan import Plan
from .units import Rows, Unit, stem

_CASTS = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Entry:
    """What is known of a picture in a shard.

    Attributes:
        offset: of its first byte inside the shard.
        n_bytes: its length.
        sha256: of its bytes.
        facts: by name.
    """

    offset: int
    n_bytes: int
    sha256: str
    facts: dict[str, Fact]


@dataclass(frozen=True)
class Sidecar:
    """What is known of a shard.

    Attributes:
        plan: the plan's hash.
        unit: its number.
        n_bytes: the shard's length.
        sha256: of the shard.
        entries: one per row, in order.
    """

    plan: str
    unit: int
    n_bytes: int
    sha256: str
    entries: list[Entry]


class _Hashed(io.RawIOBase):
    """Writes to a file and hashes what it writes."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._digest, self.n_bytes = handle, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._handle.write(data)
        self._digest.update(data)
        self.n_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.n_bytes

    def sha256(self) -> str:
        return self._digest.hexdigest()


class ShardWriter:
    """Encodes pictures into a tar; one thread may call it while another renders.

    Args:
        handle: the (temporary) file.
        plan: the plan.
        plan_hash: its hash, which every member carries.
    """

    def __init__(self, handle: IO[bytes], plan: Plan, plan_hash: str) -> None:
        self._plan, self._plan_hash = plan, plan_hash
        self._out = _Hashed(handle)
        self._tar = tarfile.open(fileobj=self._out, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._entries: list[Entry] = []

    def add(self, rows: Rows, rendered: Rendered) -> None:
        """Write a batch.

        Raises:
            MasqueradeError: the generator gave other pictures or facts than it declared.
        """
        identities, numbers = (part.tolist() for part in rows)
        facts = rendered.facts or [{}] * len(identities)
        if not len(identities) == len(rendered.images) == len(facts):
            raise MasqueradeError(
                f"the generator gave {len(rendered.images)} pictures and {len(facts)} facts for "
                f"{len(identities)} rows",
                "this is an error of the generator",
            )
        for identity, number, image, given in zip(
            identities, numbers, rendered.images, facts, strict=True
        ):
            self._add(identity, number, encode(image, self._plan.picture), given)

    def close(self, unit: Unit) -> Sidecar:
        """End the tar; what is known of it."""
        self._tar.close()
        return Sidecar(
            self._plan_hash, unit.number, self._out.n_bytes, self._out.sha256(), self._entries
        )

    def _add(self, identity: int, number: int, data: bytes, given: Mapping[str, Fact]) -> None:
        facts = _typed(given, self._plan, identity, number)
        about = {
            "synthetic": True,
            "generator": self._plan.generator,
            "generator_hash": self._plan.generator_hash,
            "plan": self._plan_hash,
            "identity": identity,
            "label": identity,
            "number": number,
            "facts": facts,
        }
        name = stem(identity, number)
        parts = {
            f"{name}.{self._plan.picture.format}": data,
            f"{name}.json": canonical_json(about).encode(),
        }
        for part in sorted(parts):
            start = self._out.n_bytes + tarfile.BLOCKSIZE  # USTAR: one block of header
            self._tar.addfile(_header(part, len(parts[part])), io.BytesIO(parts[part]))
            if parts[part] is data:
                self._entries.append(Entry(start, len(data), sha256_bytes(data), facts))
        self._tar.members = []  # type: ignore[attr-defined]  # else all headers are kept


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0  # uid, gid are 0, their names empty
    return info


def _typed(given: Mapping[str, Fact], plan: Plan, identity: int, number: int) -> dict[str, Fact]:
    """The facts as plain values of the declared types, in the order of their names."""
    if given.keys() != plan.fact_types.keys():
        raise MasqueradeError(
            f"picture {stem(identity, number)}: the generator gave the facts {sorted(given)}, "
            f"declared are {sorted(plan.fact_types)}",
            "this is an error of the generator",
        )
    facts = {name: _CASTS[plan.fact_types[name]](given[name]) for name in sorted(given)}
    for name, value in facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise MasqueradeError(
                f"picture {stem(identity, number)}: the fact '{name}' is {value}",
                "this is an error of the generator or of its weights",
            )
    return facts


def write_sidecar(folder: Path, unit: Unit, sidecar: Sidecar) -> None:
    """Write what is known of a shard, atomically."""
    values = asdict(sidecar)
    values["entries"] = [list(entry.values()) for entry in values["entries"]]
    write_text(folder / SHARDS / unit.sidecar, canonical_json(values))


def read_sidecar(folder: Path, unit: Unit, plan_hash: str) -> Sidecar:
    """What is known of a shard.

    Raises:
        DataError: it is missing, damaged, of another plan, or has another number of rows.
    """
    path = folder / SHARDS / unit.sidecar
    try:
        values = json.loads(path.read_text("utf-8"))
        entries = [Entry(*entry) for entry in values.pop("entries")]
        sidecar = Sidecar(**values, entries=entries)
        if (sidecar.plan, sidecar.unit, len(entries)) != (plan_hash, unit.number, len(unit)):
            raise ValueError("it belongs to another plan or shard")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is missing or damaged: {error}",
            f"remove it and {unit.shard} and run the command again, which makes both anew",
        ) from error
    return sidecar
