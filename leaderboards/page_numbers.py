"""What the page's script computes with: exact values, and words that many cells share."""

import math
from typing import Any

from .page_anchors import RecordNames
from .page_filters import size_of
from .page_tables import Notes, TableView
from .standings import Cell

_DIGITS = 6  # of a value in the page's data; the tables print fewer


def numbers(view: TableView, names: RecordNames) -> dict[str, Any]:
    """What the page's script computes with: exact values, and words that many cells share.

    Returns:
        `ranks`, `spans` ("bootstrap over 61 groups") and `records` are lists that the rows point
        into; each row has its facts, `v` (values), `k` (ranks), `n` (spans), `r` (records) in the
        order of the columns, where -1 is none and one number stands for as many equal ones.
    """
    ranks, spans, records = Notes(), Notes(), Notes()
    rows = []
    for line in view.rows:
        row = line.row
        cells = [row.cells[column.column.key] for column in view.columns]
        facts: dict[str, Any] = {"v": [_rounded(cell.value) for cell in cells]}
        facts["k"] = _packed([ranks.mark(_rank(cell)) - 1 for cell in cells])
        facts["n"] = _packed([spans.mark(_span(cell)) - 1 for cell in cells])
        facts["r"] = _packed([
            records.mark(" ".join(map(names.short, cell.records))) - 1 for cell in cells
        ])  # fmt: skip
        facts |= {"s": size} if (size := size_of(row)) else {}
        facts |= {"d": row.date} if row.date else {}
        facts |= {"m": row.modality} if row.modality else {}
        facts |= {"b": 1} if row.baseline else {}
        rows.append(facts)
    return {
        "ranks": ranks.sentences,
        "spans": spans.sentences,
        "records": [ids.split() for ids in records.sentences],
        "rows": rows,
    }


def _packed(places: list[int]) -> list[int] | int:
    return places[0] if len(set(places)) == 1 else places


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 10**_DIGITS else short


def _rank(cell: Cell) -> str:
    return cell.rank.text if cell.rank else ""


def _span(cell: Cell) -> str:
    if cell.n is None:
        return ""
    over = f"{cell.n:,} {cell.n_of}"
    return f"{cell.method}, {over}" if cell.method else f"no interval, {over}"
