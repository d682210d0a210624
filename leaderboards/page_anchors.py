"""Where the page has what: anchors of rows and records, no two of them the same.

Keys and slugs have neither ":" nor ".", so "board:row.KEY", "board.TABLE", "board.TABLE:is-COLUMN",
"record:DIGITS" and "shared:1" never meet.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .standings import Board, Row


@dataclass
class RecordNames:
    """Short unique names of all records of a page.

    Attributes:
        ids: of the records.
    """

    ids: Iterable[str]
    length: int = field(init=False, default=12)

    def __post_init__(self) -> None:
        known = set(self.ids)
        while len({name[: self.length] for name in known}) < len(known):
            self.length += 4

    def short(self, record: str) -> str:
        """The first digits of an id: as many as tell it from the others."""
        return record[: self.length]

    def anchor(self, record: str) -> str:
        """Where the page tells of a record."""
        return f"record:{self.short(record)}"


def row_anchor(board: Board, row: Row) -> str:
    """Where the page has a row."""
    return f"{board.slug}:row.{row.key}"
