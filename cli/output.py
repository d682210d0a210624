"""What commands print: tables and JSON on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click


def emit_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON object on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """Print a line for a person on stderr."""
    click.echo(text, err=True)


def progress_bar(what: str) -> Callable[[Iterable[int]], Iterable[int]]:
    """A progress bar of this name on stderr, silent where that is no terminal."""
    if not sys.stderr.isatty():
        return iter
    from rich.console import Console
    from rich.progress import track

    return lambda items: track(items, description=what, console=Console(stderr=True))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Aligned columns with a header line; None is shown as a dash.

    Example:
        >>> print(table([{"name": "mae", "year": 2022}], ["name", "year"]))
        name  year
        mae   2022
    """
    cells = [list(columns)]
    cells += [["-" if row.get(c) is None else str(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
