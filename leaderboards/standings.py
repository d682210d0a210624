"""What a ranked board is made of: tables, rows, cells, ranks. Plain frozen data; no torch.

Every renderer (page, Markdown, CSV, pandas) reads these classes and nothing else, so they all say
the same. Texts come from records of strangers: whoever renders them escapes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ..core.records import Record

if TYPE_CHECKING:
    from pandas import DataFrame

State = Literal["value", "missing", "unsupported", "conflict", "stale"]
Severity = Literal["refused", "unranked", "note"]
PUBLISHED = "published, not re-computed"


@dataclass(frozen=True, slots=True)
class Column:
    """One measured quantity, comparable down the whole column.

    Attributes:
        key: unique in its table, safe in HTML ids: letters, digits, '-', '_'.
        label: the header, short.
        benchmark: the protocol's slug; "" in a published table.
        metric: the metric's name in the records.
        unit: "fraction" (0 … 1), "percent" (published tables), "cosine", …
        direction: which way is better.
        definition: one or two sentences for the reader (hover text).
        main: ranks of rows go by this column; true once per table at most.
        settings: what tells this column from one of the same metric, such as "k=20"; else "".
        data: the data set, where one table holds several; else "".
    """

    key: str
    label: str
    benchmark: str
    metric: str
    unit: str
    direction: Literal["higher", "lower"]
    definition: str
    main: bool = False
    settings: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a value stands among the ranked ones of its column.

    Attributes:
        best: 1 + how many are better beyond doubt; the number that people call the rank.
        worst: how many there are, less those that are worse beyond doubt.
        of: how many are ranked.
        tied: another one has the same `best`.
        how: "paired" (over the same items or seeds) where all comparisons were, else "intervals".
    """

    best: int
    worst: int
    of: int
    tied: bool
    how: Literal["paired", "intervals"]

    @property
    def text(self) -> str:
        """The rank as people read it: "=2 (1–4)", or "1" where nothing is in doubt."""
        span = "" if self.best == self.worst else f" ({self.best}–{self.worst})"
        return f"{'=' if self.tied else ''}{self.best}{span}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of one row, or why there is none.

    Attributes:
        state: "value"; "missing": never measured; "unsupported": too little data behind it;
            "conflict": records contradict each other; "stale": by an older protocol.
        value: the score; None where missing, unsupported or in conflict.
        low: of the 95 % interval; None without one.
        high: likewise.
        method: how the interval was made ("bootstrap", "exact", "seeds", "folds", or "hull": of
            several records); "" without one.
        n: how many of `n_of` the interval is over; None without a value.
        n_of: "items", "seeds", "folds", "groups".
        why: for a reader: what is unsupported with its counts, what contradicts what, why a value
            has no rank; "" where there is nothing to say.
        rank: None where the value does not rank (baselines, below check level 3, …).
        records: ids of the records behind it.
    """

    state: State
    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    n: int | None = None
    n_of: str = ""
    why: str = ""
    rank: Rank | None = None
    records: tuple[str, ...] = ()


MISSING = Cell("missing")


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a table.

    Attributes:
        key: unique in its board, safe in HTML ids.
        subject: what people call it.
        kind: "model", "data set", "chance", "random", "raw", "pca"; "published" in references.
        content_hash: of the subject; "" in references.
        modality: "image", …
        size: how large it is, or None where the record does not say.
        size_of: what `size` counts ("parameters", "images"), or "".
        date: of its newest record, YYYY-MM-DD; "" in references.
        baseline: a yardstick, not a competitor: has no rank.
        below_random: a sentence where the main value is not above an untrained net's; else "".
        published: numbers of a publication, not computed here.
        source: where published numbers stand; "" for our own.
        level: the lowest check level that its records passed (0 … 3); -1 in references.
        confirmations: how many machines or runs stand behind its least confirmed record.
        training_data: as declared.
        notes: sentences: contamination, several names, …
        cells: column key → cell; every column of the table has one.
    """

    key: str
    subject: str
    kind: str
    cells: Mapping[str, Cell]
    content_hash: str = ""
    modality: str = ""
    size: int | None = None
    size_of: str = ""
    date: str = ""
    baseline: bool = False
    below_random: str = ""
    published: bool = False
    source: str = ""
    level: int = -1
    confirmations: int = 0
    training_data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[str, ...]:
        """Ids of all records behind the row, each once."""
        return tuple(dict.fromkeys(i for cell in self.cells.values() for i in cell.records))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that may be compared: the same data, or one column per data set.

    Attributes:
        key: unique in its board, safe in HTML ids.
        title: the data set's name, or what the table is of.
        columns: from left to right.
        rows: best first by the main column; those without a value of it last, by name.
        data_hash: of the data; "" where columns have data of their own, and in references.
        published: a published table, not computed here; its label is `PUBLISHED`.
        source: where a published table stands.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    data_hash: str = ""
    published: bool = False
    source: str = ""

    @property
    def main(self) -> Column | None:
        """The column that ranks."""
        return next((column for column in self.columns if column.main), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a check found.

    Attributes:
        severity: "refused": the record stands on no board; "unranked": it is shown without a rank;
            "note": worth knowing.
        level: of the check that found it, 0 … 3.
        file: the record's or predictions' file.
        field: where in the record, dotted.
        found: what is there.
        expected: what should be.
        mend: what to do.
        record: the record's id; "" where the file has none.
        kind: "conflict", "copy", "stale" (of an older version), "protocol" (of other code),
            "contamination", "name" (the subject has several) or "" for all else.
    """

    severity: Severity
    level: int
    file: str
    field: str
    found: str
    expected: str
    mend: str = ""
    record: str = ""
    kind: Literal["", "conflict", "copy", "stale", "protocol", "contamination", "name"] = ""

    @property
    def said(self) -> str:
        """The sentence without the file: the same wherever the results folder lies."""
        said = f"{self.field}: found {self.found}, expected {self.expected}"
        return f"{said}; {self.mend}" if self.mend else said

    def __str__(self) -> str:
        return f"{self.file}: {self.said}"


@dataclass(frozen=True, slots=True)
class Board:
    """A board, ready to be shown.

    Attributes:
        slug: its name, as in `masquerade leaderboard show SLUG`.
        title: for people.
        summary: what it compares, in a sentence or two.
        tables: computed ones; empty where no record fits.
        references: published ones, shown apart.
        records: id → every record that a cell names, for the pages of single records.
        problems: what the check found about the records that this board would show.
        first: the command that makes a first record, for a board that has none; "" where nobody
            has said it.
    """

    slug: str
    title: str
    summary: str
    tables: tuple[Table, ...]
    references: tuple[Table, ...] = ()
    records: Mapping[str, Record] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    first: str = ""

    def frame(self, *, tidy: bool = False) -> "DataFrame":
        """The board as a pandas table; see `frames.board_frame`.

        Args:
            tidy: a line per cell instead of a line per row.
        """
        from .frames import board_frame

        return board_frame(self, tidy=tidy)
