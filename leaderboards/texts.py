"""Boards as Markdown, CSV and plain text: the same bytes for the same records."""

import csv
import io
from typing import TYPE_CHECKING, Any

from .frames import board_frame
from .standings import PUBLISHED, Board, Cell, Column, Row, Table

if TYPE_CHECKING:
    from pandas import Series

NONE, UNSUPPORTED, CONFLICT = "–", "n/a", "conflict"
_DIGITS = {"percent": 2}
_ORDINARY_DIGITS = 4
_FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run what begins so
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>|#~!&$"})


def number(value: float, unit: str) -> str:
    """A value as people read it: four digits after the point, of percent two."""
    return f"{value:.{_DIGITS.get(unit, _ORDINARY_DIGITS)}f}"


def cell_text(cell: Cell, unit: str) -> str:
    """A cell as people read it: "0.9120 [0.8903, 0.9301]", "–", "n/a", "conflict"."""
    if cell.state == "conflict":
        return CONFLICT
    if cell.value is None:
        return UNSUPPORTED if cell.state == "unsupported" else NONE
    said = number(cell.value, unit)
    if cell.low is not None and cell.high is not None:
        said += f" [{number(cell.low, unit)}, {number(cell.high, unit)}]"
    return f"{said} (stale)" if cell.state == "stale" else said


def header(column: Column) -> str:
    """A column's label with what tells it apart, and an arrow to where it is better."""
    more = ", ".join(part for part in (column.data, column.settings) if part)
    arrow = "↑" if column.direction == "higher" else "↓"
    return f"{column.label}{f' ({more})' if more else ''} {arrow}"


def flags(row: Row) -> str:
    """What a reader must know of a row: baseline, below an untrained net, notes."""
    found = ["baseline"] if row.baseline else []
    found += ["below untrained"] if row.below_random else []
    found += ["see notes"] if row.notes else []
    return ", ".join(found)


def rank_text(row: Row, table: Table) -> str:
    """The row's rank in the main column; "–" without one."""
    rank = row.cells[table.main.key].rank if table.main else None
    return rank.text if rank else NONE


def markdown(board: Board) -> str:
    """The board as GitHub-flavoured Markdown; texts of records are shown as text."""
    lines = [f"# {_escaped(board.title)}", "", _escaped(board.summary), ""]
    if not board.tables:
        lines += ["No record stands on this board yet.", ""]
    for table in board.tables:
        lines += [
            f"## {_escaped(table.title)}",
            "",
            *_grid(table, _computed_row),
            *_notes(table),
            "",
        ]
    for table in board.references:
        lines += [
            f"## {_escaped(table.title)} ({PUBLISHED})", "",
            f"Source: {_escaped(table.source)}.", "", *_grid(table, _published_row), "",
        ]  # fmt: skip
    if board.tables:
        lines += [_legend(), ""]
    return "\n".join(lines)


def csv_text(board: Board, *, tidy: bool = False) -> str:
    """The board as CSV, a line per row or cell; numbers in full, what is missing empty."""
    frame = board_frame(board, tidy=tidy)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(zip(*(_csv_column(frame[name]) for name in frame.columns), strict=True))
    return out.getvalue()


def plain_rows(table: Table) -> list[dict[str, Any]]:
    """A table for a terminal: header → text, a dict per row."""
    return [
        {
            "rank": rank_text(row, table), "subject": _one_line(row.subject),
            **{header(c): cell_text(row.cells[c.key], c.unit) for c in table.columns},
            "flags": flags(row) or NONE,
        }
        for row in table.rows
    ]  # fmt: skip


def _grid(table: Table, line: Any) -> list[str]:  # noqa: ANN401 - row → texts
    published = ["source"] if table.published else ["flags"]
    ranks = [] if table.published else ["rank"]
    heads = [*ranks, "subject", *(header(column) for column in table.columns), *published]
    rows = [line(row, table) for row in table.rows]
    return [
        f"| {' | '.join(_escaped(head) for head in heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(_escaped(text) for text in row)} |" for row in rows),
    ]


def _computed_row(row: Row, table: Table) -> list[str]:
    cells = [cell_text(row.cells[column.key], column.unit) for column in table.columns]
    return [rank_text(row, table), row.subject, *cells, flags(row)]


def _published_row(row: Row, table: Table) -> list[str]:
    cells = [cell_text(row.cells[column.key], column.unit) for column in table.columns]
    return [row.subject, *cells, row.source if row.source != table.source else ""]


def _notes(table: Table) -> list[str]:
    """Sentences below a table: each row's, and why cells have no number."""
    said = []
    for row in table.rows:
        name = _escaped(row.subject)
        said += [f"- {name}: {_escaped(row.below_random)}."] if row.below_random else []
        said += [f"- {name}: {_escaped(note)}." for note in row.notes]
        for column in table.columns:
            why = row.cells[column.key].why
            if why:
                said.append(f"- {name}, {_escaped(header(column))}: {_escaped(why)}.")
    return ["", *said] if said else []


def _legend() -> str:
    return (
        "Ranks: 1 + how many are better beyond doubt, in brackets the range that holds the true "
        "rank with 95 %; “=” marks ties. “–” was never measured, “n/a” has too little data behind "
        "it. Baselines have no rank."
    )


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _one_line(text).translate(_MARKDOWN)


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which would break a table or a terminal."""
    if text.isprintable():  # nearly all are
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def _csv_column(column: "Series[Any]") -> list[str]:
    if column.dtype == "float64":
        return ["" if value != value else repr(value) for value in column.tolist()]  # noqa: PLR0124 - NaN alone differs from itself
    absent = column.isna().tolist()
    return ["" if none else _csv_value(value)
            for value, none in zip(column.tolist(), absent, strict=True)]  # fmt: skip


def _csv_value(value: Any) -> str:  # noqa: ANN401 - a cell of a frame
    if isinstance(value, str):
        text = _one_line(value)
        return f"'{text}" if text[:1] in _FORMULA else text
    return repr(value) if isinstance(value, float) else str(value)
