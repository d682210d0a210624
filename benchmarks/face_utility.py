"""What a set of faces is worth for training: a recogniser learns from it, real people judge it.

Rows, each with the same recipe and steps: the set; the set cut to the size of a real one; the real
one; both together; the net before its first step; raw pixels. All are tested on the same pairs of
real people whom the real set does not hold. Accuracy is the 10-fold one of `verification`, the
mean over seeds. A gain is a row's accuracy less that of the untrained nets, a gap less that of the
real row, both pair by pair and seed by seed; the cut row's gap compares two sets of one size.

Intervals are over people and over seeds (`core/metrics/seeded_pairs.py`); with fewer than three
seeds there are none.
"""

# N pairs, S seeds.

import json
from collections.abc import Mapping
from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, JsonValue

from ..core.config import Config, flatten
from ..core.errors import UsageError
from ..core.metrics.pair_folds import far_threshold, grid_threshold
from ..core.metrics.pair_intervals import (
    accuracy_difference_interval,
    accuracy_interval,
    tar_interval,
)
from ..core.metrics.seeded_pairs import MIN_SEEDS, with_seeds
from ..core.metrics.verification import exchange_rate, roc, supports
from ..core.records import Metric, Record
from .data_set_subjects import DataSetSubject, open_data_set
from .face_training import CODE, Recogniser
from .pair_predictions import PairPredictions, facts_of_pairs, predict
from .protocol import Identity, Result, Stopwatch, make_result
from .utility_task import Tested, UtilityTask, open_utility
from .verification import FARS

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.metrics.intervals import Interval, Method
    from .subjects import Extraction, Subject

SLUG = "face-utility"
VERSION = "1.0.0"
SUMMARY = "what a set of faces is worth for training, beside a real set of its size"
MAIN_METRIC = "accuracy"
BASELINES = ("random", "raw")
TAKES_SPLITS = KEEPS_RUNS = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/face_utility.py", "benchmarks/utility_task.py",
        "benchmarks/pair_predictions.py", "benchmarks/pair_data.py", "benchmarks/face_subjects.py",
        "core/metrics/seeded_pairs.py", "core/metrics/pair_folds.py",
        "core/metrics/pair_intervals.py", "core/metrics/verification.py",
        "modalities/image/faces/pair_sets.py", "modalities/image/faces/pair_alignment.py",
        "modalities/image/faces/training_sets.py", *CODE,
    ),
)  # fmt: skip
NOT_DRAWN = -1  # in the place of a seed, where nothing is drawn
_COMPARED = {"gain": "untrained", "gap": "real"}  # metric → column of the other net's distances
_Seeds = list[PairPredictions]  # of one row, seed by seed, the same pairs in each


class Settings(Config):
    """How recognisers are trained; `method`, `optim` and `train` change settings of the recipe."""

    recipe: str = "arcface-small"  # of ArcFace, by name or path
    seeds: int = Field(default=3, ge=1)  # trainings of each row
    seed: int = Field(default=0, ge=0)  # the first one
    max_missing: float = Field(default=0.1, ge=0, lt=1)  # share of pairs that may be left out
    method: dict[str, JsonValue] = {}
    optim: dict[str, JsonValue] = {}
    train: dict[str, JsonValue] = {}

    def recogniser(self, data: UtilityTask) -> Recogniser:
        """How recognisers are trained, and where.

        Raises:
            UsageError: a seed is given as a setting of the training.
        """
        if "seed" in self.train:
            raise UsageError("every row has several seeds", "give the first one: --set seed=N")
        changed = flatten({"method": self.method, "optim": self.optim, "train": self.train})
        texts = tuple(f"{key}={json.dumps(value)}" for key, value in changed.items())
        return Recogniser(self.recipe, texts, data.runs, data.real.extraction)


def open_subject(text: str, own: Mapping[str, Any], extraction: "Extraction") -> DataSetSubject:
    """The data set that a user names.

    Raises:
        UsageError: a preprocessing setting is given.
        DataError: there is no such set, or it does not say whose faces it holds.
    """
    if own:
        name = next(iter(own))
        raise UsageError(f"unknown setting 'data.{name}'", "a data set is scored as it is")
    return open_data_set(text, extraction)


def open_data(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    **more: Any,  # noqa: ANN401 - the splits and the folder of runs
) -> tuple[UtilityTask, dict[str, Any]]:
    """The real set and the pairs that a user names; see `open_utility`."""
    return open_utility(text, own, extraction, **more)


def beside(subject: "Subject", data: UtilityTask, settings: Settings) -> "list[Subject]":
    """The other rows: the set cut to the real one's size, the real one, both, no training, pixels.

    Raises:
        UsageError: a set cannot be learned from: another template, fewer pictures than a batch.
        DataError: likewise: one identity, or fewer pictures than the real one.
    """
    from .opening import open_subject as opened

    recogniser = settings.recogniser(data)
    rows: list[Subject] = [recogniser.untrained(settings.seed), opened("raw", like=subject)]
    if not isinstance(subject, DataSetSubject):
        return rows
    for row in (subject, data.real):
        recogniser.check(row)
    sets = [subject.cut_to(data.real), data.real, subject.together_with(data.real)]
    recogniser.check(sets[0])
    return [*sets, *rows]


