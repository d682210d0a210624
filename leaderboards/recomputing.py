"""Every metric of a record computed again from its stored predictions (L3)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MasqueradeError, ValidationError
from ..core.record_store import PREDICTIONS, read_predictions
from ..core.records import Metric
from .agreement import known
from .consistency import close
from .contradictions import Filed
from .standings import Problem

if TYPE_CHECKING:
    from pandas import DataFrame

_RE_RUN = "re-run the evaluation that made it"
# what a table of another form than its protocol's makes of the protocol's code
FORM_ERRORS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


def recomputed(filed: Filed, results: Path) -> "tuple[list[Problem], DataFrame | None]":
    """What is wrong with a record's metrics, and its predictions where they can be read.

    Args:
        filed: the record.
        results: the folder with its predictions.
    """
    expected = filed.claim.predictions
    if expected is None:
        without = Problem(
            "unranked", 3, filed.file, "claim.predictions", "none", "the hash of stored ones",
            "records without predictions are shown, not ranked", filed.id,
        )  # fmt: skip
        return [without], None
    path = results / PREDICTIONS / f"{expected}.parquet"
    if not path.is_file():
        missing = Problem(
            "unranked", 3, str(path), "file", "none", f"the predictions of {filed.file}",
            "fetch it, or re-run the evaluation", filed.id,
        )  # fmt: skip
        return [missing], None
    try:
        frame = read_predictions(filed.record, results)
    except ValidationError as error:
        said = error.message.removeprefix(f"{path}: ")
        field, _, rest = said.partition(": found ")
        found, _, wanted = rest.partition(", expected ")
        damaged = Problem(
            "refused", 3, str(path), field if rest else "content", found or said,
            wanted or f"the table of hash {expected}", error.remedy or _RE_RUN, filed.id,
        )  # fmt: skip
        return [damaged], None
    return list(_compared(filed, frame, path)), frame


def _compared(filed: Filed, frame: "DataFrame", path: Path) -> Iterator[Problem]:
    protocol = known(filed.claim.benchmark.name).protocol
    if protocol is None:
        return  # said at L2
    try:
        metrics = protocol.score(frame)
    except (MasqueradeError, *FORM_ERRORS) as error:
        said = str(error) or type(error).__name__
        yield Problem(
            "refused", 3, str(path), "content", f"a table that cannot be scored ({said})",
            f"predictions of {filed.claim.benchmark.name}", _RE_RUN, filed.id,
        )  # fmt: skip
        return
    claimed = filed.claim.metrics
    for name in sorted(claimed.keys() | metrics.keys()):
        field = f"claim.metrics.{name}"
        if name not in claimed or name not in metrics:
            where = ("none", "one") if name not in claimed else ("one", "none")
            said = f"{where[1]}, by its predictions"
            yield _refused(filed, field, where[0], said)
            continue
        for part, found, expected in _differences(claimed[name], metrics[name]):
            said = f"{expected}, by its predictions"
            yield _refused(filed, f"{field}.{part}", found, said)


def _differences(claimed: Metric, computed: Metric) -> Iterator[tuple[str, str, str]]:
    """Field, claimed and computed text of each that differs."""
    for field in ("unit", "direction", "n", "n_of", "interval_method"):
        one, other = getattr(claimed, field), getattr(computed, field)
        if one != other:
            yield field, repr(one), repr(other)
    pairs: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
        "value": ((claimed.value,), (computed.value,)),
        "interval": (claimed.interval or (), computed.interval or ()),
        "parts": (claimed.parts, computed.parts),
    }
    for field, (some, others) in pairs.items():
        if len(some) != len(others) or not all(map(close, some, others)):
            yield field, _text(some), _text(others)


def _text(numbers: tuple[float, ...]) -> str:
    return repr(numbers[0]) if len(numbers) == 1 else str(list(numbers))[:200]


def _refused(filed: Filed, field: str, found: str, expected: str) -> Problem:
    return Problem("refused", 3, filed.file, field, found, expected, _RE_RUN, filed.id)
