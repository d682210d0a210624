"""What makes two records comparable: the same task; and what makes them about one subject."""

from collections.abc import Mapping
from typing import Any

from ..core.atomic_io import canonical_json
from ..core.config import flatten
from ..core.hashing import sha256_json
from ..core.records import Claim

# how often, how large, how much is said: no other task
FREE_SETTINGS = frozenset({"seeds", "seed", "memory_mib", "max_missing", "published_protocol"})


def plain(value: Any) -> Any:  # noqa: ANN401 - any frozen JSON value
    """A record's frozen JSON value as plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple) else value


def task_settings(settings: Mapping[str, Any], free: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings, dotted, that make a task another one.

    Args:
        settings: of a record.
        free: further ones that do not; "*" = none does.
    """
    if "*" in free:
        return {}
    flat = flatten(plain(settings))
    return {k: v for k, v in flat.items() if k.split(".")[0] not in FREE_SETTINGS.union(free)}


def subject_key(claim: Claim) -> str:
    """The same for records of one subject: the same content, prepared in the same way."""
    subject = claim.subject
    return sha256_json([subject.kind, subject.content_hash, plain(subject.preprocessing)])


def measurement_key(claim: Claim, subject: str) -> tuple[str, ...]:
    """The same for records that must agree: one subject, protocol, data, settings and seeds.

    Args:
        claim: of a record.
        subject: its `subject_key`.
    """
    block = claim.benchmark
    asked = canonical_json([plain(claim.settings), list(claim.seeds)])
    return subject, block.name, block.protocol_hash, block.data_hash, asked
