"""Retrieval: does a query find the gallery's items of its own class, and how early?

Queries and gallery are a test and a train split, or one source of which each sample is sought
among the others. Embeddings are compared by their cosine; ranking is exact (every gallery row is
looked at, equal ones come in the gallery's order) unless an approximate index is asked for or the
size asks for one: then its recall is measured on a sample of the queries and is a metric too.

Metrics are trec_eval's at a depth of 1,000: `hit_rate_at_k` is what metric learning calls
"recall@k"; `recall_at_k` is the share of all relevant items. A query without any relevant item
in the gallery has no score; such queries are counted among the facts.
"""

# Q queries, N gallery items, D width.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError
from ..core.metrics.intervals import MIN_BOOTSTRAP_ITEMS, effective_number, proportion_interval
from ..core.metrics.retrieval import (
    RankedHits,
    average_precision,
    hit_rate_at,
    ndcg_at,
    recall_at,
    reciprocal_rank_at,
)
from ..core.records import Metric, Record
from ..core.search import Neighbours, search
from ..core.search_indexes import IndexSettings, agreement, build, sample_of
from .galleries import GalleryTask, Labelled, open_galleries
from .protocol import Identity, Result, Stopwatch, make_result

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Subject

SLUG = "retrieval"
VERSION = "1.0.0"
SUMMARY = "ranked lists of a gallery: mAP, nDCG, recall, hit rate, MRR (FAISS)"
MAIN_METRIC = "map_at_1000"
BASELINES = ("chance", "random", "raw", "pca")
TAKES_SPLITS = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/retrieval.py", "benchmarks/galleries.py", "core/metrics/retrieval.py",
        "core/search.py", "core/vectors.py", "core/search_indexes.py",
    ),
)  # fmt: skip
DEPTH = 1000  # of a ranked list, as trec_eval's
RANKS = (1, 5, 10, 100)
CUT = 10  # of nDCG, MRR and an index's recall, as is usual
_NOT_MEASURED = -1.0
open_data = open_galleries


class Settings(Config):
    """What is sought, with which index, in how much memory.

    Attributes:
        queries: at most so many are drawn; 0 = all.
        seed: of the drawn queries and of the sample that an index is measured on.
        index: see `IndexSettings`.
        index_sample: queries that an approximate index is measured on.
        memory_mib: what index and search may hold beside queries and results.
    """

    queries: int = Field(default=10_000, ge=0)
    seed: int = Field(default=0, ge=0)
    index: IndexSettings = IndexSettings()
    index_sample: int = Field(default=500, ge=1)
    memory_mib: int = Field(default=2048, ge=16)


