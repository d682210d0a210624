"""The tables of a board as the page shows them: texts, footnotes, marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .page_anchors import RecordNames, row_anchor
from .page_filters import compact, size_of
from .standings import PUBLISHED, Board, Cell, Column, Row, Table
from .texts import CONFLICT, NONE, UNSUPPORTED, number


@dataclass(frozen=True, slots=True)
class CellView:
    """What stands in one cell.

    Attributes:
        text: the value, and its interval on a second line.
        css: classes, or "".
        note: number of a footnote, or 0.
        label: what a screen reader says instead of the text; "" = the text.
    """

    text: str
    css: str = ""
    note: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A word beside a name that nobody may overlook.

    Attributes:
        text: the word.
        css: its class.
        note: number of the footnote that explains it, or 0.
    """

    text: str
    css: str
    note: int = 0


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A header.

    Attributes:
        id: of the definition, in the page.
        column: what it is of.
        detail: a second line: settings, data.
        better: in words.
    """

    id: str
    column: Column
    detail: str
    better: str


@dataclass(frozen=True, slots=True)
class RowView:
    """A line of a table.

    Attributes:
        id: in the page.
        row: what it is of.
        href: of its record, where it has one only.
        records: (href, short id) of each record, where it has several.
        marks: baseline, below untrained, …
        detail: a second line: kind, modality, training data.
        notes: numbers of the footnotes about the row.
        rank: by the main column, with its range on a second line.
        size: short, such as 43.2 M.
        check: the level of its records and how often they were confirmed.
        cells: in the order of the columns.
    """

    id: str
    row: Row
    href: str
    records: tuple[tuple[str, str], ...]
    marks: tuple[Mark, ...]
    detail: str
    notes: tuple[int, ...]
    rank: str
    size: str
    check: str
    cells: tuple[CellView, ...]


class Notes:
    """Footnotes of a table: the same sentence gets the same number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, sentence: str) -> int:
        """The footnote's number; 0 of nothing."""
        return self._numbers.setdefault(sentence, len(self._numbers) + 1) if sentence else 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """In the order of their numbers."""
        return tuple(self._numbers)


@dataclass(frozen=True, slots=True)
class TableView:
    """A table ready for its template.

    Attributes:
        id: in the page.
        table: what it is of.
        columns: its headers.
        rows: its lines.
        notes: its footnotes.
        size_of: what sizes count; "" where no row has one.
        dated: whether any row has a date.
        figures: plots of it.
        left_out: how many rows the page has no room for.
        common: settings and data that all columns have; "" where they differ.
        label: "published, not re-computed", or "".
    """

    id: str
    table: Table
    columns: tuple[ColumnView, ...]
    rows: tuple[RowView, ...]
    notes: tuple[str, ...]
    size_of: str
    dated: bool
    figures: tuple[Any, ...] = ()
    left_out: int = 0
    common: str = ""
    label: str = ""

    @property
    def ranked(self) -> bool:
        """Whether it has a column of ranks."""
        return not self.table.published and self.table.main is not None


def view_table(
    board: Board,
    table: Table,
    names: RecordNames,
    figures: Sequence[Any] = (),
    left_out: int = 0,
) -> TableView:
    """A table ready for its template."""
    place = f"{board.slug}.{table.key}"
    notes = Notes()
    rows = tuple(_row(board, table, row, names, notes) for row in table.rows)
    columns = tuple(_column(place, column) for column in table.columns)
    details = {column.detail for column in columns}
    return TableView(
        id=place,
        table=table,
        columns=columns,
        rows=rows,
        notes=notes.sentences,
        size_of=next((row.size_of for row in table.rows if size_of(row)), ""),
        dated=any(row.date for row in table.rows),
        figures=tuple(figures),
        left_out=left_out,
        common=details.pop() if len(columns) > len(details) == 1 else "",
        label=PUBLISHED if table.published else "",
    )


def _column(place: str, column: Column) -> ColumnView:
    detail = ", ".join(part for part in (column.settings, column.data) if part)
    return ColumnView(f"{place}:is-{column.key}", column, detail, f"{column.direction} is better")


def _row(board: Board, table: Table, row: Row, names: RecordNames, notes: Notes) -> RowView:
    main = row.cells[table.main.key].rank if table.main else None
    ids = [i for i in row.records if i in board.records]
    links = tuple((names.anchor(i), names.short(i)) for i in ids)
    # what is true of every value of a row is said once, beside its name; of a baseline by its mark
    reasons = {cell.why for cell in row.cells.values() if cell.state == "value"}
    shared = reasons - {""} if len(reasons) == 1 and not row.baseline else set()
    said = reasons if row.baseline else shared
    return RowView(
        id=row_anchor(board, row),
        row=row,
        href=links[0][0] if len(links) == 1 else "",
        records=links if len(links) > 1 else (),
        marks=_marks(row, notes),
        detail=_detail(row, table),
        notes=tuple(notes.mark(sentence) for sentence in (*row.notes, *shared)),
        rank=main.text.replace(" (", "\n").rstrip(")") if main else "",
        size=compact(size) if (size := size_of(row)) else NONE,
        check=_check(row),
        cells=tuple(_cell(row.cells[column.key], column, notes, said) for column in table.columns),
    )


def _marks(row: Row, notes: Notes) -> tuple[Mark, ...]:
    marks = []
    if row.baseline:
        marks.append(Mark("baseline", "plain"))
    if row.below_random:
        marks.append(Mark("below untrained", "bad", notes.mark(row.below_random)))
    return tuple(marks)


def _detail(row: Row, table: Table) -> str:
    parts = [row.kind if row.kind != "published" else "", row.modality]
    if row.training_data:
        parts.append("trained on " + ", ".join(row.training_data))
    if row.published and row.source != table.source:
        parts.append(row.source)
    return " · ".join(part for part in parts if part)


def _check(row: Row) -> str:
    if row.level < 0:
        return ""
    times = f" ×{row.confirmations}" if row.confirmations > 1 else ""
    return f"L{row.level}{times}"


def _cell(cell: Cell, column: Column, notes: Notes, said: set[str]) -> CellView:
    if cell.state == "missing":
        return CellView(NONE, "m", label="not measured")
    if cell.state == "unsupported":
        return CellView(UNSUPPORTED, "u", notes.mark(cell.why))
    if cell.state == "conflict" or cell.value is None:
        return CellView(CONFLICT, "x", notes.mark(cell.why))
    text = number(cell.value, column.unit)
    if cell.low is not None and cell.high is not None:
        text += f"\n{number(cell.low, column.unit)}–{number(cell.high, column.unit)}"
    if cell.state == "stale":
        return CellView(text, "s", notes.mark(cell.why or "measured by an older protocol"))
    why = "" if cell.why in said else cell.why
    return CellView(text, "b" if cell.rank and cell.rank.best == 1 else "", notes.mark(why))
