"""`masquerade leaderboard`: results added, checked, shown, built into a page, bundled."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from .output import emit_json, note, table

if TYPE_CHECKING:
    from ..leaderboards.checking import Level
    from ..leaderboards.standings import Board, Problem, Table

INVALID = 5
RANKED = 3
_SHOWN = 20  # problems named on the screen; --json names all
_RESULTS = click.option(
    "--results", default="results", show_default=True, type=click.Path(path_type=Path),
    help="The folder of records and predictions.",
)  # fmt: skip
_LEVEL = click.option(
    "--level", type=click.IntRange(0, 3), default=3, show_default=True,
    help="0 form and ranges, 1 inner agreement, 2 protocol, data and other records, 3 every metric "
    "computed again from its predictions; ranks need 3.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def leaderboard() -> None:
    """Add, check, show, build and bundle results.

    \b
    Example:
      masquerade leaderboard show representation --results results
    """


@leaderboard.command()
@click.argument("file", type=click.Path(path_type=Path))
@_RESULTS
@_LEVEL
@_JSON
def add(file: Path, results: Path, level: "Level", as_json: bool) -> None:
    """Check FILE, a bundle or one record, and take its records into RESULTS.

    Where one of them does not hold, nothing is added.

    \b
    Example:
      masquerade leaderboard add theirs.bundle --results results
    """
    from ..leaderboards.bundles import add_file

    records, report = add_file(file, results, level=level)
    if as_json:
        emit_json({
            "results": str(results), "records": [record.id for record in records],
            "problems": [asdict(problem) for problem in report.problems],
        })  # fmt: skip
        return
    _say(report.problems)
    for record in records:
        several = len(record.provenance)
        more = f", now confirmed {several} times" if several > 1 else ""
        note(f"{record.claim.subject.name} on {record.claim.benchmark.data}: {record.id}{more}")
    click.echo(f"took {_records(len(records))} into {results}")


@leaderboard.command()
@_RESULTS
@_LEVEL
@_JSON
def check(results: Path, level: "Level", as_json: bool) -> int:
    """Check all records of RESULTS; each problem names file, field, found and expected.

    Ends with 5 where a record was refused or left without a rank; notes are no failure.

    \b
    Example:
      masquerade leaderboard check --results results --level 3
    """
    from ..leaderboards.checking import check_results

    with _progress("recomputed") as watch:
        report = check_results(results, level, watch=watch)
    if as_json:
        emit_json({
            "results": str(results), "level": level, "records": len(report.checked),
            "holds": report.holds, "problems": [asdict(each) for each in report.problems],
        })  # fmt: skip
    else:
        _say(report.problems)
        click.echo(_summary(report.problems, len(report.checked), level))
    return 0 if report.holds else INVALID


@leaderboard.command()
@click.argument("board", required=False)
@_RESULTS
@_LEVEL
@click.option("--format", "form", type=click.Choice(["table", "markdown", "csv", "parquet"]),
              default="table", show_default=True, help="How it is written.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="The file; none: on the screen (parquet needs one).")  # fmt: skip
@click.option("--tidy", is_flag=True, help="csv and parquet: a line per cell, not per row.")
@_JSON
def show(
    board: str | None, results: Path, level: "Level", form: str, out: Path | None, tidy: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Show BOARD (all that have a record when left out).

    BOARD is a name of `masquerade list boards`, or a definition of your own (FILE.toml).

    \b
    Example:
      masquerade leaderboard show face-verification --format csv --out verification.csv
    """
    from ..core.errors import UsageError

    if form == "parquet" and out is None:
        raise UsageError("--format parquet writes a file", "name it with --out FILE.parquet")
    if tidy and form not in ("csv", "parquet") and not as_json:
        raise UsageError(f"--tidy does not go with --format {form}", "use csv or parquet")
    boards = _boards(board, results, level)
    if as_json:
        emit_json({"results": str(results), "boards": [_as_json(each) for each in boards]})
        return
    if not boards:
        raise UsageError(
            f"no record in {results} stands on a board", "`masquerade evaluate` makes one"
        )
    _say([problem for each in boards for problem in each.problems])
    if form == "parquet":
        _write_parquet(boards, out or Path(), tidy)
        note(f"wrote {out}")
        return
    texts = {"table": _screen, "markdown": _markdown, "csv": _csv}
    text = "\n".join(texts[form](each, tidy) for each in boards).rstrip("\n") + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    from ..core.atomic_io import write_text

    write_text(out, text)
    note(f"wrote {out}")


@leaderboard.command()
@_RESULTS
@click.option("--out", default="boards", show_default=True, type=click.Path(path_type=Path),
              help="The folder for page, Markdown and CSV.")  # fmt: skip
