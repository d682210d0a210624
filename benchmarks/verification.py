"""Face verification: are two pictures of one person? Ten folds, ROC, EER, TAR@FAR.

A picture's embedding is f(x) + f(mirrored x), raw vectors summed, then brought to unit length; a
pair's distance is ‖a - b‖². The accuracy is the published 10-fold one: on nine folds the best of
the thresholds 0.00, 0.01 … 3.99 is found (the first of equal ones), and it judges the tenth
(Huang et al., 2007; official code of Deng et al., 2019). Beside it stand the same with the best
of all real thresholds, the equal error rate, and TAR at the largest threshold whose FAR on the
other folds is within the target. A figure at a FAR that fewer than ten impostor pairs would pass
is no metric: it stands among the record's facts, as unsupported.

Pairs of a picture that is not there or shows no face are left out, listed and counted.
"""

# N pairs, K pictures, D width.

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError, UsageError
from ..core.metrics.intervals import exact_interval
from ..core.metrics.pair_folds import (
    FoldDecisions,
    decide,
    exact_threshold,
    far_threshold,
    grid_threshold,
    published_far_threshold,
)
from ..core.metrics.pair_intervals import PairGroups, eer_interval, rate_interval
from ..core.metrics.verification import (
    MIN_ACCEPTED,
    eer,
    roc,
    squared_distances,
    supports,
    unit_embeddings,
)
from ..core.records import Metric, Record
from .pair_data import PairTask, open_pairs
from .protocol import Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..modalities.image.faces.pair_alignment import AlignedPairs
    from .subjects import Extraction, Subject

SLUG = "verification"
VERSION = "1.0.0"
SUMMARY = "same person or not: 10-fold accuracy, EER and TAR@FAR of pairs of faces"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw", "random:arcface@arcface-small")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/verification.py", "benchmarks/pair_data.py", "benchmarks/face_subjects.py",
        "core/metrics/verification.py", "core/metrics/pair_folds.py",
        "core/metrics/pair_intervals.py", "modalities/image/faces/pair_alignment.py",
        "modalities/image/faces/alignment.py",
    ),
)  # fmt: skip
FARS = {f"1e-{digit}": 10.0**-digit for digit in range(1, 7)}
_MIN_KIND = 10  # pairs of either kind that an origin needs for figures of its own
_SHOWN = 5  # missing pictures named in a note


class Settings(Config):
    """What is forgiven, and what is said beside the metrics."""

    max_missing: float = Field(default=0.1, ge=0, lt=1)  # share of pairs that may be left out
    published_protocol: bool = False  # give published TAR@FAR figures as unranked facts


def open_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[PairTask, dict[str, Any]]:
    """The pairs that a user names; see `open_pairs`."""
    return open_pairs(text, own, extraction.device)


