"""Which plots a page has: of each table its intervals and curves, of compared records their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.records import Record
from .plots import SERIES, Plot, intervals
from .plots_curves import BENCHMARKS, curve_plots, read_curve
from .plots_series import Curve
from .standings import Board, Table
from .tasks import task_settings

_BEST = SERIES - 1  # rows of a table whose curves are drawn, beside one baseline


class Figures:
    """Draws the plots of one page; what several plots need is read once.

    Args:
        results: the results folder, where predictions are.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._curves: dict[str, Curve | None] = {}

    def of_table(self, board: Board, table: Table) -> tuple[Plot, ...]:
        """The intervals of a table, and the curves of its best rows and one baseline."""
        drawn = intervals(table)
        plots = [drawn] if drawn else []
        for benchmark in BENCHMARKS:
            curves = [self._curve(key, record) for key, record in _best(board, table, benchmark)]
            plots += curve_plots([curve for curve in curves if curve])
        return tuple(plots)

    def of_records(self) -> dict[str, tuple[Plot, ...]]:
        """The own plots of all records whose curves stand in a table's plot: id → plots."""
        return {key: curve_plots([curve]) for key, curve in self._curves.items() if curve}

    def _curve(self, key: str, record: Record) -> Curve | None:
        if key not in self._curves:
            self._curves[key] = read_curve(record, self._results)
        return self._curves[key]


def _best(board: Board, table: Table, benchmark: str) -> list[tuple[str, Record]]:
    """The records of one benchmark on one task, of the best rows, then of one baseline."""
    found = [
        (row, key, board.records[key])
        for row in table.rows
        if (key := next(_of_benchmark(board, row.records, benchmark), ""))
    ]
    if not found:
        return []
    same = [each for each in found if _task(each[2]) == _task(found[0][2])]
    best = [each for each in same if not each[0].baseline][:_BEST]
    # an untrained net says more than chance does
    baselines = sorted(
        (each for each in same if each[0].baseline), key=lambda each: each[0].kind != "random"
    )
    return [(key, record) for _, key, record in (*best, *baselines[:1])]


def _task(record: Record) -> tuple[str, dict[str, Any]]:
    return record.claim.benchmark.data_hash, task_settings(record.claim.settings)


def _of_benchmark(board: Board, records: tuple[str, ...], benchmark: str) -> Iterator[str]:
    for key in records:
        if key in board.records and board.records[key].claim.benchmark.name == benchmark:
            yield key
