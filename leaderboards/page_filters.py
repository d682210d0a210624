"""What the rows of a board may be filtered by: the choices of the page's form."""

from dataclasses import dataclass

from .standings import Board, Row

_LARGEST = 999 * 10**12  # of a size: more is no size, and no number of the script either
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Choices:
    """What the rows of a board may be filtered by.

    Attributes:
        modalities: of its rows.
        benchmarks: of its columns.
        sizes: (power of ten, label) of each decade that a row's size lies in.
        unsized: whether some row has no size.
        dates: the first and the last; empty where no row has one.
    """

    modalities: tuple[str, ...]
    benchmarks: tuple[str, ...]
    sizes: tuple[tuple[int, str], ...]
    unsized: bool
    dates: tuple[str, ...]


def choices(board: Board) -> Choices:
    """What the rows of a board's own tables may be filtered by."""
    rows = [row for table in board.tables for row in table.rows]
    sizes = [size_of(row) for row in rows]
    decades = sorted({decade(size) for size in sizes if size})
    dates = sorted(row.date for row in rows if row.date)
    return Choices(
        modalities=tuple(sorted({row.modality for row in rows if row.modality})),
        benchmarks=tuple(dict.fromkeys(
            column.benchmark for table in board.tables for column in table.columns
            if column.benchmark
        )),
        sizes=tuple((d, f"{compact(10**d)} to {compact(10 ** (d + 1))}") for d in decades),
        unsized=not all(sizes),
        dates=(dates[0], dates[-1]) if dates else (),
    )  # fmt: skip


def size_of(row: Row) -> int | None:
    """How large a subject is; None where its record does not say, or says what cannot be."""
    return row.size if row.size is not None and 0 < row.size < _LARGEST else None


def decade(size: int) -> int:
    """The power of ten below a positive number.

    Example:
        >>> decade(999), decade(1000)
        (2, 3)
    """
    return len(str(size)) - 1


def compact(count: int) -> str:
    """A count in three digits.

    Example:
        >>> compact(43_210_000), compact(950), compact(999_999)
        ('43.2 M', '950', '1 M')
    """
    for scale, letter in _SCALES:
        if count >= scale * 0.9995:
            return f"{count / scale:.3g} {letter}"
    return str(count)
