"""The public call `masquerade.board`: by names and paths, as on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checking import Level
    from .standings import Board


def board(name: str, results: str | Path = "results", *, level: "Level" = 3) -> "Board":
    """A ranked board of a results folder; `.frame()` is its pandas table.

    Args:
        name: a name of `masquerade list boards`, or a definition of your own (FILE.toml).
        results: the folder of records and predictions.
        level: how thoroughly records are checked first, 0 … 3; ranks need 3.

    Raises:
        UsageError: there is no such board or folder.
    """
    from .building import build_board

    return build_board(name, Path(results), level=level)
