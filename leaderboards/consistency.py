"""What a record can be held against without anything else: ranges (L0), its own numbers (L1)."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from ..core.metrics.verification import MIN_ACCEPTED
from ..core.records import Claim, Metric
from .standings import Problem

CLOSE = 1e-9
_RE_RUN = "re-run the evaluation that made it"
_RANGES = {"fraction": (0.0, 1.0), "cosine": (-1.0, 1.0)}
# fractions by name only: differences of two, and a count of neighbours over k
_OTHER_RANGES = {"gap": (-1.0, 1.0), "density": (0.0, float("inf"))}
# a rate at a larger number (or power of ten) is never lower
_RISING = re.compile(
    r"(?P<family>.*(?:_at_far_|_at_fpir_|rank_|hit_rate_at_|recall_at_))(?P<at>1e-\d+|\d+)"
)
_TARGET = re.compile(r"(?P<kind>tar_at_far|tpir_at_fpir)_(?P<at>1e-\d+)")


def in_range(claim: Claim, file: str, record: str) -> Iterator[Problem]:
    """Values and parts outside what their unit allows (L0)."""
    for name, metric in claim.metrics.items():
        least, most = _range_of(name, metric.unit)
        if least <= metric.value <= most and not metric.parts:
            continue  # most are so
        for field, value in _numbers(metric):
            if not least - CLOSE <= value <= most + CLOSE:
                yield Problem(
                    "refused", 0, file, f"claim.metrics.{name}.{field}", repr(value),
                    f"{least:g} … {most:g} ({metric.unit})", _RE_RUN, record,
                )  # fmt: skip


def agrees_with_itself(claim: Claim, file: str, record: str) -> Iterator[Problem]:
    """Numbers of one record that cannot all be right (L1)."""

    def wrong(field: str, found: str, expected: str) -> Problem:
        return Problem(
            "refused", 1, file, f"claim.metrics.{field}", found, expected, _RE_RUN, record
        )

    for name, metric in claim.metrics.items():
        if metric.parts:
            mean = sum(metric.parts) / len(metric.parts)
            if not close(mean, metric.value):
                yield wrong(f"{name}.value", repr(metric.value), f"{mean!r}, the mean of its parts")
        if metric.interval is not None:
            low, high = metric.interval
            if not low - CLOSE <= metric.value <= high + CLOSE:
                yield wrong(
                    f"{name}.interval", f"{low!r} … {high!r}", f"one around {metric.value!r}"
                )
        n_there, needed = _support(name, claim.facts)
        if n_there is not None and needed > n_there + 0.5:
            yield wrong(
                name, f"a rate with {n_there} impostors behind it", f"at least {needed:g} of them"
            )
    for lower, higher in _neighbours(tuple(claim.metrics)):
        if claim.metrics[lower].value > claim.metrics[higher].value + CLOSE:
            yield wrong(
                f"{lower}.value", repr(claim.metrics[lower].value),
                f"at most that of {higher}, {claim.metrics[higher].value!r}",
            )  # fmt: skip


def close(one: float, other: float) -> bool:
    """Whether two numbers are equal but for rounding: 1e-9, of large ones relative."""
    return abs(one - other) <= CLOSE * max(1.0, abs(one), abs(other))


@cache
def _range_of(name: str, unit: str) -> tuple[float, float]:
    anything = -float("inf"), float("inf")
    return _OTHER_RANGES.get(name.partition("/")[0], _RANGES.get(unit, anything))


def _numbers(metric: Metric) -> Iterator[tuple[str, float]]:
    yield "value", metric.value
    for number, part in enumerate(metric.parts):
        yield f"parts.{number}", part


def _support(name: str, facts: Mapping[str, Any]) -> tuple[int | None, float]:
    """How many impostors stand behind a rate, where the record says it, and how many it needs."""
    target = _target(name)
    if target is None:
        return None, 0
    kind, rate = target
    if kind == "tar_at_far":
        pairs = facts.get("pairs")
        there = pairs.get("impostor") if isinstance(pairs, Mapping) else None
    else:
        there = facts.get("non_mated_probes")
    return (there if isinstance(there, int) else None), MIN_ACCEPTED / rate


@cache
def _target(name: str) -> tuple[str, float] | None:
    found = _TARGET.fullmatch(name)
    return None if found is None else (found["kind"], float(found["at"]))


@cache
def _neighbours(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Names of which the first's value cannot be above the second's."""
    families: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        if found := _RISING.fullmatch(name):
            families.setdefault(found["family"], []).append((float(found["at"]), name))
    pairs: list[tuple[str, str]] = []
    for family in families.values():
        ordered = [name for _, name in sorted(family)]
        pairs += zip(ordered[:-1], ordered[1:], strict=True)
    return tuple(pairs)
