"""From the records of one subject and one column to the cell that stands there."""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

from ..core.metrics.intervals import MIN_SEEDS, seeds_interval
from ..core.records import Metric
from .checking import Checked
from .standings import MISSING, Cell, State

DIGITS = 4


class Entry(NamedTuple):
    """What one record says for a cell.

    Attributes:
        id: of the record.
        metric: its metric; None where the record says that it is unsupported.
        why: the counts of what is unsupported; "" with a metric.
    """

    id: str
    metric: Metric | None
    why: str = ""


def cell_of(entries: Sequence[Entry], checked: Mapping[str, Checked]) -> Cell:
    """The cell of all that records say for it; without a rank, which comes from the column.

    Records in conflict are named and give no value. Those of an older protocol count only where
    there is no newer one. Records of other seeds are joined: the value is their mean, its interval
    Student's over five or more, else from the lowest low to the highest high end.

    Args:
        entries: what they say.
        checked: record → what the check found.
    """
    if not entries:
        return MISSING
    if len(entries) == 1 and not checked[entries[0].id].problems:
        name, one, _ = entries[0]
        if one is not None:  # nearly all are such
            low, high = one.interval or (None, None)
            method = one.interval_method or ""
            return Cell("value", one.value, low, high, method, one.n, one.n_of, records=(name,))
    contrary = [entry for entry in entries if checked[entry.id].has("conflict")]
    if contrary:
        return _conflict(contrary)
    current = [entry for entry in entries if not checked[entry.id].has("stale")]
    measured = [entry for entry in current or entries if entry.metric is not None]
    if not measured:
        why = next((entry.why for entry in entries if entry.why), "")
        return Cell("unsupported", why=why, records=tuple(sorted(entry.id for entry in entries)))
    apart = _apart(measured, checked) if len(measured) > 1 else measured
    why = next((w for entry in apart if (w := checked[entry.id].why_unranked)), "")
    return _joined(apart, "value" if current else "stale", why)


def _conflict(entries: Sequence[Entry]) -> Cell:
    ordered = sorted(entries, key=lambda entry: entry.id)
    said = ", ".join(
        f"{entry.metric.value:.{DIGITS}f} ({entry.id[:12]})" for entry in ordered if entry.metric
    )
    return Cell("conflict", why=f"records contradict each other: {said}",
                records=tuple(entry.id for entry in ordered))  # fmt: skip


def _apart(entries: Sequence[Entry], checked: Mapping[str, Checked]) -> list[Entry]:
    """Those with seeds of their own, the ones with most seeds first."""
    seeds_of = {entry.id: checked[entry.id].filed.claim.seeds for entry in entries}
    kept: list[Entry] = []
    taken: set[int] = set()
    for entry in sorted(entries, key=lambda e: (-len(seeds_of[e.id]), seeds_of[e.id], e.id)):
        seeds = set(seeds_of[entry.id])
        if not seeds & taken:
            kept.append(entry)
            taken |= seeds
    return kept


def _joined(entries: Sequence[Entry], state: State, why: str) -> Cell:
    metrics = [entry.metric for entry in entries if entry.metric is not None]
    one = metrics[0]
    value, interval, n, n_of = one.value, one.interval, one.n, one.n_of
    method: str = one.interval_method or ""
    if len(metrics) > 1:
        values = [metric.value for metric in metrics]
        value = fsum(values) / len(values)
        ends = [metric.interval for metric in metrics if metric.interval is not None]
        if len(values) >= MIN_SEEDS:
            interval, method, n, n_of = seeds_interval(values), "seeds", len(values), "seeds"
        elif len(ends) == len(metrics):
            interval, method = (min(low for low, _ in ends), max(high for _, high in ends)), "hull"
        else:
            interval, method = None, ""
    low, high = interval or (None, None)
    records = tuple(entry.id for entry in entries)
    return Cell(state, value, low, high, method, n, n_of, why, records=records)
