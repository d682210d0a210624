"""Which records stand in which table, row and column of a board."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from ..core.atomic_io import canonical_json
from .agreement import known
from .cells import Entry
from .checking import Checked
from .contradictions import Filed
from .definitions import BoardDefinition, ColumnDefinition, key_of
from .standings import Column
from .tasks import task_settings

_SHORT = 8  # digits of a hash in a label


class Task(NamedTuple):
    """What all cells of a column have in common.

    Attributes:
        benchmark: the protocol's slug.
        metric: the metric's name.
        data: the data set's name.
        data_hash: its hash.
        settings: canonical JSON of the settings that make the task.
    """

    benchmark: str
    metric: str
    data: str
    data_hash: str
    settings: str


@dataclass
class Draft:
    """A table before its cells are made.

    Attributes:
        title: the data set, or the board's title.
        entries: subject → task → what records say.
        subjects: subject → its records.
    """

    title: str
    entries: dict[str, dict[Task, list[Entry]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    subjects: dict[str, list[Checked]] = field(default_factory=lambda: defaultdict(list))

    @property
    def records(self) -> list[Checked]:
        """All records of the table, in the order of their ids."""
        found = {each.filed.id: each for own in self.subjects.values() for each in own}
        return [found[name] for name in sorted(found)]

    def tasks(self) -> dict[Task, int]:
        """The tasks, and how many subjects have a value for each."""
        counts: dict[Task, int] = defaultdict(int)
        for of_subject in self.entries.values():
            for task, entries in of_subject.items():
                counts[task] += any(entry.metric is not None for entry in entries)
        return dict(counts)


def drafts(records: Iterable[Checked], definition: BoardDefinition) -> list[Draft]:
    """The tables of a board, by title; refused records stand in none."""
    found: dict[str, Draft] = {}
    shown = cache(lambda benchmark, metric: definition.column_of(benchmark, metric) is not None)
    task = cache(Task)  # one object each: equal ones are then found by identity
    settings_of: dict[tuple[str, str], str] = {}  # of thousands of records few differ
    for checked in _of_modality(records, definition):
        filed = checked.filed
        placed = [each for each in _said(filed) if shown(filed.claim.benchmark.name, each[0])]
        if not placed or checked.refused:
            continue
        block = filed.claim.benchmark
        title = block.data if definition.group == "data" else definition.title
        draft = found.setdefault(title, Draft(title))
        draft.subjects[filed.subject].append(checked)
        asked = (block.name, repr(filed.claim.settings))
        if asked not in settings_of:
            free = definition.free_settings.get(block.name, ())
            settings_of[asked] = canonical_json(task_settings(filed.claim.settings, free))
        settings = settings_of[asked]
        own = draft.entries[filed.subject]
        for metric, entry in placed:
            own[task(block.name, metric, block.data, block.data_hash, settings)].append(entry)
    return [found[title] for title in sorted(found)]


def _of_modality(records: Iterable[Checked], definition: BoardDefinition) -> Iterable[Checked]:
    """The records on data of the board's modality; all where it does not ask.

    A guess by chance prepares no input and so says no modality: others on its data do.
    """
    if not definition.only_modality:
        return records
    kept = list(records)
    found = {
        each.filed.claim.benchmark.data_hash
        for each in kept
        if each.filed.claim.subject.preprocessing.get("modality") == definition.modality
    }
    return [each for each in kept if each.filed.claim.benchmark.data_hash in found]


def _said(filed: Filed) -> list[tuple[str, Entry]]:
    """What a record says of each metric, of those without enough data as well."""
    claim = filed.claim
    found = [(name, Entry(filed.id, metric)) for name, metric in claim.metrics.items()]
    unsupported = claim.facts.get("unsupported")
    for metric, counts in unsupported.items() if isinstance(unsupported, Mapping) else ():
        if metric not in claim.metrics:
            found.append((metric, Entry(filed.id, None, _counts(counts))))
    return found


def _counts(counts: Any) -> str:  # noqa: ANN401 - what a record says
    """The counts as a sentence: n_impostor 300, needed 10000."""
    if not isinstance(counts, Mapping):
        return "too little data"
    return "too little data: " + ", ".join(f"{name} {value}" for name, value in counts.items())


def columns_of(draft: Draft, definition: BoardDefinition) -> dict[Task, Column]:
    """The columns of a table, from left to right.

    A task is one column. Columns of one metric are told apart by what differs: settings, data.
    Rows are ranked by the definition's main column, or where nobody has a value of it by the
    first one that has; by its variant with most subjects.
    """
    counts = draft.tasks()
    ordered = sorted(counts, key=lambda task: _order(task, definition))
    main = _main(ordered, counts, definition)
    columns: dict[Task, Column] = {}
    keys: set[str] = set()
    for task in ordered:
        own, rest = _definition(task, definition)
        settings = _told_apart(task, [t for t in ordered if _kin(t, task)], definition)
        data = task.data if definition.group == "none" else ""
        key = _fresh(key_of(f"{task.benchmark} {task.metric} {settings} {data}"), keys)
        columns[task] = Column(
            key, own.label.replace("{}", rest.replace("_", " ")), task.benchmark, task.metric,
            own.unit, own.direction, own.definition, task == main, settings, data,
        )  # fmt: skip
    return columns


def _definition(task: Task, definition: BoardDefinition) -> tuple[ColumnDefinition, str]:
    found = definition.column_of(task.benchmark, task.metric)
    if found is None:
        raise KeyError(task.metric)
    return found


def _order(task: Task, definition: BoardDefinition) -> tuple[Any, ...]:
    """By the definition's columns; of one metric the default settings first."""
    own, rest = _definition(task, definition)
    number = re.match(r"\d+", rest)
    usual = canonical_json(_defaults(task.benchmark, definition))
    return (
        definition.columns.index(own), float(number[0]) if number else -1.0, rest,
        task.data, task.settings != usual, task.settings, task.data_hash,
    )  # fmt: skip


