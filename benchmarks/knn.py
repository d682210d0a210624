"""k nearest neighbours of frozen features: exact, by FAISS, with every tie decided.

FAISS proposes neighbours in float32; their similarities are computed again in float64 and ranked
by (similarity, train row), and a query whose ties may reach beyond the proposal is searched by
brute force. So the result is that of a float64 search, whatever the index, order or threads.
"""

# N train samples, M test samples, D width, K proposed neighbours.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.records import Metric
from ..core.search import search
from ..core.vectors import ArrayVectors
from .classification import accuracy_metrics, classifier_for, prediction_rows, split_features
from .features import Features, Scaler
from .protocol import Identity, Result, Stopwatch, TaskData, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "knn"
VERSION = "1.0.0"
SUMMARY = "exact k nearest neighbours of frozen features (FAISS)"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw", "pca")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC, ("benchmarks/knn.py", "core/search.py", "core/vectors.py")
)


class Settings(Config):
    """How neighbours are found and vote.

    The defaults are the five-nearest majority by Euclidean distance, which is as good as cosine
    for trunks and kinder to raw pixels (0.54 against 0.40 on `photos`). `k = 20`, "cosine",
    "weighted" with temperature 0.07 is the usual choice for contrastive features (Wu et al., 2018).
    """

    k: int = Field(default=5, ge=1)
    metric: Literal["l2", "cosine"] = "l2"
    vote: Literal["majority", "weighted"] = "majority"
    temperature: float = Field(default=0.07, gt=0)  # of the weighted vote, exp(s / T)
    standardise: bool = True  # by train statistics, before anything else


def prepared(
    train: Features, test: NDArray[np.float32], settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train (N, D) and test (M, D) rows as float64, standardised and, for cosine, of unit length.

    Rows are brought to a size near 1 (l2: divided by the root of the mean squared train row), so
    that one rounding bound fits all. A zero row stays zero: as near to every row as to any other.
    """
    scale = Scaler.fit(train) if settings.standardise else None
    base, queries = (
        values.astype(np.float64) if scale is None else scale(values)
        for values in (train.values, test)
    )
    if settings.metric == "cosine":
        return _unit(base), _unit(queries)
    size = np.sqrt((base**2).sum(axis=1).mean()) or 1.0
    return base / size, queries / size


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


def neighbours(
    train: NDArray[np.float64], test: NDArray[np.float64], k: int, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest train rows of each test row, as a float64 brute-force search gives them.

    Returns:
        Similarities (M, k), falling, and rows (M, k); equal similarities by rising row.
    """
    found = search(ArrayVectors(train), test, k, "l2" if metric == "l2" else "dot")
    return found.scores, found.rows


def vote(
    scores: NDArray[np.float64], labels: NDArray[np.int64], settings: Settings
) -> NDArray[np.int64]:
    """The winning class of each query.

    Majority: the most neighbours; a tie goes to the larger sum of similarities, then to the lower
    class. Weighted: the largest sum of exp(similarity / temperature), then the lower class.

    Args:
        scores: (M, k) similarities.
        labels: (M, k) classes of the neighbours.
        settings: which vote.
    """
    n_classes = int(labels.max()) + 1
    winners = np.empty(len(labels), dtype=np.int64)
    for query, (near, classes) in enumerate(zip(scores, labels, strict=True)):
        if settings.vote == "weighted":
            # minus the maximum: the same winner, and no overflow
            weights = np.exp((near - near.max()) / settings.temperature)
            winners[query] = np.bincount(classes, weights, n_classes).argmax()
            continue
        counts = np.bincount(classes, minlength=n_classes)
        sums = np.bincount(classes, near, n_classes)
        tied = np.flatnonzero(counts == counts.max())
        winners[query] = tied[sums[tied].argmax()]
    return winners


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Score a subject by its neighbours; see the module's text.

    Raises:
        DataError: no labels, or a class without train samples.
        ValidationError: a feature is not finite; names its row.
    """
    clock = Stopwatch()
    train, test = split_features(subject, data)

    def classify(train: Features, values: NDArray[np.float32], _seed: int) -> NDArray[np.int64]:
        base, queries = prepared(train, values, settings)
        scores, rows = neighbours(base, queries, settings.k, settings.metric)
        return vote(scores, train.classes_of[rows], settings)

    predicted = classifier_for(subject, classify)(train, test.values, 0)
    predictions = prediction_rows(test, predicted, seed=0)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy over test items; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)
