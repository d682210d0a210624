"""Boards as pandas tables, from which CSV and Parquet files are written."""

from typing import TYPE_CHECKING, Any

from .standings import Board, Row, Table

if TYPE_CHECKING:
    from pandas import DataFrame

ROW_COLUMNS = (
    "board", "table", "subject", "kind", "modality", "size", "size_of", "date", "rank",
    "rank_worst", "ranked", "tied", "baseline", "below_random", "published", "source", "level",
    "confirmations",
)  # fmt: skip
_WHOLE = ("size", "rank", "rank_worst", "ranked")


def board_frame(board: Board, *, tidy: bool = False) -> "DataFrame":
    """The board as a pandas table, computed tables first, published ones after them.

    Args:
        board: what to show.
        tidy: a line per cell (`metric`, `value`, `low`, `high`, `n`, `n_of`, `interval_method`,
            `state`, `why`, its own ranks); else a line per row, with the columns KEY, KEY_low and
            KEY_high of each metric. What is missing is missing (NaN), never 0; `ranked` is how
            many were.
    """
    import pandas as pd

    tables = (*board.tables, *board.references)
    if tidy:
        lines = [
            line for table in tables for row in table.rows for line in _cells(board, table, row)
        ]
        frame = pd.DataFrame(lines, columns=[*ROW_COLUMNS, *_CELL])
        return frame.astype({name: "Int64" for name in (*_WHOLE, "n")})
    values = list(dict.fromkeys(
        name for table in tables for column in table.columns for name in _names(column.key)
    ))  # fmt: skip
    lines = [_line(board, table, row) for table in tables for row in table.rows]
    frame = pd.DataFrame(lines, columns=[*ROW_COLUMNS, *values])
    return frame.astype({name: "Int64" for name in _WHOLE} | {name: "float64" for name in values})


_CELL = (
    "metric", "label", "settings", "data", "unit", "direction", "value", "low", "high", "n",
    "n_of", "interval_method", "state", "why", "records",
)  # fmt: skip


def _names(key: str) -> tuple[str, str, str]:
    return key, f"{key}_low", f"{key}_high"


def _about(board: Board, table: Table, row: Row) -> dict[str, Any]:
    rank = row.cells[table.main.key].rank if table.main else None
    return {
        "board": board.slug, "table": table.title, "subject": row.subject, "kind": row.kind,
        "modality": row.modality, "size": row.size, "size_of": row.size_of, "date": row.date,
        "rank": rank and rank.best, "rank_worst": rank and rank.worst,
        "ranked": rank and rank.of, "tied": bool(rank and rank.tied), "baseline": row.baseline,
        "below_random": bool(row.below_random), "published": row.published, "source": row.source,
        "level": row.level, "confirmations": row.confirmations,
    }  # fmt: skip


def _line(board: Board, table: Table, row: Row) -> dict[str, Any]:
    line = _about(board, table, row)
    for key, cell in row.cells.items():
        line |= dict(zip(_names(key), (cell.value, cell.low, cell.high), strict=True))
    return line


def _cells(board: Board, table: Table, row: Row) -> list[dict[str, Any]]:
    about = _about(board, table, row)
    lines = []
    for column in table.columns:
        cell = row.cells[column.key]
        rank = cell.rank
        lines.append({
            **about,
            "rank": rank and rank.best, "rank_worst": rank and rank.worst,
            "ranked": rank and rank.of, "tied": bool(rank and rank.tied),
            "metric": column.metric, "label": column.label, "settings": column.settings,
            "data": column.data or table.title, "unit": column.unit,
            "direction": column.direction, "value": cell.value, "low": cell.low,
            "high": cell.high, "n": cell.n, "n_of": cell.n_of, "interval_method": cell.method,
            "state": cell.state, "why": cell.why, "records": " ".join(cell.records),
        })  # fmt: skip
    return lines
