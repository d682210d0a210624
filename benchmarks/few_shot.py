"""Few-shot: ridge regression on 1, 5 and 10 labelled samples per class, many draws of them.

Every subject gets the same support sets (a sample's rank is drawn from seed and key), so records
of one data set are paired seed by seed. The smaller support sets are part of the larger ones.
"""

# N train samples, S support samples, M test samples, C classes, D width.

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError
from ..core.metrics.intervals import seeds_interval
from ..core.records import Metric
from .classification import Classifier, classifier_for, hits, prediction_rows, split_features
from .features import Features, Scaler
from .logistic import sample_order
from .protocol import Identity, Result, Stopwatch, TaskData, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "few-shot"
VERSION = "1.0.0"
SUMMARY = "ridge regression on 1, 5 and 10 labelled samples per class, 10 draws"
MAIN_METRIC = "accuracy_10_shot"  # that of the most shots, where others are asked for
BASELINES = ("chance", "random", "raw", "pca")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC, ("benchmarks/few_shot.py", "benchmarks/logistic.py")
)


class Settings(Config):
    """How many labels, how often, how regular."""

    shots: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 5, 10)
    seeds: int = Field(default=10, ge=1)  # draws of the support set
    seed: int = Field(default=0, ge=0)  # the first one
    ridge: float = Field(default=0.1, gt=0)  # λ, against a mean squared feature row of 1


def support_rows(train: Features, shots: int, seed: int) -> NDArray[np.int64]:
    """The rows (C * shots,) of the labelled samples: `shots` of each class, drawn by key.

    Raises:
        DataError: a class has fewer.
    """
    order = sample_order(train.keys, seed, "few-shot support")
    labels = train.classes_of
    chosen = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        if len(rows) < shots:
            raise DataError(
                f"class '{train.classes[label]}': expected >= {shots} train samples, "
                f"got {len(rows)}",
                "ask for fewer with --set 'shots=[1, 5]'",
            )
        chosen.append(rows[:shots])
    return np.concatenate(chosen)


def ridge_classes(
    support: NDArray[np.float64], labels: NDArray[np.int64], test: NDArray[np.float64], ridge: float
) -> NDArray[np.int64]:
    """The class of largest response of a ridge regression on one-hot labels, (M,).

    With centred rows X (S, D) and centred one-hot targets Y, the weights (XᵀX + λS I)⁻¹ XᵀY equal
    Xᵀ (XXᵀ + λS I)⁻¹ Y: the second form solves S equations instead of D, and S is small here.
    """
    mean = support.mean(axis=0)
    rows = support - mean
    targets = (labels[:, None] == np.unique(labels)[None, :]).astype(np.float64)
    centre = targets.mean(axis=0)
    gram = rows @ rows.T + ridge * len(rows) * np.eye(len(rows))
    weights = rows.T @ np.linalg.solve(gram, targets - centre)
    return np.unique(labels)[((test - mean) @ weights + centre).argmax(axis=1)]


def few_shot_classifier(shots: int, settings: Settings) -> Classifier:
    """A classifier that looks at `shots` labels per class of the train split.

    Features are standardised by all train *features*; only the labels are few.
    """

    def classify(train: Features, test: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
        scaler, width = Scaler.fit(train), np.sqrt(train.values.shape[1])
        rows = support_rows(train, shots, seed)
        support, queries = scaler(train.values[rows]) / width, scaler(test) / width
        return ridge_classes(support, train.classes_of[rows], queries, settings.ridge)

    return classify


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Score a subject with few labels; see the module's text.

    Raises:
        DataError: no labels, or a class with too few train samples.
        ValidationError: a feature is not finite; names its row.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    clock = Stopwatch()
    train, test = split_features(subject, data)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = []
    for shots in settings.shots:
        classify = classifier_for(subject, few_shot_classifier(shots, settings))
        for seed in seeds:
            with threadpool_limits(1):  # small systems: threads would only wait for each other
                predicted = classify(train, test.values, seed)
            tables.append(prediction_rows(test, predicted, shots=shots, seed=seed))
    predictions = pd.concat(tables, ignore_index=True)
    identity = replace(IDENTITY, main_metric=f"accuracy_{max(settings.shots)}_shot")
    return make_result(
        identity, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Mean accuracy over the draws for each number of labels, with the t interval over draws."""
    metrics = {}
    for shots, rows in predictions.groupby("shots", sort=True):
        runs = hits(rows)[0].mean(axis=1)
        interval = seeds_interval(runs)
        metrics[f"accuracy_{shots}_shot"] = Metric(
            value=float(runs.mean()), unit="fraction", direction="higher",
            n=len(runs), n_of="seeds", interval=interval,
            interval_method=None if interval is None else "seeds", parts=tuple(runs.tolist()),
        )  # fmt: skip
    return metrics