def run(subject: "Subject", data: GalleryTask, settings: Settings) -> Result:
    """Score a subject by its ranked lists; see the module's text.

    Raises:
        DataError: no labels, one class only, or no query has a relevant item.
        UsageError: the index does not fit into the memory.
        ValidationError: an embedding is zero or not finite; names its row.
    """
    clock = Stopwatch()
    gallery, others = data.labelled(subject)
    queries = gallery if others is None else others
    truth = _Truth.of(data, gallery, queries, settings)
    memory = settings.memory_mib << 20
    n, width = gallery.vectors.shape
    index = settings.index.resolved(n, len(truth.rows), width, memory)
    vectors = queries.vectors.take(truth.rows)
    proposer = build(gallery.vectors, "cosine", index, memory)
    own = truth.rows if data.queries is None else None
    found = search(
        gallery.vectors, vectors, DEPTH, own=own, index=proposer,
        memory_bytes=memory if proposer is None else memory // 2,
    )  # fmt: skip
    share = np.full(len(truth.rows), _NOT_MEASURED)
    if proposer is not None:
        sample = sample_of(len(vectors), settings.index_sample, settings.seed)
        share[sample] = _measured(
            gallery, vectors[sample], Neighbours(found.scores[sample], found.rows[sample]),
            None if own is None else own[sample], memory_bytes=memory // 2,
        )  # fmt: skip
    predictions = _frame(queries, truth, gallery.labels, found, share)
    facts = {
        "gallery": n, "relevance": "same class", "exact": proposer is None,
        "queries_without_relevant_items": truth.n_without,
    }  # fmt: skip
    return make_result(
        IDENTITY, subject, data, settings.model_copy(update={"index": index}),
        seeds=[settings.seed], metrics=score(predictions), predictions=predictions, clock=clock,
        facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """All metrics of stored ranks.

    Intervals are over the queries' classes; with fewer than 30 classes over the queries, and then
    speak of these classes only.
    """
    import pandas as pd

    queries = queries_of(predictions)
    groups, _ = pd.factorize(queries["class"], sort=True)
    metrics = {name: _metric(each, groups) for name, each in query_scores(predictions).items()}
    measured = queries["index_recall"].to_numpy()
    if (measured != _NOT_MEASURED).any():
        metrics[f"index_recall_at_{CUT}"] = _metric(measured[measured != _NOT_MEASURED])
    return metrics


def queries_of(predictions: "DataFrame") -> "DataFrame":
    """The first row of each query of stored ranks, in their order."""
    return predictions.drop_duplicates("row")


def classes_are_drawn(groups: NDArray[np.int64]) -> bool:
    """Whether the queries' classes stand for others: 30 or more; else all is about these only."""
    return effective_number(np.bincount(groups)) >= MIN_BOOTSTRAP_ITEMS


def query_scores(predictions: "DataFrame") -> dict[str, NDArray[np.float64]]:
    """Each query's scores (Q,) in stored ranks, by metric; in the order of `queries_of`."""
    import pandas as pd

    place, _ = pd.factorize(predictions["row"])
    found = predictions["rank"].to_numpy() > 0
    hits = RankedHits.of(
        place[found], predictions["rank"].to_numpy()[found],
        queries_of(predictions)["relevant"].to_numpy(),
    )  # fmt: skip
    values = {f"map_at_{DEPTH}": average_precision(hits)}
    values[f"ndcg_at_{CUT}"] = ndcg_at(hits, CUT)
    values[f"mrr_at_{CUT}"] = reciprocal_rank_at(hits, CUT)
    values |= {f"hit_rate_at_{k}": hit_rate_at(hits, k) for k in RANKS}
    return values | {f"recall_at_{k}": recall_at(hits, k) for k in RANKS}


def notes(record: Record) -> list[str]:
    """What a person should know of a record beside its metrics."""
    facts, index = record.claim.facts, record.claim.settings["index"]
    kind: Any = index["kind"] if isinstance(index, Mapping) else index
    without: Any = facts["queries_without_relevant_items"]
    over = "classes of queries" if record.main.n_of == "groups" else "queries"
    said = [
        f"intervals over {record.main.n} {over}, {facts['gallery']} items in the gallery, "
        + ("every one looked at" if facts["exact"] else f"found by an approximate index ({kind})")
    ]
    if without:
        said.append(f"{without} queries have nothing relevant in the gallery: not scored")
    return said


class _Truth:
    """Which queries are asked, and how many relevant items each has.

    Attributes:
        rows: (Q,) rows of the queries that are asked.
        label: (Q,) their classes, as numbers of the gallery's.
        n_relevant: (Q,) gallery items of that class, the query itself left out.
        n_without: queries drawn that have none.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        label: NDArray[np.int64],
        n_relevant: NDArray[np.int64],
    ) -> None:
        some = n_relevant > 0
        self.rows, self.label, self.n_relevant = rows[some], label[some], n_relevant[some]
        self.n_without = int((~some).sum())

    @classmethod
    def of(
        cls, data: GalleryTask, gallery: Labelled, queries: Labelled, settings: Settings
    ) -> "_Truth":
        """The truth by the class names of both.

        Raises:
            DataError: one class only, or no query has a relevant item.
        """
        n_items = np.bincount(gallery.labels, minlength=len(gallery.classes))
        if (n_items > 0).sum() < 2:
            raise DataError(
                f"{data.name}: expected at least two classes in the gallery, got "
                f"'{gallery.classes[int(n_items.argmax())]}' alone",
                "with one class every ranking is right: add others",
            )
        rows = np.arange(len(queries))
        if 0 < settings.queries < len(rows):
            rows = sample_of(len(rows), settings.queries, settings.seed)
        number = {name: place for place, name in enumerate(gallery.classes)}
        of_query = np.array([number.get(name, -1) for name in queries.classes], dtype=np.int64)
        label = of_query[queries.labels[rows]]
        relevant = np.where(label >= 0, n_items[label], 0)
        truth = cls(rows, label, relevant - (1 if data.queries is None else 0))
        if not len(truth.rows):
            raise DataError(
                f"{data.name}: of {len(rows)} queries none has an item of its class in the gallery",
                "name a gallery that holds the queries' classes",
            )
        return truth


def _measured(
    gallery: Labelled,
    queries: NDArray[np.floating],
    found: Neighbours,
    own: NDArray[np.int64] | None,
    *,
    memory_bytes: int,
) -> NDArray[np.float64]:
    """The share of each query's nearest items that the index found."""
    near = Neighbours(found.scores[:, :CUT], found.rows[:, :CUT])
    agreed = agreement(gallery.vectors, queries, near, own=own, memory_bytes=memory_bytes)
    return agreed / near.rows.shape[1]


def _frame(
    queries: Labelled,
    truth: _Truth,
    labels: NDArray[np.int64],
    found: Neighbours,
    share: NDArray[np.float64],
) -> "DataFrame":
    """A row per relevant item found, its rank from 1; a query that finds none has rank 0 once."""
    import pandas as pd

    relevant = (found.rows >= 0) & (labels[found.rows] == truth.label[:, None])
    query, place = np.nonzero(relevant)
    without = np.flatnonzero(~relevant.any(axis=1))
    who = np.concatenate([query, without])
    rank = np.concatenate([place + 1, np.zeros(len(without), np.int64)])
    order = np.lexsort((rank, who))
    who, rank = who[order], rank[order]
    keys = np.array(queries.keys_at(truth.rows), dtype=object)
    names = np.array(queries.classes, dtype=object)[queries.labels[truth.rows]]
    return pd.DataFrame({
        "row": truth.rows[who], "query": keys[who], "class": names[who],
        "relevant": truth.n_relevant[who], "rank": rank, "index_recall": share[who],
    })  # fmt: skip


def _metric(values: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> Metric:
    """A mean over queries; its interval is over their classes where these are drawn ones."""
    n_groups = 0
    if groups is not None and classes_are_drawn(groups):
        n_groups = int(groups.max()) + 1
    interval, method = proportion_interval(values, groups if n_groups else None)
    return Metric(
        value=float(values.mean()), unit="fraction", direction="higher",
        n=n_groups or len(values), n_of="groups" if n_groups else "items",
        interval=interval, interval_method=method,
    )  # fmt: skip
