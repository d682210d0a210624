"""The check of a results folder, level by level; a problem names file, field, found, expected.

L0: form, hashes, finite numbers in range. L1: a record agrees with itself. L2: it is of the
registered protocol and data, and does not contradict others, nor has its subject seen the data.
L3: its metrics come out of its stored predictions again.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..core.errors import UsageError, ValidationError
from ..core.record_store import read_record, record_files
from .agreement import of_audited_set, of_registered_data, of_registered_protocol
from .consistency import agrees_with_itself, in_range
from .contamination import contaminated
from .contradictions import Filed, contradictions
from .recomputing import recomputed
from .standings import Problem

Level = Literal[0, 1, 2, 3]
TOP: Level = 3
_RULES = (
    (0, (in_range,)),
    (1, (agrees_with_itself,)),
    (2, (of_registered_protocol, of_registered_data, of_audited_set)),
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A record that could be read, and what was found about it.

    Attributes:
        filed: the record with its id and file.
        problems: about it.
        asked: the level that was asked for.
    """

    filed: Filed
    problems: tuple[Problem, ...]
    asked: int

    def has(self, kind: str) -> bool:
        """Whether a problem of this kind was found."""
        return any(problem.kind == kind for problem in self.problems)

    @property
    def of_other_code(self) -> bool:
        """Whether the protocol that is installed here cannot say what its metrics should be."""
        return self.has("stale") or self.has("protocol")

    @property
    def level(self) -> int:
        """The highest level that it passed; -1 where it fails at 0."""
        if not self.problems:
            return self.asked
        failed = [p.level for p in self.problems if p.severity != "note"]
        return min([self.asked, *(level - 1 for level in failed)])

    @property
    def refused(self) -> bool:
        """Whether it stands on no board."""
        return any(problem.severity == "refused" for problem in self.problems)

    @property
    def why_unranked(self) -> str:
        """The first reason why it is shown without a rank; "" where it ranks."""
        return next((_reason(p) for p in self.problems if p.severity == "unranked"), "")


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        checked: the records that could be read, in the order of their ids.
        unreadable: problems of files that are no record.
        level: how thoroughly was looked.
    """

    checked: tuple[Checked, ...]
    unreadable: tuple[Problem, ...]
    level: int

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them: files that are no record first, then by record."""
        return (*self.unreadable, *(p for each in self.checked for p in each.problems))

    @property
    def holds(self) -> bool:
        """Whether nothing but notes was found."""
        return all(problem.severity == "note" for problem in self.problems)


def check_results(
    results: Path, level: Level = TOP, *, watch: Callable[[int, int], None] | None = None
) -> Report:
    """The check of all records of a results folder.

    Args:
        results: the folder.
        level: 0 … 3, each with those below.
        watch: told how many records have been recomputed, and of how many.

    Raises:
        UsageError: there is no such folder.
    """
    with collector_paused():
        filed, unreadable = read_filed(results)
        return Report(check_records(filed, results, level, watch=watch), unreadable, level)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection: thousands of records come and none goes; it is a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()  # with this all of them count as old: the next collection is of new ones
            gc.unfreeze()
            gc.enable()


def read_filed(results: Path) -> tuple[list[Filed], tuple[Problem, ...]]:
    """The records that can be read, in the order of their ids, and what of the others is wrong.

    Raises:
        UsageError: there is no such folder.
    """
    if not Path(results).is_dir():
        raise UsageError(
            f"there is no results folder {results}",
            "name it with --results; `masquerade evaluate` makes one",
        )
    filed, problems = [], []
    for path in record_files(results):
        try:
            # the file's name is the record's id: read_record refuses another one
            filed.append(Filed(path.stem, str(path), read_record(path)))
        except ValidationError as error:
            problems.append(_unreadable(path, error))
    return filed, tuple(problems)


def check_records(
    records: Sequence[Filed],
    results: Path,
    level: Level,
    *,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[Checked, ...]:
    """The check of records that were read.

    Args:
        records: those of one folder.
        results: the folder with their predictions.
        level: 0 … 3.
        watch: told how many have been recomputed, and of how many.
    """
    found: dict[str, list[Problem]] = defaultdict(list)
    for problem in _rules(records, level):
        found[problem.record].append(problem)
    checked = [Checked(filed, tuple(found[filed.id]), level) for filed in records]
    if level < TOP:
        return tuple(checked)
    done = []
    for number, each in enumerate(checked, start=1):
        if each.of_other_code:
            done.append(each)
        else:
            problems, _ = recomputed(each.filed, results)
            done.append(replace(each, problems=(*each.problems, *problems)))
        if watch is not None:
            watch(number, len(records))
    return tuple(done)


def _rules(records: Sequence[Filed], level: int) -> Iterator[Problem]:
    for at, rules in _RULES:
        if at <= level:
            for filed in records:
                for rule in rules:
                    yield from rule(filed.claim, filed.file, filed.id)
    if level >= 2:
        yield from contradictions(records)
        yield from contaminated(records)


def _reason(problem: Problem) -> str:
    return f"{problem.field}: found {problem.found}, expected {problem.expected}"


def _unreadable(path: Path, error: ValidationError) -> Problem:
    """The sentence of a reader as a problem."""
    said = error.message.removeprefix(f"{path}: ")
    field, _, rest = said.partition(": ")
    if rest.startswith("found "):
        found, _, expected = rest.removeprefix("found ").partition(", expected ")
    elif rest:  # what the schema asks for, then what is there
        expected, _, found = rest.rpartition(", found ")
    else:
        field, found, expected = "content", said, "a record"
    return Problem("refused", 0, str(path), field, found, expected or "a record", error.remedy)
