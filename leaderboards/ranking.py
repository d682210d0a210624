"""Ranks of a column: over the same items where predictions are stored, else by intervals."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.item_scores import Items
from ..core.metrics.rank_sets import SharedItems, rank_sets
from .cache import Cache
from .standings import Cell, Column, Rank


class ItemBank:
    """The items behind the records of one table; what records share is held once.

    Args:
        load: record → metric: items; called where a record is asked for that was not added.
    """

    def __init__(self, load: Callable[[str], Mapping[str, Items]]) -> None:
        self._load = load
        self._scores: dict[str, dict[str, tuple[str, NDArray[np.float32]]]] = {}
        self._shared: dict[tuple[str, str], Items] = {}

    def add(self, record: str, found: Mapping[str, Items]) -> None:
        """The items of one record's metrics."""
        own = self._scores.setdefault(record, {})
        for metric, items in found.items():
            self._shared.setdefault((metric, items.of), items)
            own[metric] = items.of, items.scores.astype(np.float32)

    def find(self, record: str, metric: str) -> Items | None:
        """The items of a record's metric; None where it is no mean over items."""
        if record not in self._scores:
            self.add(record, self._load(record))
        found = self._scores[record].get(metric)
        if found is None:
            return None
        of, scores = found
        return replace(self._shared[metric, of], scores=scores.astype(np.float64))


def ranks_of(
    column: Column, cells: Mapping[str, Cell], bank: ItemBank, cache: Cache
) -> dict[str, Rank]:
    """The rank of each cell of a column that may rank.

    Args:
        column: says which way is better.
        cells: row → cell, of those that may rank.
        bank: the items behind them.
        cache: remembers the ranks of the same cells.
    """
    rows = sorted(cells, key=lambda row: cells[row].records)
    if not rows:
        return {}
    key = cache.key((column.metric, column.direction), [cells[row].records for row in rows])
    found = cache.ranks(key)
    if found is None:
        found = _computed(column, [cells[row] for row in rows], bank)
        cache.rank(key, found)
    return {
        row: Rank(best, worst, len(rows), bool(tied), "paired" if paired else "intervals")
        for row, (best, worst, tied, paired) in zip(rows, found, strict=True)
    }


def _computed(column: Column, cells: Sequence[Cell], bank: ItemBank) -> list[list[int]]:
    sign = 1.0 if column.direction == "higher" else -1.0
    ends = [
        [np.nan if end is None else end for end in (cell.value, cell.low, cell.high)]
        for cell in cells
    ]
    values, lows, highs = (np.array(each, np.float64) for each in zip(*ends, strict=True))
    if sign < 0:
        values, lows, highs = -values, -highs, -lows
    sets = rank_sets(values, lows, highs, _shared(column.metric, cells, bank, sign))
    columns = (sets.best, sets.worst, sets.tied, sets.paired)
    return [[int(value) for value in row] for row in zip(*columns, strict=True)]


def _shared(metric: str, cells: Sequence[Cell], bank: ItemBank, sign: float) -> list[SharedItems]:
    """The cells by the items that they are over; a cell of several records by their mean."""
    groups: dict[str, list[tuple[int, Items, NDArray[np.float64]]]] = defaultdict(list)
    for place, cell in enumerate(cells):
        own = [bank.find(record, metric) for record in cell.records]
        some = [items for items in own if items is not None]
        if len(some) == len(own) and len({items.of for items in some}) == 1:
            mean = np.mean([items.scores for items in some], axis=0)
            groups[some[0].of].append((place, some[0], mean))
    return [_joined(group, sign) for group in groups.values() if len(group) > 1]


def _joined(group: Sequence[tuple[int, Items, NDArray[np.float64]]], sign: float) -> SharedItems:
    rows = np.array([place for place, _, _ in group])
    scores = sign * np.stack([mean for _, _, mean in group])
    one = group[0][1]
    return SharedItems(
        rows, scores, one.weights, one.kinds, one.owners, seeds=one.seeds, chosen=one.chosen
    )
