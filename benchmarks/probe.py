"""Linear probe: logistic regression on frozen, standardised features.

The penalty is chosen on a fifth of the *train* split, drawn anew for each seed; then the whole
train split is fitted. Test labels are used by `score` alone.
"""

# N train samples, M test samples, D width.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.metrics.classification import accuracy
from ..core.records import Metric
from .classification import accuracy_metrics, classifier_for, prediction_rows, split_features
from .features import Features
from .logistic import LogisticPath, stratified_split
from .protocol import Identity, Result, Stopwatch, TaskData, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "probe"
VERSION = "1.0.0"
SUMMARY = "linear probe of frozen features, penalty chosen on a split of train"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw", "pca")
IDENTITY = Identity(SLUG, VERSION, MAIN_METRIC, ("benchmarks/probe.py", "benchmarks/logistic.py"))

_PATIENCE = 2


class Settings(Config):
    """How the probe is fitted."""

    seeds: int = Field(default=3, ge=1)  # inner splits
    seed: int = Field(default=0, ge=0)  # the first one
    held_share: float = Field(default=0.2, gt=0, lt=1)  # of train, to choose the penalty on
    log10_c: Annotated[tuple[float, ...], Field(min_length=1)] = (-6, -5, -4, -3, -2, -1, 0, 1, 2)


class Probe:
    """Fits probes of one train set; a strength chosen twice is fitted once.

    Args:
        settings: how.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._strengths = [10.0**power for power in sorted(settings.log10_c)]
        self._done: dict[float, NDArray[np.int64]] = {}
        self.chosen: list[float] = []

    def choose(self, train: Features, seed: int) -> float:
        """The inverse penalty C with the best held-out accuracy (ties: the stronger penalty).

        The path from strong to weak ends after two strengths in a row below the best: the weak
        end takes nearly all the time and is where wide features overfit.
        """
        fit, held = stratified_split(train, self._settings.held_share, seed)
        inner, outer = train.take(fit), train.take(held)
        best, chosen, below = -1.0, self._strengths[0], 0
        path = LogisticPath(inner).predict(outer.values, self._strengths)
        for strength, predicted in zip(self._strengths, path, strict=False):
            score = accuracy(outer.classes_of, predicted)
            below = below + 1 if score < best else 0
            if score > best:
                best, chosen = score, strength
            if below == _PATIENCE:
                break
        return chosen

    def __call__(self, train: Features, test: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
        """(M,) predicted classes of test features (M, D)."""
        strength = self.choose(train, seed)
        self.chosen.append(strength)
        if strength not in self._done:
            path = LogisticPath(train)
            self._done[strength] = next(path.predict(test, [strength]))
        return self._done[strength]


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Probe a subject; see the module's text.

    Raises:
        DataError: no labels, or a class without train samples.
        ValidationError: a feature is not finite; names its row.
    """
    import pandas as pd

    clock = Stopwatch()
    train, test = split_features(subject, data)
    classify = classifier_for(subject, Probe(settings))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    predictions = pd.concat(
        [prediction_rows(test, classify(train, test.values, seed), seed=seed) for seed in seeds],
        ignore_index=True,
    )
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy over test items, the mean over the seeds; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)
