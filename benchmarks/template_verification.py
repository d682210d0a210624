"""Template verification (IJB 1:1): are two sets of pictures of one person? TAR@FAR over millions.

A template is what `Pooling` makes of f(x) + f(mirrored x) of its pictures, weighted by the detector
score, brought to unit length; a pair's score is the product of its templates, in float32. Pairs are
read, scored and counted in blocks, so memory does not grow with their number: the scores wait
in a temporary file between the readings (13 bytes a pair).

TAR is taken where the ROC's FAR is nearest to the target, with the larger TAR of equally near
points, as is published for IJB. A figure at a FAR that fewer than ten impostor pairs would pass
is no metric: it stands among the record's facts, as unsupported. Intervals are over people
(templates joined by genuine pairs); see `core/metrics/people_counts.py`.
"""

# N pairs, T templates, D width, G people, F rates.

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.config import Config
from ..core.errors import DataError
from ..core.metrics.pair_intervals import connected_groups
from ..core.metrics.people_counts import PeopleCounts
from ..core.metrics.streamed_roc import StreamedRates, streamed_rates
from ..core.metrics.verification import MIN_ACCEPTED, exchange_rate, supports
from ..core.records import Metric, Record
from .protocol import Identity, Result, Stopwatch, make_result
from .template_data import TemplateTask, open_templates

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.metrics.intervals import Interval, Method
    from ..modalities.image.faces.template_lists import Pairs
    from .subjects import Extraction, Subject

SLUG = "template-verification"
VERSION = "1.0.0"
SUMMARY = "same person or not, from sets of pictures (IJB 1:1): TAR@FAR of millions of pairs"
MAIN_METRIC = "eer"
BASELINES = ("chance", "random", "raw", "random:arcface@arcface-small")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/template_verification.py", "benchmarks/template_data.py",
        "core/metrics/templates.py", "core/metrics/streamed_roc.py",
        "core/metrics/verification.py", "core/metrics/people_counts.py",
        "modalities/image/faces/template_lists.py", "modalities/image/faces/alignment.py",
    ),
)  # fmt: skip
FARS = {f"1e-{digit}": 10.0**-digit for digit in range(1, 7)}
_SPOOLED = np.dtype([("a", "<i4"), ("b", "<i4"), ("same", "?"), ("score", "<f4")])
_PAIRS = 1 << 16  # read at once
_BELOW_ALL = -2.0  # the threshold that accepts every pair
_PRODUCTS = 1 << 12  # multiplied at once: their templates stay in the cache


class Settings(Config):
    """What is said beside the metrics."""

    published_protocol: bool = False  # give figures without enough impostors, as unranked facts


def open_data(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",  # noqa: ARG001 - as every protocol's opener
) -> tuple[TemplateTask, dict[str, Any]]:
    """The template lists that a user names; see `open_templates`."""
    return open_templates(text, own, TemplateTask)


