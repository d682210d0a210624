"""Face verification: are two pictures of one person? Ten folds, ROC, EER, TAR@FAR.

A pair's distance is that of `pair_predictions`. The accuracy is the published 10-fold one: on nine
folds the best of the thresholds 0.00, 0.01 … 3.99 is found (the first of equal ones), and it
judges the tenth (Huang et al., 2007; official code of Deng et al., 2019). Beside it stand the same
with the best of all real thresholds, the equal error rate, and TAR at the largest threshold whose
FAR on the other folds is within the target. A figure at a FAR that fewer than ten impostor pairs
would pass is no metric: it stands among the record's facts, as unsupported.

Pairs of a picture that is not there or shows no face are left out, listed and counted.
"""

# N pairs.

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import UsageError
from ..core.metrics.intervals import exact_interval
from ..core.metrics.pair_folds import (
    exact_threshold,
    far_threshold,
    grid_threshold,
    published_far_threshold,
)
from ..core.metrics.pair_intervals import accuracy_interval, eer_interval, tar_interval
from ..core.metrics.verification import (
    MIN_ACCEPTED,
    Roc,
    eer,
    exchange_rate,
    roc,
    supports,
)
from ..core.records import Metric, Record
from .pair_data import PairTask, open_pairs
from .pair_predictions import PairPredictions, facts_of_pairs, predict
from .protocol import Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.metrics.intervals import Interval, Method
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
        "benchmarks/verification.py", "benchmarks/pair_predictions.py", "benchmarks/pair_data.py",
        "benchmarks/face_subjects.py", "core/metrics/verification.py", "core/metrics/pair_folds.py",
        "core/metrics/pair_intervals.py", "modalities/image/faces/pair_alignment.py",
        "modalities/image/faces/alignment.py",
    ),
)  # fmt: skip
FARS = {f"1e-{digit}": 10.0**-digit for digit in range(1, 7)}
_SHOWN = 5  # missing pictures named in a note


class Settings(Config):
    """What is forgiven, and what is said beside the metrics."""

    max_missing: float = Field(default=0.1, ge=0, lt=1)  # share of pairs that may be left out
    published_protocol: bool = False  # give published TAR@FAR figures as unranked facts


def open_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[PairTask, dict[str, Any]]:
    """The pairs that a user names; see `open_pairs`."""
    return open_pairs(text, own, extraction)


def run(subject: "Subject", data: PairTask, settings: Settings) -> Result:
    """Score a subject on pairs of faces; see the module's text.

    Raises:
        UsageError: the subject learns from a train split.
        DataError: more pairs than allowed lack a picture, or a whole kind of pair does.
        ValidationError: an embedding is zero or not finite; names the picture.
    """
    clock = Stopwatch()
    if subject.kind == "pca":
        raise UsageError("pairs of faces have no train split to fit a PCA on", "score 'raw'")
    predictions, aligned = predict(subject, data, settings.max_missing)
    pairs = PairPredictions(predictions)
    facts = _facts(data, aligned, pairs)
    if settings.published_protocol:
        facts["published"] = dict(_published(pairs))
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored distances, and `accuracy/ORIGIN`, `eer/ORIGIN` of several origins."""
    pairs = PairPredictions(predictions)
    metrics = {
        "accuracy": _accuracy(pairs, grid_threshold),
        "accuracy_exact_threshold": _accuracy(pairs, exact_threshold),
        "eer": _eer(pairs),
    }
    curve = roc(-pairs.distance, pairs.same)
    for name, target in FARS.items():
        if supports(target, pairs.n_impostor):
            metrics[f"tar_at_far_{name}"] = _tar(pairs, target, curve)
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

    pairs = PairPredictions(result.predictions)
    claim = result.record.claim
    return curves(
        roc(-pairs.distance, pairs.same), f"{claim.subject.name} on {claim.benchmark.data}"
    )


def _accuracy(pairs: PairPredictions, choose: Callable[[NDArray, NDArray], float]) -> Metric:
    found = pairs.decisions(choose)
    made = accuracy_interval(found.correct, pairs.same, found.fold, pairs.groups)
    return _metric(found.accuracy, "higher", pairs, made, found.accuracies)


def _eer(pairs: PairPredictions) -> Metric:
    made = eer_interval(-pairs.distance, pairs.same, pairs.groups)
    return _metric(eer(roc(-pairs.distance, pairs.same)), "lower", pairs, made)


def _tar(pairs: PairPredictions, target: float, curve: Roc) -> Metric:
    found = pairs.decisions(far_threshold(target))
    made = tar_interval(found.accepted, pairs.same, pairs.groups, rate=exchange_rate(curve, target))
    return _metric(found.tar, "higher", pairs, made)


def _metric(
    value: float,
    direction: Literal["higher", "lower"],
    pairs: PairPredictions,
    made: "tuple[Interval, Method]",
    parts: tuple[float, ...] = (),
) -> Metric:
    return Metric(
        value=value, unit="fraction", direction=direction, n=pairs.groups.n, n_of="groups",
        interval=made[0], interval_method=made[1], parts=parts,
    )  # fmt: skip


def _facts(data: PairTask, aligned: "AlignedPairs", pairs: PairPredictions) -> dict[str, Any]:
    return {
        **facts_of_pairs(data, aligned, pairs),
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


def _published(pairs: PairPredictions) -> Iterator[tuple[str, dict[str, Any]]]:
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
