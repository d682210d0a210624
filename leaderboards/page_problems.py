"""What the check found, as the page says it: each sentence once, with the files it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .standings import Problem


@dataclass(frozen=True, slots=True)
class ProblemView:
    """A sentence of the check.

    Attributes:
        severity: "refused", "unranked" or "note".
        where: the first file of which it was said, inside the results folder; and how many more.
        said: the sentence.
    """

    severity: str
    where: str
    said: str


def view_problems(problems: Sequence[Problem], results: Path) -> tuple[ProblemView, ...]:
    """Each different sentence, in the order in which they were found."""
    files: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        where = files.setdefault((problem.severity, problem.said), [])
        where.append(_inside(problem.file, results))
    return tuple(
        ProblemView(severity, _words(list(dict.fromkeys(where))), said)
        for (severity, said), where in files.items()
    )


def _inside(file: str, results: Path) -> str:
    """A file's place in the results folder: where that lies is nobody's business."""
    return file.removeprefix(f"{results}/")


def _words(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
