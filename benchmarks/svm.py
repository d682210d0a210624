"""Linear SVM on frozen features, as point-cloud methods are compared.

scikit-learn's SVC (one against one) with a linear kernel on features as they are: no scaling, and C
fixed beforehand. Published: C = 0.0093 on ModelNet40 and 0.018 on ScanObjectNN's OBJ-BG, of 1,024
points each, the first of those stored; 0.01 while a model is trained.
"""

# N train samples, M test samples, D width.

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.records import Metric
from .classification import (
    Classifier,
    accuracy_metrics,
    classifier_for,
    prediction_rows,
    split_features,
)
from .features import Features
from .protocol import Identity, Result, Stopwatch, TaskData, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "svm"
VERSION = "1.0.0"
SUMMARY = "linear SVM of frozen features, unscaled, C fixed"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw")
IDENTITY = Identity(SLUG, VERSION, MAIN_METRIC, ("benchmarks/svm.py",))


class Settings(Config):
    """The machine's penalty."""

    c: float = Field(default=0.01, gt=0)


def linear_machine(settings: Settings) -> Classifier:
    """A classifier by a linear SVM; nothing in it is drawn."""

    def classify(train: Features, test: NDArray[np.float32], _seed: int) -> NDArray[np.int64]:
        from sklearn.svm import SVC

        labels = train.classes_of
        if len(np.unique(labels)) == 1:
            return np.full(len(test), labels[0], dtype=np.int64)
        machine = SVC(kernel="linear", C=settings.c).fit(train.values.astype(np.float64), labels)
        return machine.predict(test.astype(np.float64))

    return classify


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Score a subject; see the module's text.

    Raises:
        DataError: no labels, or a class without train samples.
        ValidationError: a feature is not finite; names its row.
    """
    from threadpoolctl import threadpool_limits

    clock = Stopwatch()
    train, test = split_features(subject, data)
    with threadpool_limits(1):
        predicted = classifier_for(subject, linear_machine(settings))(train, test.values, 0)
    predictions = prediction_rows(test, predicted, seed=0)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=(0,), metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracies over test items; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)
