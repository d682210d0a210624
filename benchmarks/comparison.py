"""The difference of two subjects on one task: paired by seed or by test item, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.errors import ValidationError
from ..core.metrics.intervals import paired_interval
from ..core.records import Record


@dataclass(frozen=True)
class Difference:
    """The mean paired difference first − second.

    Attributes:
        metric: of what.
        value: the mean.
        interval: 95 %, or None with fewer than five pairs.
        n: pairs.
        pairs: each one's difference.
    """

    metric: str
    value: float
    interval: tuple[float, float] | None
    n: int
    pairs: tuple[float, ...]

    @property
    def verdict(self) -> Literal["first", "second", "undecided"]:
        """Whose value is higher, where the interval leaves zero out."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "undecided"
        return "first" if self.interval[0] > 0 else "second"


def compare(
    first: Sequence[Record], second: Sequence[Record], metric: str | None = None
) -> Difference:
    """The paired difference over runs: record i of both comes from the same seed.

    Args:
        first: one record per seed (pre-training seeds, say), in the order of the seeds.
        second: the same seeds of the other subject.
        metric: which one; the main metric when None.

    Raises:
        ValidationError: other numbers of records, or pairs of different tasks.
    """
    if len(first) != len(second) or not first:
        raise ValidationError(
            f"paired records: expected equal numbers >= 1, got {len(first)} and {len(second)}"
        )
    name = metric or first[0].claim.main_metric
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        _check_same_task(one, other, first[0], name, number)
    values = [[record.claim.metrics[name].value for record in side] for side in (first, second)]
    pairs = tuple(a - b for a, b in zip(*values, strict=True))
    interval = paired_interval(values[0], values[1], over="seeds")
    return Difference(name, sum(pairs) / len(pairs), interval, len(pairs), pairs)


def _check_same_task(one: Record, other: Record, reference: Record, name: str, number: int) -> None:
    for record in (one, other):
        for field in ("benchmark", "settings", "seeds"):
            found = getattr(record.claim, field)
            expected = getattr(reference.claim, field)
            if found != expected:
                raise ValidationError(
                    f"pair {number}: {field}: found {found}, expected {expected}",
                    "compare records of one benchmark, data set and settings",
                )
        if name not in record.claim.metrics:
            raise ValidationError(
                f"pair {number}: metrics: found {list(record.claim.metrics)}, expected '{name}'"
            )
