"""The page: boards, records and pictures in one HTML file that needs nothing else.

Everything that comes from a record is escaped by the templates. The script and the style sheet are
ours, and the page's content security policy names their hashes: nothing else can run, and nothing
can be fetched. The same records give the same bytes.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.atomic_io import canonical_json, write_text
from .page_anchors import RecordNames
from .page_figures import Figures
from .page_filters import choices
from .page_numbers import numbers
from .page_pictures import sheets_of
from .page_problems import view_problems
from .page_records import view_records
from .page_tables import TableView, view_table
from .standings import Board, Row, Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

NAME = "index.html"
_TEMPLATES = Path(__file__).resolve().parent / "templates"
_SCRIPT = ("page.js", "tables.js", "views.js", "routes.js")  # joined in this order
_MOST_ROWS = 2000  # of a page: a browser takes seconds for more, and nobody reads them


def write_page(boards: Sequence[Board], results: Path, out: Path) -> Path:
    """Write the page of some boards.

    Args:
        boards: in the order in which they are to be read.
        results: the results folder, for predictions behind curves and for pictures.
        out: the folder that gets `index.html`.

    Returns:
        The page's file; whole or, where writing fails, what it was.

    Raises:
        MasqueradeError: the system refuses to write.
    """
    path = Path(out) / NAME
    write_text(path, page(boards, Path(results)))
    return path


def page(boards: Sequence[Board], results: Path) -> str:
    """The text of the page; see `write_page`."""
    from markupsafe import Markup

    from .. import __version__

    counts = {(b.slug, table.key): len(table.rows) for b in boards for table in b.tables}
    boards = _shortened(boards, counts)
    names = RecordNames(record for board in boards for record in board.records)
    figures = Figures(results)
    tables = {
        board.slug: [
            view_table(board, table, names, figures.of_table(board, table),
                       counts[board.slug, table.key] - len(table.rows))
            for table in board.tables
        ]
        for board in boards
    }  # fmt: skip
    references = {
        board.slug: [view_table(board, table, names) for table in board.references]
        for board in boards
    }
    records, shared = view_records(
        boards, names,
        figures.of_records(), sheets_of(_named(boards), results),
    )  # fmt: skip
    style, script = _asset("page.css"), "".join(map(_asset, _SCRIPT))
    return _environment().get_template("page.html").render(
        boards=boards,
        tables=tables,
        problems={board.slug: view_problems(board.problems, results) for board in boards},
        references=references,
        choices={board.slug: choices(board) for board in boards},
        leaders={board.slug: _leaders(tables[board.slug]) for board in boards},
        records=records,
        shared=shared,
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - likewise
        policy=_policy(style, script),
        data=_embedded({
            view.id: numbers(view, names) for views in tables.values() for view in views
        }),
        version=__version__,
    )  # fmt: skip


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy under which only our own style sheet and script work."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _embedded(value: Any) -> "Markup":  # noqa: ANN401 - any JSON value
    """JSON that no HTML parser can take for anything else."""
    from markupsafe import Markup

    text = canonical_json(value)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - no sign of HTML is left in it


def _shortened(boards: Sequence[Board], counts: Mapping[tuple[str, str], int]) -> tuple[Board, ...]:
    """The boards with as many rows as a page can show: the best of each table, all baselines."""
    room, left = {}, _MOST_ROWS
    for done, place in enumerate(sorted(counts, key=lambda place: (counts[place], place))):
        room[place] = min(counts[place], left // (len(counts) - done))
        left -= room[place]
    return tuple(
        replace(board, tables=tuple(
            replace(table, rows=_best(table, room[board.slug, table.key]))
            for table in board.tables
        ))
        for board in boards
    )  # fmt: skip


def _best(table: Table, most: int) -> tuple[Row, ...]:
    return table.rows[:most] + tuple(row for row in table.rows[most:] if row.baseline)


def _named(boards: Sequence[Board]) -> list[str]:
    """Ids of all records that a table names, best first, each once."""
    return list(dict.fromkeys(
        record for board in boards for table in board.tables for row in table.rows
        for record in row.records if record in board.records
    ))  # fmt: skip


def _leaders(tables: Sequence[TableView]) -> list[tuple[TableView, list[str]]]:
    """Of each ranked table the subjects that nothing beats beyond doubt."""
    found = []
    for view in tables:
        main = view.table.main
        if main is not None:
            ranks = [(row.subject, row.cells[main.key].rank) for row in view.table.rows]
            found.append((view, [name for name, rank in ranks if rank and rank.best == 1]))
    return found
