"""Linear probe: logistic regression on frozen, standardised features.

Standardised by the train split's features. The penalty is chosen on a fifth of the *train* split,
drawn anew for each seed; then the whole train split is fitted. Test labels are used by `score`
alone.
"""

# N train samples, M test samples, D width, C classes.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.metrics.classification import accuracy
from ..core.records import Metric
from .classification import accuracy_metrics, frequency_scores, scored_rows, split_features
from .features import Features
from .logistic import Logistic, stratified_split
from .protocol import Identity, Result, Stopwatch, TaskData, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "probe"
VERSION = "1.1.0"  # 1.1: the labels' ranks are stored, and top-5 accuracy
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
    # penalties λ of mean cross entropy + λ/2 ‖w‖², tried from strong to weak
    log10_penalty: Annotated[tuple[float, ...], Field(min_length=1)] = (
        1,
        0,
        -1,
        -2,
        -3,
        -4,
        -5,
        -6,
    )


class Probe:
    """Fits probes of one train set; a penalty chosen twice is fitted once.

    Args:
        settings: how.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._penalties = [10.0**power for power in sorted(settings.log10_penalty, reverse=True)]
        self._model: Logistic | None = None
        self._done: dict[float, NDArray[np.float64]] = {}

    def choose(self, train: Features, seed: int) -> float:
        """The penalty with the best held-out accuracy (ties: the stronger one).

        Fits go from the strongest penalty to the weakest, each from the weights of the one
        before, and end after two in a row below the best.
        """
        model = self._model_of(train)
        fit, held = stratified_split(train, self._settings.held_share, seed)
        best, chosen, below = -1.0, self._penalties[0], 0
        weights = None
        for penalty in self._penalties:
            weights = model.fit(fit, penalty, weights)
            found = accuracy(train.classes_of[held], model.predict_rows(weights, held))
            below = below + 1 if found < best else 0
            if found > best:
                best, chosen = found, penalty
            if below == _PATIENCE:
                break
        return chosen

    def __call__(
        self, train: Features, test: NDArray[np.float32], seed: int
    ) -> NDArray[np.float64]:
        """(M, C) logits of test features (M, D)."""
        penalty = self.choose(train, seed)
        if penalty not in self._done:
            model = self._model_of(train)
            weights = model.fit(np.arange(len(train)), penalty)
            self._done[penalty] = model.scores(weights, test, len(train.classes))
        return self._done[penalty]

    def _model_of(self, train: Features) -> Logistic:
        self._model = self._model or Logistic(train)
        return self._model


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Probe a subject; see the module's text.

    Raises:
        DataError: no labels, or a class without train samples.
        ValidationError: a feature is not finite; names its row.
    """
    import pandas as pd

    clock = Stopwatch()
    train, test = split_features(subject, data)
    probe, chance = Probe(settings), frequency_scores(train, len(test))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = []
    for seed in seeds:
        scores = chance if subject.kind == "chance" else probe(train, test.values, seed)
        tables.append(scored_rows(test, scores, seed=seed))
    predictions = pd.concat(tables, ignore_index=True)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracies over test items, the mean over the seeds; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)
