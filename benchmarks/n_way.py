"""n-way k-shot on frozen features: episodes of few classes with few labelled samples each.

An episode draws n classes, k samples of each to learn from and further ones to be scored on, and a
linear SVM tells those apart (Sharma and Kaul, 2020, for point clouds; ModelNet40, 10 episodes, 20
queries a class). Point-BERT and its followers fine-tune the trunk in each episode instead; their
numbers are not of this protocol.
"""

# N samples, n classes, k shots, q queries a class.

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError
from ..core.metrics.classification import accuracy
from ..core.metrics.intervals import seeds_interval
from ..core.records import Metric
from .classification import classifier_for, prediction_rows, split_features
from .features import Features
from .logistic import sample_order
from .protocol import Identity, Result, Stopwatch, TaskData, make_result
from .svm import Settings as Machine
from .svm import linear_machine

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "n-way"
VERSION = "1.0.0"
SUMMARY = "n-way k-shot episodes, linear SVM of frozen features"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    ("benchmarks/n_way.py", "benchmarks/svm.py", "benchmarks/logistic.py"),
)  # fmt: skip


class Settings(Config):
    """The episodes; the published ones are 5 or 10 ways, 10 or 20 shots."""

    ways: int = Field(default=5, ge=2)  # n
    shots: int = Field(default=10, ge=1)  # k
    queries: int = Field(default=20, ge=1)  # q, of each class, from the test split
    episodes: int = Field(default=10, ge=2)
    seed: int = Field(default=0, ge=0)  # of the first
    c: float = Field(default=1.0, gt=0)  # of the machine


def episode_rows(
    train: Features, test: Features, settings: Settings, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n k,) train and (n q,) test rows of an episode, drawn by seed and the samples' keys.

    Raises:
        DataError: too few classes have enough samples in both splits.
    """
    shots = np.bincount(train.classes_of, minlength=len(train.classes))
    queries = np.bincount(test.classes_of, minlength=len(train.classes))
    able = np.flatnonzero((shots >= settings.shots) & (queries >= settings.queries))
    if len(able) < settings.ways:
        raise DataError(
            f"{len(able)} classes have {settings.shots} train and {settings.queries} test samples, "
            f"expected at least {settings.ways}",
            "lower --set ways=…, shots=… or queries=…",
        )
    names = [train.classes[c] for c in able]
    ways = able[sample_order(names, seed, "n-way classes")][: settings.ways]
    return (
        _of_each(train, ways, settings.shots, seed, "n-way support"),
        _of_each(test, ways, settings.queries, seed, "n-way queries"),
    )


def _of_each(
    features: Features, ways: NDArray[np.int64], count: int, seed: int, stream: str
) -> NDArray[np.int64]:
    order = sample_order(features.keys, seed, stream)
    labels = features.classes_of[order]
    return np.concatenate([order[labels == way][:count] for way in ways])


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Score a subject on the episodes; see the module's text.

    Raises:
        DataError: no labels, or too few classes with enough samples.
        ValidationError: a feature is not finite; names its row.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    clock = Stopwatch()
    train, test = split_features(subject, data)
    seeds = range(settings.seed, settings.seed + settings.episodes)
    classify = classifier_for(subject, linear_machine(Machine(c=settings.c)))
    tables = []
    for seed in seeds:
        support, queries = episode_rows(train, test, settings, seed)
        asked = test.take(queries)
        with threadpool_limits(1):
            predicted = classify(train.take(support), asked.values, seed)
        tables.append(prediction_rows(asked, predicted, seed=seed))
    predictions = pd.concat(tables, ignore_index=True)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """The mean accuracy over the episodes, with the t interval over them."""
    groups = predictions.groupby("seed", sort=True)
    found = [accuracy(rows["label"].array, rows["predicted"].array) for _, rows in groups]
    interval = seeds_interval(found)
    return {
        "accuracy": Metric(
            value=float(np.mean(found)), unit="fraction", direction="higher", n=len(found),
            n_of="seeds", interval=interval,
            interval_method=None if interval is None else "seeds", parts=tuple(found),
        )
    }  # fmt: skip
