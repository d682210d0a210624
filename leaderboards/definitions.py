"""Board definitions: which records stand on a board, in which columns; and published tables.

A board is one TOML file in `leaderboards/boards`, a published table one in
`leaderboards/references`; the file's name is the slug. A path to a file of one's own works as well.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..core.config import Built, Config, build, tomllib
from ..core.errors import UsageError, nearest
from .standings import Cell, Column, Row, Table

_HERE = Path(__file__).resolve().parent
BOARDS, REFERENCES = _HERE / "boards", _HERE / "references"
Direction = Literal["higher", "lower"]


class ColumnDefinition(Config):
    """One column of a board.

    Attributes:
        benchmark: the protocol's slug.
        metric: the metric's name; with a `*` at its end all that begin so, each its own column.
        label: the header; `{}` in it is what stood for the `*`.
        definition: for the reader, a sentence or two.
        unit: as the records have it.
        direction: which way is better.
        main: the column that ranks rows.
    """

    benchmark: str
    metric: str
    label: str
    definition: str
    unit: str
    direction: Direction
    main: bool = False


class BoardDefinition(Config):
    """A board.

    Attributes:
        slug: the file's name.
        title: for people.
        summary: what it compares.
        modality: of subjects whose records do not say theirs.
        only_modality: only records on data of this modality, as the subjects on it say.
        group: "data": a table for each data set; "none": one table, a column for each data set.
        columns: from left to right.
        free_settings: settings that may differ within a column, beside the general ones
            (`tasks.FREE_SETTINGS`); "*" = all.
        references: published tables shown apart.
        first: a command that makes a first record.
    """

    slug: str
    title: str
    summary: str
    modality: str
    only_modality: bool = False
    first: str = ""
    group: Literal["data", "none"] = "data"
    columns: Annotated[tuple[ColumnDefinition, ...], Field(min_length=1)]
    free_settings: dict[str, tuple[str, ...]] = {}
    references: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_main(self) -> "BoardDefinition":
        n_main = sum(column.main for column in self.columns)
        if n_main != 1:
            raise ValueError(f"expected one column with main = true, found {n_main}")
        return self

    def column_of(self, benchmark: str, metric: str) -> tuple[ColumnDefinition, str] | None:
        """The column of a metric, and what stands for its `*`; None where it has none."""
        for column in self.columns:
            if column.benchmark != benchmark:
                continue
            if column.metric == metric:
                return column, ""
            start = column.metric.removesuffix("*")
            if start != column.metric and metric.startswith(start):
                return column, metric.removeprefix(start)
        return None


class ReferenceRow(Config):
    """One published row.

    Attributes:
        name: as published.
        values: one per column; `nan` in the file where nothing is published.
        kind: "model" or "data set".
        size: pictures or parameters, where published.
        size_of: which of the two.
        source: where this row stands, when it is another place than the table's.
    """

    name: str
    values: tuple[float, ...]
    kind: Literal["model", "data set"]
    size: int | None = None
    size_of: Literal["", "images", "parameters"] = ""
    source: str = ""


class ReferenceColumn(Config):
    """One published column."""

    label: str
    definition: str
    unit: str = "percent"
    direction: Direction = "higher"
    main: bool = False


class ReferenceDefinition(Config):
    """A published table; its numbers were not computed here.

    Attributes:
        slug: the file's name.
        title: for people.
        source: where the numbers stand.
        columns: from left to right.
        rows: in any order.
    """

    slug: str
    title: str
    source: str
    columns: tuple[ReferenceColumn, ...]
    rows: tuple[ReferenceRow, ...]

    @model_validator(mode="after")
    def _full_rows(self) -> "ReferenceDefinition":
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"row '{row.name}': expected {len(self.columns)} values, got {len(row.values)}"
                )
        return self

    def table(self) -> Table:
        """The table as it is shown: best first, missing numbers as missing."""
        columns = tuple(
            Column(key_of(c.label), c.label, "", c.label, c.unit, c.direction, c.definition, c.main)
            for c in self.columns
        )
        main = next((at for at, column in enumerate(columns) if column.main), 0)
        sign = 1 if columns[main].direction == "lower" else -1
        rows = sorted(self.rows, key=lambda row: (_last(sign * row.values[main]), row.name))
        return Table(
            key_of(f"published {self.slug}"), self.title, columns,
            tuple(_published(row, columns, self) for row in rows),
            published=True, source=self.source,
        )  # fmt: skip


def board_slugs() -> tuple[str, ...]:
    """The shipped boards."""
    return tuple(sorted(path.stem for path in BOARDS.glob("*.toml")))


def board_definition(name: str) -> BoardDefinition:
    """The definition of a shipped board, or that in a file of one's own.

    Args:
        name: a slug, or a path that ends in `.toml`.

    Raises:
        UsageError: no such board, or its file is wrong; names the nearest one, or the key.
    """
    path = Path(name) if name.endswith(".toml") else BOARDS / f"{name}.toml"
    if not path.is_file():
        raise UsageError(
            f"no board '{name}'", f"{nearest(name, board_slugs())} (`masquerade list boards`)"
        )
    return _board(path)


def reference_definition(slug: str) -> ReferenceDefinition:
    """A shipped published table.

    Raises:
        UsageError: no such table, or its file is wrong.
    """
    path = REFERENCES / f"{slug}.toml"
    if not path.is_file():
        known = [each.stem for each in REFERENCES.glob("*.toml")]
        raise UsageError(f"no published table '{slug}'", nearest(slug, known))
    return _reference(path)


def key_of(text: str) -> str:
    """A text as a key that is safe in HTML ids and file names.

    Example:
        >>> key_of("TAR @ FAR 1e-3")
        'tar-far-1e-3'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "x"


@cache
def _board(path: Path) -> BoardDefinition:
    return _built(BoardDefinition, path)


@cache
def _reference(path: Path) -> ReferenceDefinition:
    return _built(ReferenceDefinition, path)


def _built(kind: type[Built], path: Path) -> Built:
    try:
        return build(kind, {"slug": path.stem, **_read(path)})
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", "mend it there") from error


def _read(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}", "mend it there") from error


def _last(value: float) -> float:
    """NaN sorts after every number."""
    return float("inf") if value != value else value  # noqa: PLR0124 - NaN alone differs from itself


def _published(row: ReferenceRow, columns: tuple[Column, ...], of: ReferenceDefinition) -> Row:
    cells = {
        column.key: Cell("missing") if value != value else Cell("value", value)  # noqa: PLR0124
        for column, value in zip(columns, row.values, strict=True)
    }
    return Row(
        key_of(f"published {of.slug} {row.name}"), row.name, "published", cells,
        modality="", size=row.size, size_of=row.size_of, published=True,
        source=row.source or of.source,
    )  # fmt: skip
