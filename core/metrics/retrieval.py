"""Scores of ranked lists: recall, hit rate, average precision, nDCG, reciprocal rank; per query.

Names and definitions are those of trec_eval for binary relevance: an item beyond the list's end
was not retrieved and counts in every denominator. Pure functions of NumPy arrays.
"""

# Q queries, P pairs of a query and a relevant item that was retrieved.

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ValidationError
from .checks import check_same_length, checked_labels

_MEND = "look at what produced it; a metric never skips a row"


@dataclass(frozen=True)
class RankedHits:
    """Where the relevant items stand in each query's ranked list.

    Attributes:
        query: (P,) int64, which query, 0 … Q - 1.
        rank: (P,) int64, place in that query's list, 1 = first; no place is taken twice.
        n_relevant: (Q,) int64 >= 1, relevant items in the gallery, retrieved or not.

    Example:
        >>> hits = RankedHits.of([0, 0, 1], [1, 3, 2], [2, 1])
        >>> average_precision(hits).round(4).tolist()
        [0.8333, 0.5]
    """

    query: NDArray[np.int64]
    rank: NDArray[np.int64]
    n_relevant: NDArray[np.int64]

    @classmethod
    def of(cls, query: ArrayLike, rank: ArrayLike, n_relevant: ArrayLike) -> "RankedHits":
        """The checked hits, sorted by query and rank.

        Raises:
            ValidationError: no query, a query without a relevant item or with more hits than
                relevant items, a place below 1 or taken twice; names the first bad row.
        """
        relevant = checked_labels(n_relevant, "n_relevant")
        if not relevant.all():
            row = int(np.argmin(relevant))
            raise ValidationError(f"n_relevant[{row}]: expected at least 1, got 0", _MEND)
        if not np.size(query) and not np.size(rank):
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), relevant)
        queries, ranks = checked_labels(query, "query"), checked_labels(rank, "rank")
        check_same_length(queries, ranks, "query and rank")
        order = np.lexsort((ranks, queries))
        queries, ranks = queries[order], ranks[order]
        twice = (np.diff(queries) == 0) & (np.diff(ranks) == 0)
        if ranks.min() < 1 or twice.any() or queries[-1] >= len(relevant):
            raise ValidationError(
                "hits: expected ranks from 1, each once a query, of queries below "
                f"{len(relevant)}, got the lowest rank {ranks.min()}, {int(twice.sum())} taken "
                f"twice, the highest query {queries[-1]}",
                _MEND,
            )
        found = np.bincount(queries, minlength=len(relevant))
        if (found > relevant).any():
            row = int(np.argmax(found > relevant))
            raise ValidationError(
                f"n_relevant[{row}]: expected at least the {found[row]} hits, got {relevant[row]}",
                _MEND,
            )
        return cls(queries, ranks, relevant)

    def _sums(self, values: ArrayLike) -> NDArray[np.float64]:
        """Sums (Q,) of one value per hit."""
        sums = np.bincount(self.query, np.asarray(values, np.float64), len(self.n_relevant))
        return sums.astype(np.float64)


def recall_at(hits: RankedHits, k: int) -> NDArray[np.float64]:
    """The share of each query's relevant items among its first k: (Q,).

    Metric learning calls `hit_rate_at` "recall@k"; this is trec_eval's.

    Example:
        >>> recall_at(RankedHits.of([0, 0], [1, 7], [4]), 10).tolist()
        [0.5]
    """
    return hits._sums(hits.rank <= _checked(k)) / hits.n_relevant


def hit_rate_at(hits: RankedHits, k: int) -> NDArray[np.float64]:
    """1.0 where at least one of the first k items is relevant: (Q,)."""
    return (hits._sums(hits.rank <= _checked(k)) > 0).astype(np.float64)


def average_precision(hits: RankedHits) -> NDArray[np.float64]:
    """Precision at each relevant item, summed, over the number of relevant items: (Q,).

    Items that were not retrieved add nothing.
    """
    first = np.searchsorted(hits.query, hits.query)
    precision = (np.arange(len(hits.query)) - first + 1) / hits.rank
    return hits._sums(precision) / hits.n_relevant


def ndcg_at(hits: RankedHits, k: int) -> NDArray[np.float64]:
    """Discounted gain 1 / log2(1 + rank) of the first k, over that of an ideal list: (Q,).

    Järvelin and Kekäläinen (2002), with gains 0 and 1.

    Example:
        >>> ndcg_at(RankedHits.of([0], [3], [1]), 10).tolist()
        [0.5]
    """
    gains = (hits.rank <= _checked(k)) / np.log2(1.0 + hits.rank)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(2.0 + np.arange(k)))])
    return hits._sums(gains) / ideal[np.minimum(hits.n_relevant, k)]


def reciprocal_rank_at(hits: RankedHits, k: int) -> NDArray[np.float64]:
    """1 / rank of the first relevant item among the first k, else 0: (Q,)."""
    first = np.concatenate([[True], np.diff(hits.query) != 0])[: len(hits.query)]
    return hits._sums((first & (hits.rank <= _checked(k))) / hits.rank)


def _checked(k: int) -> int:
    if k < 1:
        raise ValidationError(f"k: expected at least 1, got {k}", "count from the first item")
    return k