def _main(
    ordered: Sequence[Task], counts: Mapping[Task, int], definition: BoardDefinition
) -> Task | None:
    """Of the definition's main column, else of the first with a value, the fullest variant."""
    valued = [task for task in ordered if counts[task]]
    wanted = [task for task in valued if _definition(task, definition)[0].main]
    kin = wanted or [task for task in valued if _kin(task, valued[0])]
    return max(kin, key=lambda task: counts[task], default=None)


def _kin(one: Task, other: Task) -> bool:
    return (one.benchmark, one.metric, one.data) == (other.benchmark, other.metric, other.data)


def _told_apart(task: Task, kin: Sequence[Task], definition: BoardDefinition) -> str:
    """What differs from the others of its metric, or from the default: k=20, data 1a2b3c4d."""
    own = json.loads(task.settings)
    every = [json.loads(other.settings) for other in kin]
    default = _defaults(task.benchmark, definition)
    shown = []
    for name in sorted({name for settings in every for name in settings}):
        value, usual = own.get(name), default.get(name)
        differs = any(other.get(name) != value for other in every)
        # None and "auto" are filled in by the protocol: that is no choice of the user's
        if differs or (name in default and usual not in (None, "auto") and value != usual):
            shown.append(f"{name}={json.dumps(value, ensure_ascii=False)}")
    if len({other.data_hash for other in kin}) > 1:
        shown.append(f"data {task.data_hash[:_SHORT]}")
    return ", ".join(shown)


@cache
def _protocol_defaults(benchmark: str, free: tuple[str, ...]) -> dict[str, Any]:
    protocol = known(benchmark).protocol
    return {} if protocol is None else task_settings(protocol.Settings().to_dict(), free)


def _defaults(benchmark: str, definition: BoardDefinition) -> dict[str, Any]:
    return _protocol_defaults(benchmark, definition.free_settings.get(benchmark, ()))


def _fresh(key: str, taken: set[str]) -> str:
    """The key, or the first of key-2, key-3 … that is not taken; takes it."""
    number, found = 1, key
    while found in taken:
        number += 1
        found = f"{key}-{number}"
    taken.add(found)
    return found
