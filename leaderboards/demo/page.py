"""The demo's last step: check every record, build the boards, write the page."""

from collections.abc import Collection
from pathlib import Path

from ..building import build_boards
from ..page import NAME
from ..writing import write_boards
from .steps import Found
from .workplace import Workplace


def write_demo_page(place: Workplace, own: Collection[str]) -> Found:
    """Compute every metric again from its predictions, rank, and write page, Markdown and CSV.

    Args:
        place: the demo's.
        own: ids of the records of this demo. The folder may hold others, of other lengths or of
            an older version: they are shown, and what is wrong with them is told, not counted.
    """
    boards = [board for board in build_boards(place.results) if board.tables]
    files = write_boards(boards, place.results, place.out)
    problems = {
        f"{problem.severity}: {problem}": problem.record in own
        for board in boards for problem in board.problems if problem.severity != "note"
    }  # fmt: skip
    shown = ", ".join(
        f"{board.slug} ({sum(len(table.rows) for table in board.tables)} rows)" for board in boards
    )
    return Found((f"{shown}; {files[0]}", *problems), facts={"problems": sum(problems.values())})


def page_of(out: Path) -> Path:
    """The page of a demo folder."""
    return out / NAME
