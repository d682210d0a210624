"""Whether a record is of the protocol and data that it names, as they are registered (L2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.registered import registered_hash
from ..benchmarks.registry import benchmark
from ..core.config import tomllib
from ..core.errors import UsageError
from ..core.records import Claim
from .standings import Problem

if TYPE_CHECKING:
    from ..benchmarks.protocol import Benchmark

_DATA = Path(__file__).resolve().parent / "data.toml"
_RE_RUN = "score the subject again"


@dataclass(frozen=True)
class Known:
    """A protocol as it is installed here.

    Attributes:
        protocol: its module; None where it is not installed.
        installed: the hash of its code.
        missing: why it is not there.
    """

    protocol: "Benchmark | None"
    installed: str = ""
    missing: str = ""


@cache
def known(slug: str) -> Known:
    """A protocol by its slug, hashed once."""
    try:
        module = benchmark(slug)
    except UsageError as error:
        return Known(None, missing=str(error))
    return Known(module, module.IDENTITY.hash())


def of_registered_protocol(claim: Claim, file: str, record: str) -> Iterator[Problem]:
    """Another version than the installed one (stale), or the same version with other code."""
    block, found = claim.benchmark, known(claim.benchmark.name)
    at = "claim.benchmark"
    if found.protocol is None:
        yield Problem(
            "unranked", 2, file, f"{at}.name", repr(block.name), "an installed protocol",
            found.missing, record,
        )  # fmt: skip
        return
    version = found.protocol.VERSION
    registered = registered_hash(block.name, block.version)
    same = block.version == version
    right = {each for each in (registered, found.installed if same else None) if each}
    if same and registered not in (None, found.installed):
        yield Problem(
            "unranked", 2, f"benchmark {block.name} {version}", "code", found.installed,
            f"{registered}, as registered: it was edited without a version bump",
            "restore the code, or raise its VERSION and run "
            "`python -m masquerade.benchmarks.registered`", record, "protocol",
        )  # fmt: skip
    if right and block.protocol_hash not in right:
        yield Problem(
            "refused", 2, file, f"{at}.protocol_hash", block.protocol_hash,
            f"{registered or found.installed}, that of {block.name} {block.version}: the protocol "
            "was edited without a version bump", f"{_RE_RUN} with the registered protocol", record,
            "protocol",
        )  # fmt: skip
    elif block.version != version:
        yield Problem(
            "unranked", 2, file, f"{at}.version", f"{block.version} (stale)", version, _RE_RUN,
            record, "stale",
        )  # fmt: skip


def of_registered_data(claim: Claim, file: str, record: str) -> Iterator[Problem]:
    """Data under a registered name that is not the registered data: never in one column with it."""
    block = claim.benchmark
    hashes = _registered_data().get(block.data)
    if hashes and block.data_hash not in hashes.values():
        yield Problem(
            "note", 2, file, "claim.benchmark.data_hash", block.data_hash,
            f"one of those registered for '{block.data}' ({', '.join(hashes.values())})",
            "it stands in a column of its own; score the subject again for the registered data",
            record,
        )  # fmt: skip


def of_audited_set(claim: Claim, file: str, record: str) -> Iterator[Problem]:
    """A synthesized data set without an audit is shown and not ranked."""
    subject = claim.subject
    if subject.facts.get("synthetic") and not subject.facts.get("audit"):
        yield Problem(
            "unranked", 2, file, "claim.subject.facts.audit",
            repr(subject.facts.get("audit")), "the id of the set's audit",
            "run the same `masquerade synthesize` command again: it audits a finished set", record,
        )  # fmt: skip


@cache
def _registered_data() -> dict[str, dict[str, str]]:
    return tomllib.loads(_DATA.read_text("utf-8"))
