"""Graph classification: an SVM on frozen vectors of whole graphs, ten folds.

In each of ten stratified folds an RBF machine (gamma "scale") is fitted on the other nine; its C is
the best of five by an inner stratified 5-fold search on those nine (ties: the smallest). The score
is the mean accuracy over the folds: GraphMAE's official protocol, whose micro-F1 is accuracy.

Squared distances are computed once and every kernel is made of them, instead of anew from the
vectors in each of the 250 fits.
"""

# N graphs, D width, F folds.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError
from ..core.metrics.classification import accuracy
from ..core.metrics.intervals import proportion_interval, seeds_interval
from ..core.records import Metric
from .classification import majority
from .features import Features
from .node_classification import open_subject as open_graph_subject
from .protocol import Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.modality import Source
    from .subjects import Extraction, Subject

SLUG = "graph-classification"
VERSION = "1.0.0"
SUMMARY = "SVM on frozen vectors of graphs, 10 folds, C chosen inside each"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw")
TRANSDUCTIVE = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    ("benchmarks/graph_classification.py", "modalities/graph/features.py"),
)  # fmt: skip
open_subject = open_graph_subject
_FOLDS, _INNER_FOLDS = 10, 5
Pairs = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Settings(Config):
    """The folds and the choices of C.

    Attributes:
        folds: "stratified", ten drawn with `seed`, or "published", those that lie beside the data.
        seed: of the stratified folds.
        c: the choices.
    """

    folds: Literal["stratified", "published"] = "stratified"
    seed: int = Field(default=0, ge=0)
    c: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        1e-3, 1e-2, 1e-1, 1.0, 10.0,
    )  # fmt: skip


@dataclass(frozen=True)
class GraphsData:
    """Labelled graphs.

    Attributes:
        name: how a user calls them.
        source: the graphs.
    """

    name: str
    source: "Source"

    def hash(self) -> str:
        """The sha256 of all graphs and labels."""
        return self.source.fingerprint()


def open_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[GraphsData, Mapping[str, Any]]:
    """The graphs that a user names; all `data.` settings are the subject's.

    Raises:
        DataError: no graphs, no labels, or fewer than ten of a class.
    """
    del extraction
    from ..modalities.catalogue import resolve_data

    source = resolve_data(text, "graph")
    if source.labels is None:
        raise DataError(
            f"{source.name} has no graph labels, and this benchmark needs them",
            "give a TU folder with NAME_graph_labels.txt, a GIN text, or an .npz with 'labels'",
        )
    return GraphsData(text.rpartition("/")[2], source), own


def run(subject: "Subject", data: GraphsData, settings: Settings) -> Result:
    """Score a subject; see the module's text.

    Raises:
        DataError: a class has fewer graphs than there are folds, or there are no published folds.
        ValidationError: a vector is not finite; names its graph.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    clock = Stopwatch()
    features = subject.features(data.source)
    folds = outer_folds(features, data.source, settings)
    distances = squared_distances(features.values)
    tables = []
    for number, (train, test) in enumerate(folds):
        if subject.kind == "chance":
            chosen, predicted = 0.0, majority(features.take(train), features.values[test], 0)
        else:
            with threadpool_limits(1):
                chosen, predicted = machine(distances, features, train, test, settings)
        tables.append(
            pd.DataFrame({
                "key": np.array(features.keys)[test], "label": features.classes_of[test],
                "predicted": predicted, "fold": number, "c": chosen,
            })
        )  # fmt: skip
    predictions = pd.concat(tables, ignore_index=True)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[settings.seed], metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """The mean over folds of each fold's accuracy, with the t interval over the folds.

    Folds share training graphs, so that this interval is somewhat too narrow;
    `accuracy_of_graphs` has one over graphs.
    """
    folds = [rows for _, rows in predictions.groupby("fold", sort=True)]
    found = [accuracy(rows["label"].array, rows["predicted"].array) for rows in folds]
    interval = seeds_interval(found)
    hits = (predictions["label"] == predictions["predicted"]).to_numpy(np.float64)
    over_items, method = proportion_interval(hits)
    return {
        "accuracy": Metric(
            value=float(np.mean(found)), unit="fraction", direction="higher",
            n=len(found), n_of="folds", interval=interval,
            interval_method=None if interval is None else "folds", parts=tuple(found),
        ),
        "accuracy_of_graphs": Metric(
            value=float(hits.mean()), unit="fraction", direction="higher", n=len(hits),
            interval=over_items, interval_method=method,
        ),
    }  # fmt: skip


def outer_folds(features: Features, source: "Source", settings: Settings) -> Pairs:
    """(train, test) rows of each fold.

    Raises:
        DataError: a class is too small, or the data has no published folds.
    """
    from sklearn.model_selection import StratifiedKFold

    labels = features.classes_of
    if settings.folds == "published":
        folds: Pairs = getattr(source, "folds", ())
        if not folds:
            raise DataError(
                f"{source.name} has no published folds beside it",
                "leave out --set folds=published, or put 10fold_idx/NAME beside the file",
            )
        return folds
    smallest = int(np.bincount(labels).min())
    if smallest < _FOLDS:
        raise DataError(
            f"class '{features.classes[int(np.bincount(labels).argmin())]}' of {source.name} has "
            f"{smallest} graphs, expected at least {_FOLDS}, one for each fold",
            "give more graphs of it",
        )
    splitter = StratifiedKFold(_FOLDS, shuffle=True, random_state=settings.seed)
    return list(splitter.split(np.zeros(len(labels)), labels))


def squared_distances(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, N) squared Euclidean distances."""
    from scipy.spatial.distance import cdist

    wide = vectors.astype(np.float64)
    return cdist(wide, wide, "sqeuclidean")


def machine(
    distances: NDArray[np.float64],
    features: Features,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    settings: Settings,
) -> tuple[float, NDArray[np.int64]]:
    """The C chosen on train rows, and the classes that its machine gives the test rows."""
    from sklearn.model_selection import StratifiedKFold

    labels = features.classes_of
    inner = list(StratifiedKFold(_INNER_FOLDS).split(np.zeros(len(train)), labels[train]))
    right = np.zeros(len(settings.c))
    for fit, held in inner:
        rows, asked = train[fit], train[held]
        found = _predictions(distances, features, rows, asked, settings.c)
        right += [accuracy(labels[asked], each) for each in found]
    chosen = settings.c[int(np.argmax(right))]
    (predicted,) = _predictions(distances, features, train, test, (chosen,))
    return chosen, predicted


def _predictions(
    distances: NDArray[np.float64],
    features: Features,
    rows: NDArray[np.int64],
    asked: NDArray[np.int64],
    choices: Sequence[float],
) -> list[NDArray[np.int64]]:
    """The classes of `asked` by machines fitted on `rows`, one for each C."""
    from sklearn.svm import SVC

    spread = features.values[rows].astype(np.float64).var()
    # scikit-learn's gamma "scale"
    gamma = 1.0 / (features.values.shape[1] * spread) if spread else 1.0
    kernel = np.exp(-gamma * distances[np.ix_(rows, rows)])
    against = np.exp(-gamma * distances[np.ix_(asked, rows)])
    labels = features.classes_of[rows]
    return [
        SVC(C=c, kernel="precomputed", cache_size=1000).fit(kernel, labels).predict(against)
        for c in choices
    ]
