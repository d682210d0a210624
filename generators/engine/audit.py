"""The audit that every data set ends with: structure, exact duplicates, the generator's findings.

It holds no time and no path: the same data set has the same audit. Its `id` is the sha256 of
the rest.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ...core.atomic_io import canonical_json, write_text
from ...core.errors import DataError, MasqueradeError
from ...core.hashing import sha256_file, sha256_json
from ..generator import Generator
from .dataset import SynthesizedSet
from .folder import AUDIT, MANIFEST
from .verification import Seen, structure_problems
from .worker import fixed_computation

FORMAT = "masquerade-audit/1"
_AT_ONCE = 1 << 21  # hashes compared at once: 64 MiB
_EXAMPLES = 20
_SPACE = 1 << 16  # the first two bytes of a hash say in which pass it is compared


def write_audit(
    folder: Path, generator: Generator, seen: Seen = lambda done, total: None
) -> dict[str, JsonValue]:
    """Audit a set whose shards and manifest are there, and write audit.json.

    Raises:
        DataError: a shard or the manifest is damaged; nothing is written then.
        MasqueradeError: the generator's findings are no JSON, or the system refuses to write.
    """
    dataset = SynthesizedSet(folder)
    plan = dataset.plan
    for problem in structure_problems(folder, plan, seen):
        raise DataError(f"{folder}: {problem.file} {problem.what}", problem.mend)
    with fixed_computation(plan.layout.threads):
        findings = generator.audit(dataset)
    audit: dict[str, JsonValue] = {
        "format": FORMAT,
        "plan": dataset.plan_hash,
        "dataset": dataset.hash,
        "manifest": sha256_file(folder / MANIFEST),
        "generator": plan.generator,
        "generator_hash": plan.generator_hash,
        "synthetic": True,
        "structure": {
            "identities": plan.identities,
            "images_per_identity": plan.images_per_identity,
            "images": plan.images,
            "shards": len(dataset.shards),
            "n_bytes": sum(shard.n_bytes for shard in dataset.shards),
        },
        "duplicates": duplicates(dataset),
        "findings": findings,
    }
    try:
        audit["id"] = sha256_json(audit)
    except (TypeError, ValueError) as error:
        raise MasqueradeError(
            f"the findings of the generator '{plan.generator}' are no JSON: {error}",
            "this is an error of the generator or of its weights",
        ) from error
    write_text(folder / AUDIT, canonical_json(audit))
    return audit


def duplicates(dataset: SynthesizedSet, at_once: int = _AT_ONCE) -> dict[str, JsonValue]:
    """Pictures that are equal byte for byte.

    The hashes are compared in passes over the manifest, each on a share of all hashes, so the
    memory does not grow with the set.

    Args:
        dataset: the set.
        at_once: about how many hashes a pass compares.

    Returns:
        "distinct": different pictures; "repeated": pictures that equal an earlier one;
        "examples": groups of equal pictures, at most 20, each of at most 20 members.
    """
    passes = -(-len(dataset) // at_once)
    distinct = 0
    repeated_hashes: list[str] = []
    for number in range(passes):
        parts = [hashes[_pass_of(hashes, passes) == number] for hashes in _hashes(dataset)]
        values, counts = np.unique(np.concatenate(parts), return_counts=True)
        distinct += len(values)
        room = _EXAMPLES - len(repeated_hashes)
        # numpy drops the zero bytes at the end of an element
        repeated_hashes += [value.ljust(32, b"\0").hex() for value in values[counts > 1][:room]]
    return {
        "distinct": distinct,
        "repeated": len(dataset) - distinct,
        "examples": _members(dataset, repeated_hashes) if repeated_hashes else [],
    }


def _hashes(dataset: SynthesizedSet) -> Iterator[NDArray[np.bytes_]]:
    """The sha256 column, (n,) of 32 bytes, a row group at a time."""
    from pyarrow import parquet

    with parquet.ParquetFile(dataset.folder / MANIFEST) as file:
        for group in range(file.num_row_groups):
            texts = file.read_row_group(group, columns=["sha256"])["sha256"].to_pylist()
            yield np.frombuffer(bytes.fromhex("".join(texts)), dtype="S32")


def _pass_of(hashes: NDArray[np.bytes_], passes: int) -> NDArray[np.int64]:
    leading = hashes.view(np.uint8).reshape(-1, 32)[:, :2].astype(np.int64)
    return (leading[:, 0] * 256 + leading[:, 1]) * passes // _SPACE


def _members(dataset: SynthesizedSet, hashes: list[str]) -> list[JsonValue]:
    groups: dict[str, list[JsonValue]] = {value: [] for value in hashes}
    for row in dataset.rows():
        if row.sha256 in groups and len(groups[row.sha256]) < _EXAMPLES:
            groups[row.sha256].append(row.member)
    return sorted(groups.values(), key=str)  # type: ignore[arg-type]
