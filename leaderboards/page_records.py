"""The records behind a page: who measured what, how to do it again, and what they share.

Settings, facts and machines are the same for many records: what several have in common stands once
in the page, and they point to it.
"""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.records import Claim, Metric, Provenance, Record
from .page_anchors import RecordNames, row_anchor
from .standings import Board
from .texts import number

_LONGEST = 6000  # characters of one text: a hostile record must not fill the page
_MOST = 250_000  # characters of all such texts of a page; what is beyond is in the record's file


@dataclass(frozen=True, slots=True)
class Text:
    """Something of a record that may be long.

    Attributes:
        name: what it is.
        text: where no other record has the same; else "".
        anchor: where others have it, too; else "". Neither where the page has no room.
    """

    name: str
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of a record.

    Attributes:
        command: what to type; never empty.
        typed: whether that was typed so; else it is put together from the claim.
        made: when and how long.
        machine: hardware, versions, commit.
    """

    command: str
    typed: bool
    made: str
    machine: Text


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record ready for its template.

    Attributes:
        anchor: in the page.
        title: the subject's name.
        what: the benchmark with its version, the data, the seeds.
        rows: (href, words) of each row that it stands in.
        runs: who measured it; the first one, then confirmations.
        hashes: name → hexadecimal digits.
        texts: task, subject, settings, facts.
        others: metrics that no table of the page shows, one a line.
        figures: plots of it.
        sheets: pictures of it.
    """

    anchor: str
    title: str
    what: str
    rows: tuple[tuple[str, str], ...]
    runs: tuple[Run, ...]
    hashes: tuple[tuple[str, str], ...]
    texts: tuple[Text, ...]
    others: tuple[str, ...]
    figures: tuple[Any, ...] = ()
    sheets: tuple[Any, ...] = ()


class SharedTexts:
    """Texts of all records: those that several have get an anchor, and no more than fits a page.

    Args:
        texts: (name, text) as often as records have them.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._anchors: dict[tuple[str, str], str] = {}
        self._own: set[tuple[str, str]] = set()
        left = _MOST
        for key, uses in Counter(texts).items():
            left -= len(key[1])
            if left < 0:
                break
            if uses > 1:
                self._anchors[key] = f"shared:{len(self._anchors) + 1}"
            else:
                self._own.add(key)

    def view(self, name: str, text: str) -> Text:
        """Where a record's text stands."""
        key = (name, text)
        return Text(name, text if key in self._own else "", self._anchors.get(key, ""))

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Anchor, name and text of each that several records have."""
        return ((anchor, name, text) for (name, text), anchor in self._anchors.items())


def view_records(
    boards: tuple[Board, ...],
    names: RecordNames,
    figures: Mapping[str, tuple[Any, ...]],
    sheets: Mapping[str, tuple[Any, ...]],
) -> tuple[list[RecordView], SharedTexts]:
    """Every record of some boards once, in the order in which the tables name them."""
    places, shown = _places(boards)
    every = {key: record for board in boards for key, record in board.records.items()}
    records = {key: every[key] for key in places if key in every}
    texts = {key: _texts(record) for key, record in records.items()}
    machines = {key: [_machine(p) for p in record.provenance] for key, record in records.items()}
    shared = SharedTexts(
        each for key in records
        for each in (*texts[key].items(), *(("machine", text) for text in machines[key])) if each[1]
    )  # fmt: skip
    views = [
        RecordView(
            anchor=names.anchor(key),
            title=record.claim.subject.name,
            what=_what(record.claim),
            rows=tuple(places[key].items()),
            runs=tuple(
                _run(record.claim, provenance, shared.view("machine", machine))
                for provenance, machine in zip(record.provenance, machines[key], strict=True)
            ),
            hashes=(("record", key), *(
                (("predictions", record.claim.predictions),) if record.claim.predictions else ()
            )),
            texts=tuple(shared.view(name, text) for name, text in texts[key].items() if text),
            others=tuple(
                f"{name}  {_metric(metric)}"
                for name, metric in record.claim.metrics.items() if name not in shown[key]
            ),
            figures=figures.get(key, ()),
            sheets=sheets.get(key, ()),
        )
        for key, record in records.items()
    ]  # fmt: skip
    return views, shared


def _places(boards: tuple[Board, ...]) -> tuple[dict[str, dict[str, str]], dict[str, set[str]]]:
    """Of each record the rows that it stands in, and the metrics that are columns there."""
    places: dict[str, dict[str, str]] = {}
    shown: dict[str, set[str]] = {}
    for board in boards:
        for table in board.tables:
            metric = {column.key: column.metric for column in table.columns}
            for row in table.rows:
                for key, cell in row.cells.items():
                    for record in cell.records:
                        words = f"{board.title}, {table.title}"
                        places.setdefault(record, {})[row_anchor(board, row)] = words
                        shown.setdefault(record, set()).add(metric[key])
    return places, shown


def _what(claim: Claim) -> str:
    block, seeds = claim.benchmark, claim.seeds
    words = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return f"{block.name} {block.version} on {block.data}, {words}"


def _texts(record: Record) -> dict[str, str]:
    claim = record.claim
    block, subject = claim.benchmark, claim.subject
    about = {
        "kind": subject.kind, "hash": subject.content_hash,
        "trained on": list(subject.training_data), "preprocessing": subject.preprocessing,
        **subject.facts,
    }  # fmt: skip
    task = {
        "benchmark": f"{block.name} {block.version}", "protocol": block.protocol_hash,
        "data": block.data, "data hash": block.data_hash,
    }  # fmt: skip
    texts = {"task": task, "settings": claim.settings, "subject": about, "facts": claim.facts}
    return {name: lines(text) for name, text in texts.items()}


def _machine(provenance: Provenance) -> str:
    return lines({
        **provenance.hardware, "versions": provenance.versions, "commit": provenance.commit
    })  # fmt: skip


def _metric(metric: Metric) -> str:
    value = number(metric.value, metric.unit)
    ends = metric.interval and [number(end, metric.unit) for end in metric.interval]
    return f"{value} [{ends[0]}, {ends[1]}]" if ends else value


def _run(claim: Claim, provenance: Provenance, machine: Text) -> Run:
    return Run(
        command=_short(provenance.command or spelled(claim)),
        typed=bool(provenance.command),
        made=f"{provenance.created_utc} · {provenance.wall_time_s:.3g} s",
        machine=machine,
    )


def spelled(claim: Claim) -> str:
    """The command of a claim that was made from Python."""
    words = ["masquerade", "evaluate", claim.benchmark.name, "--subject", claim.subject.name]
    words += ["--data", claim.benchmark.data]
    for name, value in flat(claim.settings):
        if value is not None:
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """The leaves of a JSON object with dotted names; lists are leaves.

    Example:
        >>> list(flat({"index": {"kind": "flat"}, "seeds": (0, 1)}))
        [('index.kind', 'flat'), ('seeds', [0, 1])]
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, _plain(value)


def lines(value: Mapping[str, Any]) -> str:
    """A JSON object as lines of a dotted name, two spaces and a value; cut where it is long.

    Example:
        >>> print(lines({"index": {"kind": "flat"}, "seeds": (0, 1)}))
        index.kind  flat
        seeds  [0, 1]
    """
    return _short("\n".join(
        f"{name}  {leaf if isinstance(leaf, str) else _json(leaf)}"
        for name, leaf in flat(value) if leaf not in (None, "", [])
    ))  # fmt: skip


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value, its lists perhaps tuples
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _short(text: str) -> str:
    left = len(text) - _LONGEST
    return text if left <= 0 else f"{text[:_LONGEST]} … {left:,} more characters in the record"