def run(subject: "Subject", data: PairTask, settings: Settings) -> Result:
    """Score a subject on pairs of faces; see the module's text.

    Raises:
        UsageError: the subject learns from a train split.
        DataError: more pairs than allowed lack a picture, or a whole kind of pair does.
        ValidationError: an embedding is zero or not finite; names the picture.
    """
    from .face_subjects import template_read_by

    clock = Stopwatch()
    if subject.kind == "pca":
        raise UsageError("pairs of faces have no train split to fit a PCA on", "score 'raw'")
    aligned = data.aligned(template_read_by(subject))
    _check_missing(data, aligned, settings)
    distances = _distances(subject, aligned)
    predictions = _frame(data, aligned, distances)
    pairs = _Pairs(predictions)
    facts = _facts(data, aligned, pairs)
    if settings.published_protocol:
        facts["published"] = dict(_published(pairs))
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored distances, and `accuracy/ORIGIN`, `eer/ORIGIN` of several origins."""
    pairs = _Pairs(predictions)
    metrics = {
        "accuracy": _accuracy(pairs, grid_threshold),
        "accuracy_exact_threshold": _accuracy(pairs, exact_threshold),
        "eer": _eer(pairs),
    }
    for name, target in FARS.items():
        if supports(target, pairs.n_impostor):
            metrics[f"tar_at_far_{name}"] = _tar(pairs, target)
    for origin, own in pairs.by_origin():
        metrics[f"accuracy/{origin}"] = _accuracy(own, grid_threshold)
        metrics[f"eer/{origin}"] = _eer(own)
    return metrics


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts = record.claim.facts
    counts: Any = facts["pairs"]
    said = [
        f"{counts['genuine']} genuine and {counts['impostor']} impostor pairs, intervals over "
        f"{facts['groups']} {facts['interval_over']}"
    ]
    missing: Any = facts["missing_pictures"]
    if missing:
        shown = ", ".join(f"{key} ({why})" for key, why in sorted(missing.items())[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        said.append(f"left out {counts['left_out']} pairs for want of {shown}{more}")
    unsupported: Any = facts["unsupported"]
    if unsupported:
        first, why = next(iter(unsupported.items()))
        said.append(
            f"unsupported from {first} on: it needs {why['needed']} impostor pairs, "
            f"here are {why['n_impostor']}"
        )
    return said


def pictures(result: Result) -> dict[str, bytes]:
    """The ROC and DET curves of a result, as PNG and SVG."""
    from .verification_plots import curves

    pairs = _Pairs(result.predictions)
    claim = result.record.claim
    return curves(
        roc(-pairs.distance, pairs.same), f"{claim.subject.name} on {claim.benchmark.data}"
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The columns of stored predictions, and what is computed of them once."""

    frame: "DataFrame"

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        return self.frame["distance"].to_numpy(np.float64)

    @cached_property
    def same(self) -> NDArray[np.bool_]:
        return self.frame["same"].to_numpy(bool)

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        return self.frame["fold"].to_numpy(np.int64)

    @cached_property
    def groups(self) -> PairGroups:
        return PairGroups.of(self.frame["group_a"], self.frame["group_b"])

    @property
    def n_genuine(self) -> int:
        return int(self.same.sum())

    @property
    def n_impostor(self) -> int:
        return len(self.same) - self.n_genuine

    def decisions(self, choose: Callable[[NDArray, NDArray], float]) -> FoldDecisions:
        return decide(self.distance, self.same, self.fold, choose)

    def by_origin(self) -> Iterator[tuple[str, "_Pairs"]]:
        """The pairs of each origin, where there are several; those with too few are left out."""
        names = sorted(set(self.frame["origin"]))
        for name in names if len(names) > 1 else ():
            own = _Pairs(self.frame[self.frame["origin"] == name])
            if min(own.n_genuine, own.n_impostor) >= _MIN_KIND:
                yield name, own


def _accuracy(pairs: _Pairs, choose: Callable[[NDArray, NDArray], float]) -> Metric:
    found = pairs.decisions(choose)
    interval = rate_interval(
        found.correct,
        pairs.groups,
        value=found.accuracy,
        strata=pairs.same.astype(int),
        parts=found.fold,
    )
    return _metric(found.accuracy, "higher", pairs, interval, found.accuracies)


def _eer(pairs: _Pairs) -> Metric:
    value = eer(roc(-pairs.distance, pairs.same))
    interval = eer_interval(-pairs.distance, pairs.same, pairs.groups, value=value)
    return _metric(value, "lower", pairs, interval)


def _tar(pairs: _Pairs, target: float) -> Metric:
    found = pairs.decisions(far_threshold(target))
    rows = pairs.same
    interval = rate_interval(found.accepted[rows], pairs.groups.take(rows), value=found.tar)
    return _metric(found.tar, "higher", pairs, interval)


def _metric(
    value: float,
    direction: Literal["higher", "lower"],
    pairs: _Pairs,
    interval: tuple[float, float],
    parts: tuple[float, ...] = (),
) -> Metric:
    return Metric(
        value=value, unit="fraction", direction=direction, n=pairs.groups.n, n_of="groups",
        interval=interval, interval_method="bootstrap", parts=parts,
    )  # fmt: skip