@_LEVEL
@_JSON
def build(results: Path, out: Path, level: "Level", as_json: bool) -> None:
    """Write all boards of RESULTS into OUT: one self-contained page, Markdown and CSV.

    \b
    Example:
      masquerade leaderboard build --results results --out boards
    """
    from ..leaderboards.writing import write_boards

    boards = _boards(None, results, level, empty=True)
    files = write_boards(boards, results, out)
    if as_json:
        emit_json({
            "out": str(out), "files": [str(path) for path in files],
            "boards": {each.slug: sum(len(t.rows) for t in each.tables) for each in boards},
        })  # fmt: skip
        return
    for each in boards:
        note(f"{each.slug}: {sum(len(t.rows) for t in each.tables)} rows")
    click.echo(files[0])


@leaderboard.command()
@click.argument("ids", nargs=-1)
@_RESULTS
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file.")
@_JSON
def bundle(ids: tuple[str, ...], results: Path, out: Path, as_json: bool) -> None:
    """Write records, named by the beginnings of their IDS, with predictions as one file.

    Without IDS all of them. Others take it in with `masquerade leaderboard add`.

    \b
    Example:
      masquerade leaderboard bundle --results results --out ours.bundle
    """
    from ..leaderboards.bundles import write_bundle

    count = write_bundle(results, out, ids)
    if as_json:
        emit_json({"out": str(out), "records": count, "bytes": out.stat().st_size})
    else:
        note(f"{_records(count)}, {out.stat().st_size:,} bytes")
        click.echo(out)


def _boards(
    name: str | None, results: Path, level: "Level", *, empty: bool = False
) -> "list[Board]":
    """The named board, or all that have a record (with `empty` the others as well)."""
    from ..leaderboards.building import build_boards

    with _progress("recomputed") as watch:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            watch(done, None)

        boards = build_boards(results, [name] if name else None, level=level, watch=count)
    if level < RANKED:
        note(f"checked to level {level}: ranks need {RANKED}")
    return [each for each in boards if name or empty or each.tables]


def _say(problems: "Sequence[Problem]") -> None:
    """Name problems on stderr, each sentence once."""
    sentences = list(dict.fromkeys(f"{problem.severity}: {problem}" for problem in problems))
    for sentence in sentences[:_SHOWN]:
        note(sentence)
    if len(sentences) > _SHOWN:
        note(f"… and {len(sentences) - _SHOWN} more; --json names all")


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A line on stderr; none where that is no terminal."""
    shown = sys.stderr.isatty()

    def watch(done: int, total: int | None) -> None:
        if shown and (done % 10 == 0 or done == total):
            click.echo(f"\r{name}: {done:,}{f' of {total:,}' if total else ''}", nl=False, err=True)

    yield watch
    if shown:
        click.echo("\r" + " " * 40 + "\r", nl=False, err=True)


def _records(count: int) -> str:
    return f"{count:,} record{'s' * (count != 1)}"


def _summary(problems: "tuple[Problem, ...]", n_records: int, level: int) -> str:
    def count(severity: Literal["refused", "unranked", "note"]) -> int:
        return sum(problem.severity == severity for problem in problems)

    return (
        f"{_records(n_records)} checked to level {level}: {count('refused')} refusals, "
        f"{count('unranked')} reasons for no rank, {count('note')} notes"
    )


def _screen(board: "Board", _tidy: bool) -> str:
    from ..leaderboards.standings import PUBLISHED

    parts = [board.title]
    for own in board.tables:
        parts.append(f"\n{own.title}\n{_grid(own)}")
    for own in board.references:
        parts.append(f"\n{own.title} ({PUBLISHED}; {own.source})\n{_grid(own)}")
    return "\n".join(parts) + "\n"


def _grid(own: "Table") -> str:
    from ..leaderboards.texts import plain_rows

    rows = plain_rows(own)
    return table(rows, list(rows[0])) if rows else "no record yet"


def _markdown(board: "Board", _tidy: bool) -> str:
    from ..leaderboards.texts import markdown

    return markdown(board)


def _csv(board: "Board", tidy: bool) -> str:
    from ..leaderboards.texts import csv_text

    return csv_text(board, tidy=tidy)


def _write_parquet(boards: "list[Board]", out: Path, tidy: bool) -> None:
    import pandas as pd

    from ..core.atomic_io import write_file

    frame = pd.concat([each.frame(tidy=tidy) for each in boards], ignore_index=True)
    write_file(out, lambda path: frame.to_parquet(path, index=False))


def _as_json(board: "Board") -> dict[str, Any]:
    return {
        "board": board.slug,
        "tables": [_table_json(own) for own in (*board.tables, *board.references)],
        "problems": [asdict(problem) for problem in board.problems],
    }


def _table_json(own: "Table") -> dict[str, Any]:
    return {
        "title": own.title, "published": own.published, "source": own.source,
        "columns": [asdict(column) for column in own.columns],
        "rows": [asdict(row) for row in own.rows],
    }  # fmt: skip