def run(subject: "Subject", data: TemplateTask, settings: Settings) -> Result:
    """Score a subject on pairs of templates; see the module's text.

    Raises:
        DataError: a list is damaged, a picture cannot be read, or there is one person only.
        ValidationError: an embedding is not finite, a template is zero, or a kind of pair lacks.
    """
    clock = Stopwatch()
    templates = data.templates(subject)
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "scores")
        spool.fill(data.lists.pairs(), templates)
        people = spool.people(len(templates))
        rates = streamed_rates(spool.scores, list(FARS.values()))
        predictions = _counted(spool, people, rates)
    facts = _facts(rates, len(templates), published=settings.published_protocol)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored counts: of each person, how many pairs each threshold accepts."""
    metrics = {}
    for name, rows in predictions.groupby("rate", sort=True):
        people = people_counts(rows)
        if name == MAIN_METRIC:
            metrics[name] = _metric(people.eer, "lower", people, people.eer_interval())
        elif supports(FARS[str(name).removeprefix("tar_at_far_")], people.n_impostor):
            metrics[str(name)] = _metric(people.tar, "higher", people, people.tar_interval())
    return metrics


def people_counts(rows: "DataFrame") -> PeopleCounts:
    """The counts in the rows of one rate."""
    names = ("genuine", "accepted_genuine", "impostor", "accepted_impostor")
    columns = {name: rows[name].to_numpy(np.int64) for name in names}
    return PeopleCounts(**columns, rate=float(rows["tar_per_far"].iloc[0]))


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts: Any = record.claim.facts
    said = [
        f"{facts['templates']} templates, {facts['pairs']['genuine']} genuine and "
        f"{facts['pairs']['impostor']} impostor pairs; intervals over {record.main.n} people"
    ]
    if facts["unsupported"]:
        first, why = next(iter(facts["unsupported"].items()))
        said.append(
            f"unsupported from {first} on: it needs {why['needed']} impostor pairs, "
            f"here are {why['n_impostor']}"
        )
    return said


class Spool:
    """Pairs and their scores in a file, written once and read in blocks.

    Args:
        path: a file of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pairs: "Iterator[Pairs]", templates: NDArray[np.float32]) -> None:
        """Score all pairs.

        Args:
            pairs: blocks of template rows and kinds.
            templates: (T, D) of unit length.
        """
        with self.path.open("wb") as file:
            for first, second, same in pairs:
                block = np.empty(len(first), dtype=_SPOOLED)
                block["a"], block["b"], block["same"] = first, second, same
                for start in range(0, len(first), _PRODUCTS):
                    part = slice(start, start + _PRODUCTS)
                    block["score"][part] = np.einsum(
                        "nd,nd->n", templates[first[part]], templates[second[part]]
                    )
                file.write(block.tobytes())

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All pairs, in their order."""
        with self.path.open("rb") as file:
            while data := file.read(_PAIRS * _SPOOLED.itemsize):
                yield np.frombuffer(data, dtype=_SPOOLED)

    def scores(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        """Scores and kinds."""
        for block in self.blocks():
            yield np.ascontiguousarray(block["score"]), np.ascontiguousarray(block["same"])

    def people(self, n_templates: int) -> NDArray[np.int64]:
        """Whose each template is (T,): those joined by genuine pairs, directly or through others.

        Raises:
            DataError: all templates are of one person.
        """
        group = np.arange(n_templates)
        seen = np.zeros(n_templates, dtype=bool)
        for block in self.blocks():
            genuine = block[block["same"]]
            group = connected_groups(n_templates, group[genuine["a"]], group[genuine["b"]])[group]
            seen[block["a"]] = seen[block["b"]] = True
        if len(np.unique(group[seen])) < 2:
            raise DataError(
                "all templates of the list are of one person",
                "verification needs pairs of two people too: restore the list of pairs",
            )
        return group


def _counted(spool: Spool, people: NDArray[np.int64], rates: StreamedRates) -> "DataFrame":
    """A row per rate and person; an impostor pair stands in the rows of both of its people."""
    import pandas as pd

    points = {MAIN_METRIC: rates.equal}
    points |= {f"tar_at_far_{name}": p for name, p in zip(FARS, rates.points, strict=True)}
    about = {name: point.target for name, point in points.items()} | {MAIN_METRIC: rates.eer}
    n_people = int(people.max()) + 1
    total = np.zeros((2, n_people), dtype=np.int64)
    accepted = {name: np.zeros((2, n_people), dtype=np.int64) for name in points}
    for block in spool.blocks():
        first, second, same = people[block["a"]], people[block["b"]], block["same"]
        kinds = first[same], np.concatenate([first[~same], second[~same]])
        scores = block["score"][same], np.tile(block["score"][~same], 2)
        for kind, (owner, score_) in enumerate(zip(kinds, scores, strict=True)):
            total[kind] += np.bincount(owner, minlength=n_people)
            for name, point in points.items():
                passed = owner[score_ > point.threshold]
                accepted[name][kind] += np.bincount(passed, minlength=n_people)
    some = np.flatnonzero(total.sum(axis=0))
    tables = [
        pd.DataFrame({
            "rate": name, "threshold": max(point.threshold, _BELOW_ALL),
            "tar_per_far": exchange_rate(rates.curve, about[name]), "person": some,
            "genuine": total[0][some], "accepted_genuine": accepted[name][0][some],
            "impostor": total[1][some], "accepted_impostor": accepted[name][1][some],
        })
        for name, point in points.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _metric(
    value: float,
    direction: Literal["higher", "lower"],
    people: PeopleCounts,
    made: "tuple[Interval, Method]",
) -> Metric:
    return Metric(
        value=value, unit="fraction", direction=direction, n=int((people.genuine > 0).sum()),
        n_of="groups", interval=made[0], interval_method=made[1],
    )  # fmt: skip


def _facts(rates: StreamedRates, n_templates: int, *, published: bool) -> dict[str, Any]:
    n_genuine, n_impostor = rates.equal.n_genuine, rates.equal.n_impostor
    points = dict(zip(FARS, rates.points, strict=True))
    facts: dict[str, Any] = {
        "templates": n_templates,
        "pairs": {"genuine": n_genuine, "impostor": n_impostor},
        "far": {name: point.far for name, point in points.items() if point.supported},
        "unsupported": {
            f"tar_at_far_{name}": {
                "n_impostor": n_impostor, "needed": round(MIN_ACCEPTED / FARS[name])
            }
            for name, point in points.items()
            if not point.supported
        },
    }  # fmt: skip
    if published:
        facts["published"] = {
            f"tar_at_far_{name}": {
                "tar": point.tar, "far": point.far, "interval": list(point.interval),
                "interval_method": "exact", "ranked": False,
                "n_genuine": n_genuine, "n_impostor": n_impostor,
            }
            for name, point in points.items()
        }  # fmt: skip
    return facts
