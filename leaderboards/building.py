"""Boards from a results folder: read and checked once, recomputed where a board shows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..benchmarks.item_scores import Items, item_scores
from ..core.record_store import read_predictions
from .agreement import known
from .arranging import drafts
from .cache import Cache
from .checking import TOP, Checked, Level, check_records, collector_paused, read_filed
from .contradictions import Filed
from .definitions import BoardDefinition, board_definition, board_slugs, reference_definition
from .ranking import ItemBank
from .recomputing import recomputed
from .standings import Board, Problem, Table
from .tables import table_key, table_of

if TYPE_CHECKING:
    from pandas import DataFrame


def build_board(name: str, results: Path, *, level: Level = TOP) -> Board:
    """One board; see `build_boards`."""
    return build_boards(results, [name], level=level)[0]


def build_boards(
    results: Path,
    names: Sequence[str] | None = None,
    *,
    level: Level = TOP,
    watch: Callable[[], None] = lambda: None,
) -> tuple[Board, ...]:
    """Boards of a results folder, those without a record too.

    Args:
        results: the folder.
        names: shipped boards, or paths to definitions of one's own (`.toml`); None = all shipped.
        level: how thoroughly records are checked first; ranks need 3.
        watch: called once for each record that is recomputed.

    Raises:
        UsageError: no such board or folder.
    """
    definitions = [board_definition(name) for name in (board_slugs() if names is None else names)]
    with collector_paused():
        builder = Builder(results, level, watch)
        return tuple(builder.board(definition) for definition in definitions)


class Builder:
    """Builds boards of one results folder.

    Args:
        results: the folder.
        level: how thoroughly records are checked.
        watch: called once for each record that is recomputed.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(
        self,
        results: Path,
        level: Level = TOP,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._results, self._level, self._watch = Path(results), level, watch
        filed, self._unreadable = read_filed(self._results)
        below: Level = 2 if level >= TOP else level
        self._checked = {each.filed.id: each for each in check_records(filed, self._results, below)}
        self._cache = Cache(self._results, self._checked)

    def board(self, definition: BoardDefinition) -> Board:
        """A board, with what was found about its records and about those that were refused."""
        self._cache.begin(definition.slug)
        benchmarks = {column.benchmark for column in definition.columns}
        own = [
            each for each in self._checked.values()
            if each.filed.claim.benchmark.name in benchmarks
        ]  # fmt: skip
        taken: set[str] = set()
        tables: list[Table] = []
        for draft in drafts(own, definition):
            bank = ItemBank(self._load)
            for checked in draft.records:
                self._verify(checked, bank)
            verified = {
                each.filed.id: found
                for each in draft.records
                if not (found := self._checked[each.filed.id]).refused
            }
            key = table_key(draft.title, taken)
            table = table_of(
                draft, definition, verified, bank=bank, cache=self._cache, key=key
            )  # fmt: skip
            tables += [table] if table.rows else []
        self._cache.save()
        shown = {name for table in tables for row in table.rows for name in row.records}
        problems: list[Problem] = list(self._unreadable)
        for each in own:
            problems += self._checked[each.filed.id].problems
        return Board(
            definition.slug, definition.title, definition.summary, tuple(tables),
            tuple(reference_definition(slug).table() for slug in definition.references),
            MappingProxyType({name: self._checked[name].filed.record for name in sorted(shown)}),
            tuple(problems), definition.first,
        )  # fmt: skip

    def _verify(self, checked: Checked, bank: ItemBank) -> None:
        """Bring a record to level 3, if that is asked for and was not done before."""
        filed = checked.filed
        if self._level < TOP or self._checked[filed.id].asked == TOP:
            return
        problems: list[Problem] = []
        if not checked.of_other_code and not self._cache.verified(filed):
            self._watch()
            problems, frame = recomputed(filed, self._results)
            if not problems and frame is not None:
                self._cache.verify(filed)
                bank.add(filed.id, _items(filed, frame))
        every = (*checked.problems, *problems)
        self._checked[filed.id] = replace(checked, problems=every, asked=TOP)

    def _load(self, record: str) -> Mapping[str, Items]:
        filed = self._checked[record].filed
        return _items(filed, read_predictions(filed.record, self._results))


def _items(filed: Filed, predictions: "DataFrame") -> Mapping[str, Items]:
    protocol = known(filed.claim.benchmark.name).protocol
    return {} if protocol is None else item_scores(protocol, predictions)
