"""What single items did to a metric, by which two subjects are compared on the same items.

Kept apart from the protocols: how subjects are compared changes no protocol's numbers. A protocol
of others may have a function `items(predictions) -> metric: Items` of its own. A metric whose
uncertainty is not in its items alone (means over trainings) has none, and is compared by intervals.
"""

# N items.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.frames import content_hash

if TYPE_CHECKING:
    from pandas import DataFrame

    from .protocol import Benchmark


@dataclass(frozen=True, eq=False)
class Items:
    """How items move a metric; see `SharedItems`, which has these fields of several subjects.

    Attributes:
        of: the sha256 of what the items are: equal ones are the same items in the same order.
        scores: (N,).
        weights: (N,) positive; the same for all subjects.
        kinds: (N,) strata.
        owners: (N,) or (N, 2).
        seeds: the items are repeats.
        chosen: a threshold was chosen on them.
    """

    of: str
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    kinds: NDArray[np.int64]
    owners: NDArray[np.int64]
    seeds: bool = False
    chosen: bool = False

    @classmethod
    def mean(
        cls, of: str, scores: NDArray, owners: NDArray[np.int64], *, seeds: bool = False
    ) -> "Items":
        """The items of a plain mean."""
        n = len(scores)
        kinds = np.zeros(n, np.int64)
        return cls(of, scores.astype(np.float64), np.full(n, 1 / n), kinds, owners, seeds)


def item_scores(protocol: "Benchmark", predictions: "DataFrame") -> Mapping[str, Items]:
    """Of each metric that is a mean over items, those items.

    Args:
        protocol: of the record.
        predictions: as stored beside it.
    """
    own = getattr(protocol, "items", None)
    find: Callable[[DataFrame], Mapping[str, Items]] | None = own or _KNOWN.get(protocol.SLUG)
    return {} if find is None else find(predictions)


def _classification(predictions: "DataFrame") -> dict[str, Items]:
    from .classification import hits

    table, labels = hits(predictions)
    first = predictions[predictions["seed"] == predictions["seed"].min()]
    of = content_hash(first[["key", "label"]])
    names, places = np.unique(labels, return_inverse=True)
    scores, rows = table.mean(axis=0), np.arange(len(labels))
    by_class = 1 / (np.bincount(places)[places] * len(names))
    return {
        "accuracy": Items.mean(of, scores, rows),
        "mean_class_accuracy": Items(of, scores, by_class, places.astype(np.int64), rows),
    }


def _few_shot(predictions: "DataFrame") -> dict[str, Items]:
    from .classification import hits

    found = {}
    for shots, rows in predictions.groupby("shots", sort=True):
        runs = hits(rows)[0].mean(axis=1)
        of = content_hash(rows[["key", "label", "seed"]])
        found[f"accuracy_{shots}_shot"] = Items.mean(of, runs, np.arange(len(runs)), seeds=True)
    return found


def _verification(predictions: "DataFrame") -> dict[str, Items]:
    from ..core.metrics.pair_folds import exact_threshold, far_threshold, grid_threshold
    from ..core.metrics.verification import eer_point, exchange_rate, roc, supports
    from .pair_predictions import PairPredictions
    from .verification import FARS

    pairs = PairPredictions(predictions)
    same, kinds = pairs.same, pairs.same.astype(np.int64)
    owners = np.stack([pairs.groups.first, pairs.groups.second], axis=1)
    of = content_hash(predictions[["a", "b", "same", "fold", "group_a", "group_b"]])
    found = {}
    choosers = {"accuracy": grid_threshold, "accuracy_exact_threshold": exact_threshold}
    for name, choose in choosers.items():
        made = pairs.decisions(choose)
        sizes = np.bincount(made.fold)
        weights = 1 / (sizes[made.fold] * len(sizes))  # the mean of the folds' means
        right = made.correct.astype(np.float64)
        found[name] = Items(of, right, weights, kinds, owners, chosen=True)
    curve = roc(-pairs.distance, same)
    place = eer_point(curve)
    wrong = (-pairs.distance > curve.thresholds[place]) != same
    rate = exchange_rate(curve, float(curve.far[place] + curve.frr[place]) / 2)
    by_kind = 1 / np.bincount(kinds)[kinds]
    moved = wrong.astype(np.float64) * np.where(same, 1.0, rate) / (1 + rate)
    found["eer"] = Items(of, moved, by_kind, kinds, owners)
    for name, target in FARS.items():
        if supports(target, pairs.n_impostor):
            accepted = pairs.decisions(far_threshold(target)).accepted.astype(np.float64)
            moved = accepted * np.where(same, 1.0, -exchange_rate(curve, target))
            found[f"tar_at_far_{name}"] = Items(of, moved, by_kind, kinds, owners)
    return found


