"""A draft and its checked records as a table: cells, ranks, rows, flags."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from ..benchmarks.baselines import BASELINE_KINDS
from .arranging import Draft, Task, columns_of
from .cache import Cache
from .cells import cell_of
from .checking import TOP, Checked
from .definitions import BoardDefinition, key_of
from .ranking import ItemBank, ranks_of
from .standings import Cell, Column, Row, Table

_SHORT = 8  # digits of a hash in a name
_NOTED = ("contamination", "copy", "name")  # kinds of problems that a row tells
_SIZES = ("parameters", "images")  # what a subject's facts may count


def table_of(
    draft: Draft,
    definition: BoardDefinition,
    verified: Mapping[str, Checked],
    *,
    bank: ItemBank,
    cache: Cache,
    key: str,
) -> Table:
    """The table.

    Args:
        draft: which records stand where.
        definition: of the board.
        verified: record → what the check found, of those that stand on the board.
        bank: the items behind the records.
        cache: remembers ranks.
        key: of the table, unique in its board.
    """
    columns = columns_of(draft, definition)
    subjects = {
        subject: [verified[c.filed.id] for c in own if c.filed.id in verified]
        for subject, own in draft.subjects.items()
    }
    cells = {
        subject: {
            column.key: _cell(draft, subject, task, verified) for task, column in columns.items()
        }
        for subject, own in subjects.items()
        if own
    }
    rivals = {
        subject: {each.filed.id for each in subjects[subject] if each.level >= TOP}
        for subject in cells
        if not _is_baseline(subjects[subject])
    }
    for column in columns.values():
        values = ((subject, cells[subject][column.key]) for subject in rivals)
        able = {s: cell for s, cell in values if _may_rank(cell, rivals[s])}
        for subject, rank in ranks_of(column, able, bank, cache).items():
            cells[subject][column.key] = replace(able[subject], rank=rank)
    names = _names({subject: subjects[subject] for subject in cells})
    rows, methods = [], {}
    for subject, own in cells.items():
        row = _row(f"{key}-{subject[:_SHORT]}", names[subject], subjects[subject], own, definition)
        methods[row.key] = str(_oldest(subjects[subject]).filed.claim.subject.facts.get("method"))
        rows.append(row)
    main = next((column for column in columns.values() if column.main), None)
    ordered = tuple(sorted(_flagged(rows, main, methods), key=lambda row: _order(row, main)))
    hashes = {task.data_hash for task in columns}
    data_hash = hashes.pop() if len(hashes) == 1 and definition.group == "data" else ""
    return Table(key, draft.title, tuple(columns.values()), ordered, data_hash)


def table_key(title: str, taken: set[str]) -> str:
    """A key for a table that no other of its board has; takes it."""
    base = key_of(title)
    key, number = base, 1
    while key in taken:
        number += 1
        key = f"{base}-{number}"
    taken.add(key)
    return key


def _cell(draft: Draft, subject: str, task: Task, verified: Mapping[str, Checked]) -> Cell:
    entries = draft.entries[subject].get(task, ())
    return cell_of([entry for entry in entries if entry.id in verified], verified)


def _may_rank(cell: Cell, passed: Set[str]) -> bool:
    """Whether a cell has a value, nothing against it, and only records that passed the check."""
    return cell.state == "value" and not cell.why and passed >= set(cell.records)


def _is_baseline(own: Sequence[Checked]) -> bool:
    return own[0].filed.claim.subject.kind in BASELINE_KINDS


def _oldest(own: Sequence[Checked]) -> Checked:
    return min(own, key=lambda each: (each.filed.date, each.filed.id))


def _names(subjects: Mapping[str, Sequence[Checked]]) -> dict[str, str]:
    """What each subject is called: by its oldest record; what has the same name is told apart."""
    called = {s: _oldest(own).filed.claim.subject for s, own in subjects.items()}
    several: dict[str, list[str]] = {}
    for subject, block in called.items():
        several.setdefault(block.name, []).append(subject)
    names = {}
    for name, own in several.items():
        for subject in own:
            apart = _apart(called[subject], [called[other] for other in own])
            names[subject] = f"{name} ({apart})" if len(own) > 1 else name
    return names


def _apart(block: Any, others: Sequence[Any]) -> str:  # noqa: ANN401 - subject blocks
    """What tells a subject from others of its name: the preprocessing, else its hash."""
    if len({(other.kind, other.content_hash) for other in others}) > 1:
        return str(block.content_hash[:_SHORT])
    keys = sorted({key for other in others for key in other.preprocessing})
    differing = [k for k in keys if len({repr(other.preprocessing.get(k)) for other in others}) > 1]
    return ", ".join(f"{key}={block.preprocessing.get(key)}" for key in differing)


def _row(
    key: str,
    name: str,
    own: Sequence[Checked],
    cells: Mapping[str, Cell],
    definition: BoardDefinition,
) -> Row:
    oldest = _oldest(own).filed.claim.subject
    facts = oldest.facts
    size_of = next((name for name in _SIZES if isinstance(facts.get(name), int)), "")
    size: Any = facts.get(size_of)
    modality = oldest.preprocessing.get("modality")
    notes = [p.said for each in own for p in each.problems if p.kind in _NOTED]
    return Row(
        key, name, oldest.kind, cells, oldest.content_hash,
        modality if isinstance(modality, str) else definition.modality,
        size, size_of, max(each.filed.date for each in own)[:10],
        baseline=_is_baseline(own), level=min(each.level for each in own),
        confirmations=min(len(each.filed.record.provenance) for each in own),
        training_data=tuple(oldest.training_data), notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def _flagged(rows: Sequence[Row], main: Column | None, methods: Mapping[str, Any]) -> list[Row]:
    """The rows, those not above an untrained net marked.

    Args:
        rows: of the table.
        main: the column that counts.
        methods: row → its method: an untrained net of the same one is the yardstick, where there
            is one; else the best untrained net.
    """
    if main is None:
        return list(rows)
    sign = 1 if main.direction == "higher" else -1
    untrained = [
        (sign * cell.value, row.subject, methods[row.key])
        for row in rows
        if row.kind == "random" and (cell := row.cells[main.key]).value is not None
    ]
    found = []
    for row in rows:
        value = row.cells[main.key].value
        twins = [each for each in untrained if each[2] == methods[row.key]] or untrained
        if row.baseline or value is None or not twins or sign * value > max(twins)[0]:
            found.append(row)
            continue
        bar, name, _ = max(twins)
        said = (
            f"{main.label} {value:.4f} is not above that of an untrained net, {sign * bar:.4f} "
            f"({name})"
        )
        found.append(replace(row, below_random=said))
    return found


def _order(row: Row, main: Column | None) -> tuple[bool, float, str, str]:
    """Best first; those without a value last, by name."""
    value = None if main is None else row.cells[main.key].value
    if value is None or main is None:
        return True, 0.0, row.subject, row.key
    return False, -value if main.direction == "higher" else value, row.subject, row.key
