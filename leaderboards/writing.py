"""Everything that `leaderboard build` writes of boards: the page, Markdown and CSV."""

from collections.abc import Sequence
from pathlib import Path

from ..core.atomic_io import write_text
from .page import write_page
from .standings import Board
from .texts import csv_text, markdown


def write_boards(boards: Sequence[Board], results: Path, out: Path) -> list[Path]:
    """Write the boards; the same records give the same Markdown and CSV, byte for byte.

    Args:
        boards: what to show.
        results: the results folder, for pictures.
        out: the folder.

    Returns:
        The files, the page first.

    Raises:
        MasqueradeError: the system refuses to write.
    """
    files = [write_page(boards, results, out)]
    for board in boards:
        for suffix, text in ((".md", markdown(board)), (".csv", csv_text(board))):
            path = out / "boards" / f"{board.slug}{suffix}"
            write_text(path, text)
            files.append(path)
    return files
