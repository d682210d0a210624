"""One step of the demo: what it is called, what decides it, what it finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.hashing import sha256_json

if TYPE_CHECKING:
    from ...core.records import Record


@dataclass(frozen=True)
class Found:
    """What a step found.

    Attributes:
        lines: for a person.
        records: as stored, the scored subject's first.
        facts: plain JSON, for the verdicts.
    """

    lines: tuple[str, ...]
    records: "tuple[Record, ...]" = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        slug: its name for programs.
        title: for a person, as what is done.
        decided_by: all that its result depends on; plain JSON.
        work: does it.
        makes: what later steps need of it; without that it is done again.
    """

    slug: str
    title: str
    decided_by: Mapping[str, Any]
    work: Callable[[], Found]
    makes: Path | None = None

    def key(self) -> str:
        """The sha256 of what decides it."""
        return sha256_json({"step": self.slug, "by": self.decided_by})


def protocol_hash(slug: str) -> str:
    """The hash of a protocol's code: what it scored before stands only while this does."""
    from ...benchmarks.registry import benchmark

    return benchmark(slug).IDENTITY.hash()


def score_line(name: str, record: "Record", metric: str | None = None) -> str:
    """A record's metric with its interval, as a line for a person."""
    shown = record.claim.metrics[metric or record.claim.main_metric]
    ends = shown.interval
    between = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
    return f"{name} {shown.value:.3f}{between}"
