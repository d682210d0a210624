"""What records say about each other (L2): conflicts, copies, one subject under several names."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..benchmarks.baselines import BASELINE_KINDS
from ..core.errors import ValidationError
from ..core.frames import read_frame
from ..core.record_store import PREDICTIONS
from ..core.records import Claim, Metric, Record
from .agreement import known
from .standings import Problem, Severity
from .tasks import measurement_key, subject_key

_MANY = 10  # different real numbers that two subjects never have in common
_SAME = 1e-6  # values of a deterministic protocol that differ by more contradict each other


@dataclass(frozen=True)
class Filed:
    """A record with its id and file, computed once.

    Attributes:
        id: of the record.
        file: where it lies.
        record: itself.
    """

    id: str
    file: str
    record: Record

    @cached_property
    def claim(self) -> Claim:
        """What it claims."""
        return self.record.claim

    @cached_property
    def subject(self) -> str:
        """The same for records of one subject; see `subject_key`."""
        return subject_key(self.claim)

    @cached_property
    def date(self) -> str:
        """When it was first made, ISO 8601."""
        return min(each.created_utc for each in self.record.provenance)


def contradictions(records: Sequence[Filed]) -> Iterator[Problem]:
    """Everything below, in this order."""
    yield from conflicts(records)
    yield from copies(records)
    yield from other_names(records)


def conflicts(records: Sequence[Filed]) -> Iterator[Problem]:
    """Records of one subject, protocol, data, settings and seeds with different values."""
    near = _groups(records, lambda filed: (filed.subject, filed.claim.benchmark.data_hash))
    for group in [same for some in near for same in _groups(some, _measurement)]:
        # by id: whoever came first is not more right
        first, *others = sorted(group, key=lambda filed: filed.id)
        for other in others:
            differing = _differing(first.claim, other.claim)
            if differing is None:
                continue
            for one, against in ((first, other), (other, first)):
                yield Problem(
                    "unranked", 2, one.file, f"claim.metrics.{differing}.value",
                    _value(one.claim, differing),
                    f"{_value(against.claim, differing)}, as record {against.id[:12]} has it "
                    "(conflict)",
                    "find out which is right, and remove the other record", one.id, "conflict",
                )  # fmt: skip


def copies(records: Sequence[Filed]) -> Iterator[Problem]:
    """The very same predictions under different subjects.

    Real numbers (distances, scores) are the same by copying alone. Classes and ranks are not: two
    trunks that are nearly one may agree on everything, so these are only noted. A baseline is no
    thief, and a collapsed model may predict what chance does.
    """
    made = [each for each in records if each.claim.predictions is not None]
    for group in _groups(made, lambda filed: _predictions_key(filed.claim)):
        subjects = {_origin(each.claim): each for each in reversed(group)}
        if len(subjects) < 2 or any(each.claim.subject.kind == "chance" for each in group):
            continue
        severity: Severity = "unranked" if _are_real_numbers(group[0]) else "note"
        for filed in group:
            if filed.claim.subject.kind in BASELINE_KINDS:
                continue
            other = next(o for h, o in subjects.items() if h != _origin(filed.claim))
            yield Problem(
                severity, 2, filed.file,
                "claim.predictions", f"those of record {other.id[:12]}, whose subject is "
                f"'{other.claim.subject.name}' ({other.claim.subject.content_hash[:12]})",
                f"predictions of '{filed.claim.subject.name}' "
                f"({filed.claim.subject.content_hash[:12]}) alone (a copy)",
                "find out whose they are, and remove the other record", filed.id, "copy",
            )  # fmt: skip


def other_names(records: Sequence[Filed]) -> Iterator[Problem]:
    """Subjects of one content that have several names; their row has the oldest one."""
    for group in _groups(records, lambda filed: filed.claim.subject.content_hash):
        first = min(group, key=lambda filed: (filed.date, filed.id))
        name = first.claim.subject.name
        for filed in group:
            if filed.claim.subject.name != name:
                yield Problem(
                    "note", 2, filed.file, "claim.subject.name",
                    repr(filed.claim.subject.name),
                    f"'{name}', under which record {first.id[:12]} has the same content",
                    "they share a row", filed.id, "name",
                )  # fmt: skip


def _groups(records: Sequence[Filed], key: Callable[[Filed], Hashable]) -> list[list[Filed]]:
    """Those of two or more records with one key, in the records' order."""
    found: dict[Hashable, list[Filed]] = defaultdict(list)
    for filed in records:
        found[key(filed)].append(filed)
    return [group for group in found.values() if len(group) > 1]


def _measurement(filed: Filed) -> Hashable:
    return measurement_key(filed.claim, filed.subject)


def _predictions_key(claim: Claim) -> tuple[str | None, str, str]:
    return claim.predictions, claim.benchmark.name, claim.benchmark.data_hash


def _origin(claim: Claim) -> str:
    """The subject's content; of stored embeddings, that of the model which made them."""
    made_by = claim.subject.preprocessing.get("subject_hash")
    return made_by if isinstance(made_by, str) else claim.subject.content_hash


def _differing(one: Claim, other: Claim) -> str | None:
    """The first metric in which two claims contradict each other."""
    protocol = known(one.benchmark.name).protocol
    # what was trained differs in its last bits between machines
    trains = any(getattr(protocol, name, False) for name in ("TRAINS", "KEEPS_RUNS"))
    for name in sorted(one.metrics.keys() & other.metrics.keys()):
        first, second = one.metrics[name], other.metrics[name]
        apart = abs(first.value - second.value) > _SAME
        if apart and not (trains and _holds(first, second.value) and _holds(second, first.value)):
            return name
    return None


def _holds(metric: Metric, value: float) -> bool:
    return metric.interval is not None and metric.interval[0] <= value <= metric.interval[1]


def _value(claim: Claim, name: str) -> str:
    return repr(claim.metrics[name].value)


def _are_real_numbers(filed: Filed) -> bool:
    """Whether the stored predictions have a column of many different real numbers."""
    path = Path(filed.file).parent.parent / PREDICTIONS / f"{filed.claim.predictions}.parquet"
    try:
        frame = read_frame(path)
    except ValidationError:
        return False  # level 3 says what is wrong with it
    reals = frame.select_dtypes("floating")
    return any(reals[name].nunique() >= _MANY for name in reals)