def _template_verification(predictions: "DataFrame") -> dict[str, Items]:
    from .template_verification import MAIN_METRIC, people_counts

    found = {}
    for name, rows in predictions.groupby("rate", sort=True):
        people = people_counts(rows)
        # a person's genuine pairs are one item, her impostor pairs another
        counts = np.concatenate([people.genuine, people.impostor])
        accepted = np.concatenate([people.accepted_genuine, people.accepted_impostor])
        kinds = np.repeat([1, 0], len(rows))
        some = counts > 0
        share = accepted[some] / counts[some]
        genuine, rate = kinds[some] == 1, people.rate
        if name == MAIN_METRIC:
            moved = np.where(genuine, 1 - share, rate * share) / (1 + rate)
        else:
            moved = np.where(genuine, share, -rate * share)
        sizes = np.where(genuine, people.n_genuine, people.n_impostor)
        found[str(name)] = Items(
            content_hash(rows[["person", "genuine", "impostor"]]),
            moved, counts[some] / sizes, kinds[some], np.tile(np.arange(len(rows)), 2)[some],
        )  # fmt: skip
    return found


def _identification(predictions: "DataFrame") -> dict[str, Items]:
    import pandas as pd

    from ..core.metrics.identification import identified, open_set, price_of_strangers
    from ..core.metrics.verification import supports
    from .identification import FPIRS, RANKS

    mated = predictions["mated"].to_numpy(bool)
    owners = pd.factorize(predictions["identity"], sort=True)[0].astype(np.int64)
    of = content_hash(predictions[["key", "identity", "mated"]])
    ranks = predictions["rank"].to_numpy(np.int64)[mated]
    scores = predictions["score"].to_numpy(np.float64)
    strangers = scores[~mated]
    found = {f"rank_{k}": Items.mean(of, identified(ranks, k), owners[mated]) for k in RANKS}
    for name, fpir in FPIRS.items():
        if supports(fpir, len(strangers)):
            made = open_set(ranks, scores[mated], strangers, fpir)
            rate = price_of_strangers(ranks, scores[mated], strangers, fpir)
            moved = np.where(mated, 0.0, -rate * (scores > made.threshold))
            moved[mated] = made.accepted
            kinds = mated.astype(np.int64)
            found[f"tpir_at_fpir_{name}"] = Items(
                of, moved, 1 / np.bincount(kinds)[kinds], kinds, owners
            )
    return found


def _retrieval(predictions: "DataFrame") -> dict[str, Items]:
    import pandas as pd

    from .retrieval import classes_are_drawn, queries_of, query_scores

    queries = queries_of(predictions)
    owners = pd.factorize(queries["class"], sort=True)[0].astype(np.int64)
    if not classes_are_drawn(owners):  # then it is about these classes only
        owners = np.arange(len(queries))
    of = content_hash(queries[["query", "class", "relevant"]])
    return {
        name: Items.mean(of, values, owners) for name, values in query_scores(predictions).items()
    }


_KNOWN: dict[str, Callable[["DataFrame"], Mapping[str, Items]]] = {
    "knn": _classification,
    "probe": _classification,
    "finetune": _classification,
    "classification": _classification,
    "few-shot": _few_shot,
    "verification": _verification,
    "template-verification": _template_verification,
    "identification": _identification,
    "retrieval": _retrieval,
}
