"""Is a synthesized set what its plan says? Every byte is read once, in a stream."""

import hashlib
import json
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...core.errors import DataError
from ...core.hashing import sha256_file, sha256_json
from .folder import AUDIT, MANIFEST, SHARDS, present
from .manifest import Row, Shard, content_hash, read_index, read_rows
from .plan import Plan, damaged_preparations, read_plan
from .shards import Entry, read_sidecar
from .units import Unit, member, n_units, units

_AGAIN = "run the `masquerade synthesize` command that made the set again"
_MEND_SHARD = f"remove it and {_AGAIN}: it renders this shard anew"
_MEND_MANIFEST = f"remove it and {_AGAIN}: it writes it anew"
_MEND_AUDIT = f"{_AGAIN}: it audits the set anew"
_REAUDIT = f"remove it and {_MEND_AUDIT}"

Seen = Callable[[int, int], None]  # shards read, shards in all


@dataclass(frozen=True)
class Problem:
    """Something in a data set that is not as it was made.

    Attributes:
        file: which, relative to the folder.
        what: is wrong with it.
        mend: what to do.
    """

    file: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}; {self.mend}"


def verify_dataset(folder: Path, seen: Seen = lambda done, total: None) -> list[Problem]:
    """All that is wrong with a finished set: shards, pictures, manifest, prepared files, audit.

    Args:
        folder: of the set.
        seen: called as shards are read.

    Raises:
        DataError: the folder holds no synthesized set, or one that is not finished.
    """
    plan = read_plan(folder)
    if not (folder / MANIFEST).exists() and not (folder / AUDIT).exists():
        raise DataError(
            f"{folder} is not finished: {len(present(folder))} of {n_units(plan)} shards are there",
            f"{_AGAIN}: it goes on",
        )
    problems = [Problem(*found) for found in damaged_preparations(folder, plan)]
    problems += structure_problems(folder, plan, seen)
    return problems + _audit_problems(folder, plan)


def structure_problems(
    folder: Path, plan: Plan, seen: Seen = lambda done, total: None
) -> list[Problem]:
    """What is wrong with the shards, shards.json and the manifest."""
    problems: list[Problem] = []
    index: list[Shard | None] = [None] * n_units(plan)
    try:
        index = [*read_index(folder, plan.hash())]
    except DataError as error:
        problems.append(Problem("shards.json", error.message, error.remedy))
    if len(index) != n_units(plan):
        what = f"lists {len(index)} shards, the plan has {n_units(plan)}"
        problems.append(Problem("shards.json", what, _MEND_MANIFEST))
        index = [None] * n_units(plan)
    rows: Iterator[Row] | None = read_rows(folder, plan)
    for unit, known in zip(units(plan), index, strict=True):
        mine: list[Row] | None = None
        if rows is not None:
            try:
                mine = list(islice(rows, len(unit)))
                problems += _row_problems(plan, unit, mine)
            except DataError as error:
                problems.append(Problem(MANIFEST, error.message, _MEND_MANIFEST))
                rows = mine = None
        problems += _shard_problems(folder / SHARDS / unit.shard, known, mine)
        problems += _sidecar_problems(folder, plan, unit, known, mine)
        seen(unit.number + 1, n_units(plan))
    if rows is not None and next(rows, None) is not None:
        what = f"has more than the plan's {plan.images} rows"
        problems.append(Problem(MANIFEST, what, _MEND_MANIFEST))
    extra = sorted(present(folder) - {unit.shard for unit in units(plan)})
    what = "is no shard of the plan"
    return problems + [Problem(f"{SHARDS}/{name}", what, "remove it") for name in extra]