def _check_missing(data: PairTask, aligned: "AlignedPairs", settings: Settings) -> None:
    n_listed = len(data.pairs)
    n_missing = n_listed - len(aligned.rows)
    if n_missing > settings.max_missing * n_listed:
        key, why = aligned.missing[0]
        raise DataError(
            f"{data.name}: {n_missing} of {n_listed} pairs lack a picture (the first, {key}: "
            f"{why}), at most {settings.max_missing:.0%} may",
            "name the pictures' folder with --set data.root=FOLDER, or allow more with "
            "--set max_missing=0.5",
        )
    same = data.pairs.same[aligned.rows]
    if same.all() or not same.any():
        raise DataError(
            f"{data.name}: only {'genuine' if same.all() else 'impostor'} pairs are left once "
            f"{n_missing} that lack a picture are left out"
        )


def _distances(subject: "Subject", aligned: "AlignedPairs") -> NDArray[np.float64]:
    """(N,) of the kept pairs; chance sees nothing, so all of its are equal."""
    from .face_subjects import flip_sum

    if subject.kind == "chance":
        return np.zeros(len(aligned.rows))
    unit = unit_embeddings(flip_sum(subject, aligned.source), aligned.source.keys)
    return squared_distances(unit, aligned.first, aligned.second)


def _frame(data: PairTask, aligned: "AlignedPairs", distances: NDArray[np.float64]) -> "DataFrame":
    """One row per kept pair: the pictures, what is known of them, and their distance."""
    import pandas as pd

    pairs, rows = data.pairs, aligned.rows
    groups, _ = data.groups()
    first, second = pairs.first[rows], pairs.second[rows]
    return pd.DataFrame({
        "a": [pairs.source.keys[row] for row in first],
        "b": [pairs.source.keys[row] for row in second],
        "origin": [pairs.origin[row] for row in rows],
        "same": pairs.same[rows],
        "fold": pairs.fold[rows],
        "group_a": groups[first],
        "group_b": groups[second],
        "distance": distances,
    })  # fmt: skip


def _facts(data: PairTask, aligned: "AlignedPairs", pairs: _Pairs) -> dict[str, Any]:
    return {
        "pairs": {
            "genuine": pairs.n_genuine,
            "impostor": pairs.n_impostor,
            "left_out": len(data.pairs) - len(aligned.rows),
        },
        # without what follows the colon: paths of a machine do not belong to a claim
        "missing_pictures": {key: why.partition(":")[0] for key, why in aligned.missing},
        "alignment": data.alignment,
        "interval_over": data.groups()[1],
        "groups": pairs.groups.n,
        "far": {
            name: pairs.decisions(far_threshold(target)).far
            for name, target in FARS.items()
            if supports(target, pairs.n_impostor)
        },
        "unsupported": {
            f"tar_at_far_{name}": {
                "n_impostor": pairs.n_impostor, "needed": round(MIN_ACCEPTED / target)
            }
            for name, target in FARS.items()
            if not supports(target, pairs.n_impostor)
        },
    }  # fmt: skip


def _published(pairs: _Pairs) -> Iterator[tuple[str, dict[str, Any]]]:
    """TAR@FAR by the published interpolation, with Clopper–Pearson intervals; never ranked."""
    for name, target in FARS.items():
        found = pairs.decisions(published_far_threshold(target))
        accepted = int(found.accepted[pairs.same].sum())
        yield f"tar_at_far_{name}", {
            "tar": found.mean_tar, "far": found.mean_far,
            "interval": list(exact_interval(accepted, pairs.n_genuine)),
            "interval_method": "exact", "ranked": False,
            "n_genuine": pairs.n_genuine, "n_impostor": pairs.n_impostor,
        }  # fmt: skip
