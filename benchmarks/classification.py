"""What the protocols that predict classes share: the constant guess, the table, the score."""

# S seeds, N test items, C classes.

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, ValidationError
from ..core.metrics.classification import correct
from ..core.metrics.intervals import class_mean_interval, proportion_interval
from ..core.records import Metric
from .features import Features

if TYPE_CHECKING:
    from pandas import DataFrame

    from .protocol import TaskData
    from .subjects import Subject

TOP = 5  # the label's place among the scores that still counts as a hit
# (train, test values, seed) → (N,) classes: a classifier never sees the test labels
Classifier = Callable[[Features, NDArray[np.float32], int], NDArray[np.int64]]


def split_features(subject: "Subject", data: "TaskData") -> tuple[Features, Features]:
    """Train and test features by the one `features` of the (fitted) subject.

    Raises:
        DataError: no labels, or the test split has a class that the train split lacks.
        ValidationError: a feature is not finite.
    """
    fitted = subject.fit(data.train)
    train, test = fitted.features(data.train), fitted.features(data.test)
    if train.classes != test.classes:
        raise DataError(
            f"{data.name}: expected the same classes in train and test, "
            f"got {train.classes[:5]} and {test.classes[:5]}"
        )
    unseen = np.setdiff1d(test.classes_of, train.classes_of)
    if len(unseen):
        raise DataError(
            f"{data.name}: test has class '{test.classes[unseen[0]]}', which train lacks",
            "give every class at least one training sample",
        )
    return train, test


def majority(train: Features, test: NDArray[np.float32], _seed: int) -> NDArray[np.int64]:
    """The best constant guess: the most frequent train class (ties: the lowest), for all."""
    return np.full(len(test), np.bincount(train.classes_of).argmax(), dtype=np.int64)


def frequency_scores(train: Features, n: int) -> NDArray[np.float64]:
    """(N, C) the constant scores: how often a class occurs in train."""
    counts = np.bincount(train.classes_of, minlength=len(train.classes)).astype(np.float64)
    return np.tile(counts, (n, 1))


def label_ranks(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each item's own class among its scores, 1 = best; ties go to lower classes.

    Args:
        scores: (N, C).
        labels: (N,).

    Example:
        >>> label_ranks(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([2, 1])).tolist()
        [2, 2]
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    lower = np.arange(scores.shape[1])[None, :] < labels[:, None]
    return 1 + ((scores > own) | ((scores == own) & lower)).sum(axis=1)


def classifier_for(subject: "Subject", classifier: Classifier) -> Classifier:
    """The protocol's classifier, or the constant guess for the subject `chance`."""
    return majority if subject.kind == "chance" else classifier


def prediction_rows(test: Features, predicted: NDArray[np.int64], **columns: int) -> "DataFrame":
    """One run's predictions as a table: key, label, predicted, and constant columns."""
    import pandas as pd

    rows = pd.DataFrame({"key": test.keys, "label": test.classes_of, "predicted": predicted})
    return rows.assign(**columns)


def scored_rows(test: Features, scores: NDArray[np.floating], **columns: int) -> "DataFrame":
    """As `prediction_rows`, of (N, C) scores; with the label's `rank` where there are many classes.

    With five classes or fewer the label is among the first five whatever the scores are.
    """
    rows = prediction_rows(test, scores.argmax(axis=1).astype(np.int64), **columns)
    if scores.shape[1] <= TOP:
        return rows
    return rows.assign(rank=label_ranks(scores, test.classes_of))


def hits(predictions: "DataFrame") -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Right or wrong per seed and item (S, N), and the labels (N,), from stored predictions.

    Raises:
        ValidationError: the seeds do not cover the same items, or the rows are bad.
    """
    groups = [rows for _, rows in predictions.groupby("seed", sort=True)]
    if not groups:
        raise ValidationError("predictions: expected at least one row, got none")
    first = groups[0]
    for rows in groups[1:]:
        if list(rows["key"]) != list(first["key"]) or list(rows["label"]) != list(first["label"]):
            raise ValidationError(
                f"predictions of seed {rows['seed'].iloc[0]}: expected the items of the first seed"
            )
    table = np.stack([correct(rows["label"].array, rows["predicted"].array) for rows in groups])
    return table, first["label"].to_numpy()


def accuracy_metrics(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy and mean class accuracy over items, each the mean over seeds.

    The interval is over test items, of their share of right seeds: what another test set of the
    same size would change. `parts` holds the value of each seed. Where the predictions have the
    labels' ranks, `top_5_accuracy` is the share of ranks up to 5.
    """
    table, labels = hits(predictions)
    items = table.mean(axis=0)
    per_class = [table[:, labels == label].mean(axis=1) for label in np.unique(labels)]
    balanced = np.mean(per_class, axis=0)
    of_classes, how = class_mean_interval(items, labels) or (None, None)
    more: dict[str, Metric] = {}
    if "rank" in predictions:
        groups = predictions.groupby("seed", sort=True)
        near = np.stack([rows["rank"].to_numpy() <= TOP for _, rows in groups])
        more[f"top_{TOP}_accuracy"] = _share(near.astype(np.float64))
    return {
        "accuracy": _share(table),
        "mean_class_accuracy": Metric(
            value=float(balanced.mean()), unit="fraction", direction="higher", n=len(items),
            interval=of_classes, interval_method=how, parts=tuple(balanced.tolist()),
        ),
        **more,
    }  # fmt: skip


def _share(table: NDArray[np.float64]) -> Metric:
    """The mean of (S, N) hits, its interval over items."""
    items = table.mean(axis=0)
    interval, method = proportion_interval(items)
    return Metric(
        value=float(items.mean()), unit="fraction", direction="higher", n=len(items),
        interval=interval, interval_method=method, parts=tuple(table.mean(axis=1).tolist()),
    )  # fmt: skip