def _row_problems(plan: Plan, unit: Unit, rows: list[Row]) -> list[Problem]:
    """The first row of a shard that is not the one the plan has there."""
    for row_number in range(unit.first, unit.last):
        place = row_number - unit.first
        expected = (unit.shard, member(plan, row_number))
        if place >= len(rows):
            what = f"ends before row {row_number} of {plan.images}"
            return [Problem(MANIFEST, what, _MEND_MANIFEST)]
        row = rows[place]
        own = (row.identity, row.number) == divmod(row_number, plan.images_per_identity)
        if (row.shard, row.member) != expected or not own:
            what = (
                f"has {row.shard}:{row.member} in row {row_number}, the plan {':'.join(expected)}"
            )
            return [Problem(MANIFEST, what, _MEND_MANIFEST)]
    return []


def _shard_problems(path: Path, known: Shard | None, rows: list[Row] | None) -> list[Problem]:
    """What is wrong with a shard, by its index entry and by the manifest's rows."""
    name = f"{SHARDS}/{path.name}"
    if not path.is_file():
        return [Problem(name, "is missing", f"{_AGAIN}: it renders this shard anew")]
    size = path.stat().st_size
    if known is not None and size < known.n_bytes:
        what = f"has {size} of {known.n_bytes} bytes: it is cut off"
        return [Problem(name, what, _MEND_SHARD)]
    same = known is None or sha256_file(path) == known.sha256
    wrong = _wrong_pictures(path, rows or [])
    if not same:
        where = f"the picture {wrong[0]}" if wrong else "no picture (headers, facts or padding)"
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        what = f"differs from its sha256 {known.sha256}: {where}{more}"  # type: ignore[union-attr]
        return [Problem(name, what, _MEND_SHARD)]
    if wrong:
        what = f"does not fit {name}: the sha256 of {wrong[0]} is another one"
        return [Problem(MANIFEST, what, _MEND_MANIFEST)]
    return []


def _sidecar_problems(
    folder: Path, plan: Plan, unit: Unit, known: Shard | None, rows: list[Row] | None
) -> list[Problem]:
    """Whether the sidecar, of which the manifest could be made again, still says the same."""
    name = f"{SHARDS}/{unit.sidecar}"
    try:
        sidecar = read_sidecar(folder, unit, plan.hash())
    except DataError as error:
        return [Problem(name, error.message, error.remedy)]
    shard = Shard(unit.shard, len(unit), sidecar.n_bytes, sidecar.sha256)
    entries = [Entry(row.offset, row.n_bytes, row.sha256, row.facts) for row in rows or []]
    if known not in (None, shard) or (rows is not None and entries != sidecar.entries):
        what = "says something else than the manifest and shards.json"
        mend = f"remove it and {unit.shard} and {_AGAIN}: it renders this shard anew"
        return [Problem(name, what, mend)]
    return []


def _wrong_pictures(path: Path, rows: list[Row]) -> list[str]:
    """The members whose bytes are not those that the manifest names."""
    if path.stat().st_size == 0:
        return [row.member for row in rows]
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [
            row.member
            for row in rows
            if hashlib.sha256(data[row.offset : row.offset + row.n_bytes]).hexdigest() != row.sha256
        ]


def read_audit(folder: Path) -> dict:
    """The audit of a data set.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / AUDIT
    try:
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged: {error}", _MEND_AUDIT) from error
    return values


def _audit_problems(folder: Path, plan: Plan) -> list[Problem]:
    try:
        audit = read_audit(folder)
        rest = {key: value for key, value in audit.items() if key != "id"}
        if audit.get("id") != sha256_json(rest):
            return [Problem(AUDIT, "was changed: its id is not the sha256 of the rest", _REAUDIT)]
        dataset = content_hash(plan.hash(), read_index(folder, plan.hash()))
    except DataError as error:
        named = AUDIT in error.message
        return [Problem(AUDIT, error.message, error.remedy)] if named else []
    manifest = folder / MANIFEST
    facts = {
        "plan": plan.hash(),
        "dataset": dataset,
        "manifest": sha256_file(manifest) if manifest.is_file() else None,
    }
    return [
        Problem(AUDIT, f"is of another {name}: {audit.get(name)}, found {found}", _REAUDIT)
        for name, found in facts.items()
        if found is not None and audit.get(name) != found
    ]