def run(subject: "Subject", data: UtilityTask, settings: Settings) -> Result:
    """Score a training set, the untrained net or what needs no training; see the module's text.

    Raises:
        UsageError: the set cannot be learned from, or a setting is wrong.
        DataError: likewise, or too many pairs lack a picture.
        KeyboardInterrupt: it was told to stop; the same call goes on.
    """
    import pandas as pd

    clock = Stopwatch()
    first = settings.seed
    drawn = subject.kind in ("data set", "random")
    seeds = range(first, first + settings.seeds) if drawn else [NOT_DRAWN]
    others: dict[str, Subject] = {}
    if isinstance(subject, DataSetSubject):
        others["untrained"] = settings.recogniser(data).untrained(first)
        if subject.hash != data.real.hash:
            others["real"] = data.real
    found, tables = [], []
    for seed in seeds:
        found.append(_tested(subject, data, settings, seed))
        distances = {
            column: _tested(other, data, settings, seed).frame["distance"]
            for column, other in others.items()
        }
        tables.append(found[-1].frame.assign(seed=seed, **distances))
    predictions = pd.concat(tables, ignore_index=True)
    facts = {
        **found[0].facts, "pairs_made": data.made, "people": data.people,
        "weights": [one.weights for one in found], **_trained(subject, data, settings),
    }  # fmt: skip
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[max(seed, 0) for seed in seeds], metrics=score(predictions),
        predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy, TAR@FAR, gain and gap of stored distances; `accuracy/ORIGIN` and so on, too."""
    seeds = [PairPredictions(own) for _, own in predictions.groupby("seed")]
    drawn = bool((predictions["seed"] != NOT_DRAWN).all())
    metrics = {"accuracy": _accuracy(seeds, drawn)}
    for name, target in FARS.items():
        if supports(target, seeds[0].n_impostor):
            metrics[f"tar_at_far_{name}"] = _tar(seeds, drawn, target)
    by_origin: dict[str, _Seeds] = {}
    for pairs in seeds:
        for origin, own in pairs.by_origin():
            by_origin.setdefault(origin, []).append(own)
    metrics |= {f"accuracy/{name}": _accuracy(each, drawn) for name, each in by_origin.items()}
    for metric, column in _COMPARED.items():
        if column in predictions:
            metrics[metric] = _difference(seeds, column)
            metrics |= {f"{metric}/{k}": _difference(v, column) for k, v in by_origin.items()}
    return metrics


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts: Any = record.claim.facts
    said = []
    if "real" in facts:
        set_: Any = record.claim.subject.facts
        real = facts["real"]
        said.append(
            f"{set_['images']:,} pictures of {set_['identities']:,} identities, {facts['steps']} "
            f"steps; the real set: {real['images']:,} of {real['identities']:,}"
        )
    if len(facts["weights"]) < MIN_SEEDS and record.main.interval is None:
        said.append(f"{len(facts['weights'])} seeds: no intervals below {MIN_SEEDS}")
    return said


def _tested(subject: "Subject", data: UtilityTask, settings: Settings, seed: int) -> Tested:
    recogniser = settings.recogniser(data)

    def compute() -> Tested:
        net = subject
        if isinstance(subject, DataSetSubject):
            net = recogniser.trained(subject, seed)
        elif subject.kind == "random":
            net = recogniser.untrained(seed)
        frame, aligned = predict(net, data.pairs, settings.max_missing)
        return Tested(frame, facts_of_pairs(data.pairs, aligned, PairPredictions(frame)), net.hash)

    return data.tested(subject.hash, seed, compute)


def _trained(subject: "Subject", data: UtilityTask, settings: Settings) -> dict[str, Any]:
    """The facts of a trained row."""
    if not isinstance(subject, DataSetSubject):
        return {}
    recogniser = settings.recogniser(data)
    return {
        "real": {"name": data.real.name, **data.real.facts},
        "steps": recogniser.steps(subject.source), "training": recogniser.settings(),
    }  # fmt: skip


def _accuracy(seeds: _Seeds, drawn: bool) -> Metric:
    found = [pairs.decisions(grid_threshold) for pairs in seeds]
    values, one = [each.accuracy for each in found], seeds[0]
    correct = np.mean([each.correct for each in found], axis=0)
    people, method = accuracy_interval(correct, one.same, one.fold, one.groups)
    return _metric(one, values, people, method, drawn, clip=True)


def _tar(seeds: _Seeds, drawn: bool, target: float) -> Metric:
    found = [pairs.decisions(far_threshold(target)) for pairs in seeds]
    values, one = [each.tar for each in found], seeds[0]
    accepted = np.mean([each.accepted for each in found], axis=0)
    rate = np.mean([exchange_rate(roc(-pairs.distance, pairs.same), target) for pairs in seeds])
    people, method = tar_interval(accepted, one.same, one.groups, rate=float(rate))
    return _metric(one, values, people, method, drawn, clip=True)


def _difference(seeds: _Seeds, column: str) -> Metric:
    """Accuracy less that of the nets whose distances the column holds."""
    ours = [pairs.decisions(grid_threshold) for pairs in seeds]
    theirs = [pairs.decisions(grid_threshold, column) for pairs in seeds]
    both = list(zip(ours, theirs, strict=True))
    values, one = [a.accuracy - b.accuracy for a, b in both], seeds[0]
    differences = [a.correct.astype(float) - b.correct for a, b in both]
    gaps = np.mean(differences, axis=0)
    people = accuracy_difference_interval(gaps, one.same, one.fold, one.groups)
    return _metric(one, values, people, "bootstrap", drawn=True, clip=False)


def _metric(
    pairs: PairPredictions,
    values: list[float],
    people: "Interval | None",
    method: "Method",
    drawn: bool,
    *,
    clip: bool,
) -> Metric:
    interval = people if people is None or not drawn else with_seeds(people, values)
    if interval is not None and clip:
        interval = max(interval[0], 0.0), min(interval[1], 1.0)
    return Metric(
        value=_mean(values), unit="fraction", direction="higher", n=pairs.groups.n, n_of="groups",
        interval=interval, interval_method=None if interval is None else method,
        parts=tuple(values),
    )  # fmt: skip


def _mean(values: list[float]) -> float:
    return fsum(values) / len(values)
