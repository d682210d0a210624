"""Nearest neighbours: FAISS proposes in float32, float64 decides, and large galleries are streamed.

The similarities of what was proposed are computed again in float64 and ranked by (similarity,
row). Without an index every row is looked at, and a query whose neighbours float32 cannot settle
(equal or nearly equal rows) is asked again in float64, then with more proposals: the result is
that of a float64 search over all rows, whatever the machine, threads or block size.

A gallery is anything that gives its rows in blocks (`Vectors`): an array, or a file of embeddings
that is larger than the memory. `memory_bytes` bounds what the search itself holds: one block of
rows, a share of the queries, and their proposals.
"""

# N gallery rows, M queries, D width, K neighbours, P proposals of a query.

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, ValidationError
from .faiss_setup import knn
from .metrics.cosines import rounding_margin
from .vectors import WIDE_ROWS, Metric, Vectors, directions, narrow_blocks

# (queries (M, D) float32, P) → rows (M, P) int64, -1 where there are no more
Propose = Callable[[NDArray[np.float32], int], NDArray[np.int64]]
# first row of a block; scores (M, P) and rows (M, P) inside it; length of its longest row
_Near = tuple[int, NDArray[np.floating], NDArray[np.int64], float]

MEMORY_BYTES = 1 << 30
NOTHING = -1  # the row of no neighbour
_SPARE = 16  # proposed beyond K, so that ties at rank K are seen
_WIDEN = 4  # times as many, where those did not settle it
_OVERFETCH = 4  # times as many of an index, which ranks by rounded numbers
_ROWS = 1 << 16  # of a block at most: beyond that nothing gets faster
_FINER = 2.0**-29  # float64's unit of rounding over float32's
_PAIR_VALUES = 1 << 21  # float64 numbers in one step of the re-computation: 16 MB


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest rows of each query, nearest first; equal ones by rising row.

    Attributes:
        scores: (M, K) float64 similarities: the cosine, the inner product, or the negative
            squared distance; -inf where an index found fewer than K.
        rows: (M, K) int64 gallery rows; -1 there.
    """

    scores: NDArray[np.float64]
    rows: NDArray[np.int64]


def search(
    gallery: Vectors,
    queries: NDArray[np.floating],
    k: int,
    metric: Metric = "cosine",
    *,
    own: NDArray[np.int64] | None = None,
    index: Propose | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Neighbours:
    """The k nearest gallery rows of each query.

    Args:
        gallery: N rows.
        queries: (M, D), held in memory.
        k: how many; fewer where the gallery has fewer.
        metric: "cosine" (rows are brought to unit length), "dot" or "l2".
        own: (M,) the row that each query is itself, which is left out; -1 = none.
        index: what proposes rows instead of the exact search; see `search_indexes`.
        memory_bytes: what the search itself may hold beside queries and result.

    Raises:
        DataError: an empty gallery, no query, or other widths.
        ValidationError: a row is not finite, or zero where a cosine is asked; names it.

    Example:
        >>> from masquerade.core.vectors import ArrayVectors
        >>> found = search(ArrayVectors(np.eye(3)), np.array([[2.0, 1.0, 0.0]]), k=2)
        >>> found.rows.tolist(), found.scores.round(3).tolist()
        ([[0, 1]], [[0.894, 0.447]])
    """
    _check(gallery, queries, k)
    n_rows = gallery.shape[0]
    own = np.full(len(queries), NOTHING) if own is None else own
    n_others = n_rows - 1 if (own != NOTHING).any() else n_rows
    run = _Run(gallery, metric, memory_bytes)
    k = min(k, n_others)
    scores = np.full((len(queries), k), -np.inf)
    rows = np.full((len(queries), k), NOTHING, dtype=np.int64)
    if k == 0:
        return Neighbours(scores, rows)
    todo, rounds = np.arange(len(queries)), 0
    n_proposed = min((k + 1 + _SPARE) * (1 if index is None else _OVERFETCH), n_rows)
    while len(todo):
        unsettled = []
        for part in _parts(todo, run.queries_at_once(n_proposed)):
            wide = directions(queries[part], metric, "query", part)
            proposed, bound = run.proposals(wide, n_proposed, index, precise=rounds > 0)
            exact = run.similarities(wide, proposed)
            exact[proposed == own[part][:, None]] = -np.inf
            scores[part], rows[part] = _best(exact, proposed, k)
            if index is None and n_proposed < n_rows:
                # not: <= bound; where float32 overflows the bound is no number
                unsettled.append(part[~(scores[part, -1] > bound)])
        todo = np.concatenate(unsettled) if unsettled else todo[:0]
        rounds += 1
        if rounds > 1:
            n_proposed = min(_WIDEN * n_proposed, n_rows)
    return Neighbours(scores, rows)


@dataclass(frozen=True, eq=False)
class _Run:
    """One search's gallery and its share of the memory."""

    gallery: Vectors
    metric: Metric
    memory_bytes: int

    @property
    def block_rows(self) -> int:
        """Rows of a block: a quarter of the memory, as they come and as FAISS reads them."""
        width = self.gallery.shape[1]
        return int(np.clip(self.memory_bytes // 4 // (8 * width), 1, _ROWS))

    def queries_at_once(self, n_proposed: int) -> int:
        """Queries whose vectors and proposals fit into half of the memory."""
        # twice float64 and once float32 of a vector; of a proposal row, score, order and copies
        each = 20 * self.gallery.shape[1] + 72 * n_proposed
        return max(1, self.memory_bytes // 2 // each)

    def proposals(
        self, queries: NDArray[np.float64], n: int, index: Propose | None, *, precise: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Proposed rows (M, P), and a bound (M,) that no other row's similarity exceeds.

        Args:
            queries: (M, D).
            n: P of the exact search.
            index: asked instead of the exact search; its bound is -inf, because nobody knows.
            precise: search in float64.
        """
        if index is not None:
            return index(queries.astype(np.float32), n), np.full(len(queries), -np.inf)
        near = self._near_wide if precise else self._near_narrow
        scores: NDArray[np.floating] = np.empty((len(queries), 0))
        rows = np.empty((len(queries), 0), dtype=np.int64)
        longest = 0.0
        for start, block_scores, block_rows, length in near(queries, n):
            longest = max(longest, length)
            scores = np.concatenate([scores, block_scores], axis=1)
            rows = np.concatenate([rows, block_rows + start], axis=1)
            scores, rows = _largest(scores, rows, n)
        return rows, scores.min(axis=1) + self._margins(queries, longest, precise=precise)

    def _near_narrow(self, queries: NDArray[np.float64], n: int) -> Iterator[_Near]:
        """Each block's first row, best float32 scores and rows by FAISS, and longest row."""
        narrow = queries.astype(np.float32)
        for start, block in narrow_blocks(self.gallery, self.metric, self.block_rows):
            squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
            scores, rows = knn(block, narrow, min(n, len(block)), self.metric)
            yield start, scores, rows, float(np.sqrt(squares.max()))

    def _near_wide(self, queries: NDArray[np.float64], n: int) -> Iterator[_Near]:
        """The same in float64, by matrix products of few rows."""
        n_rows = min(WIDE_ROWS, max(1, self.memory_bytes // 64 // len(queries)))
        for start, block in self.gallery.blocks(self.block_rows):
            for first in range(0, len(block), n_rows):
                number = start + first
                wide = directions(block[first : first + n_rows], self.metric, "gallery", number)
                squares = np.einsum("nd,nd->n", wide, wide)
                scores = queries @ wide.T
                if self.metric == "l2":
                    scores *= 2
                    scores -= squares + np.einsum("nd,nd->n", queries, queries)[:, None]
                rows = np.broadcast_to(np.arange(len(wide)), scores.shape)
                yield number, *_largest(scores, rows, n), float(np.sqrt(squares.max()))

    def _margins(
        self, queries: NDArray[np.float64], longest: float, *, precise: bool
    ) -> NDArray[np.float64]:
        """How far proposed similarities can lie from the true ones, per query."""
        lengths = np.linalg.norm(queries, axis=1)
        margin = rounding_margin(self.gallery.shape[1]) * (_FINER if precise else 1.0)
        if self.metric == "l2":  # |a|² + |b|² - 2 ab, each term with its own rounding
            return 2 * margin * (lengths + longest) ** 2
        return margin * lengths * longest

    def similarities(
        self, queries: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The float64 similarities (M, P) of queries and proposed rows; -inf for row -1."""
        exact = np.full(rows.size, -np.inf)
        order = np.argsort(rows, axis=None, kind="stable")
        wanted = rows.ravel()[order]
        step = max(1, _PAIR_VALUES // queries.shape[1])
        for start, block in self.gallery.blocks(self.block_rows):
            low, high = np.searchsorted(wanted, [start, start + len(block)])
            for first in range(low, high, step):
                part = order[first : min(first + step, high)]
                near = directions(
                    block[rows.ravel()[part] - start], self.metric, "gallery", rows.ravel()[part]
                )
                exact[part] = _similarity(near, queries[part // rows.shape[1]], self.metric)
        return exact.reshape(rows.shape)


def _similarity(
    near: NDArray[np.float64], queries: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    """Similarity (n,) of rows with rows; each summed alone, so equal rows get equal numbers."""
    products = -((near - queries) ** 2) if metric == "l2" else near * queries
    return products.sum(axis=1)


def _largest(
    scores: NDArray[np.floating], rows: NDArray[np.int64], n: int
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """The n largest scores of each query, in no order, and their rows."""
    if scores.shape[1] <= n:
        return scores, rows
    keep = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    return np.take_along_axis(scores, keep, axis=1), np.take_along_axis(rows, keep, axis=1)


def _best(
    scores: NDArray[np.float64], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k best of each query's proposals by (falling score, rising row)."""
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    found = np.take_along_axis(rows, order, axis=1)
    missing = k - best.shape[1]
    if missing > 0:
        best = np.pad(best, ((0, 0), (0, missing)), constant_values=-np.inf)
        found = np.pad(found, ((0, 0), (0, missing)), constant_values=NOTHING)
    return best, np.where(np.isfinite(best), found, NOTHING)


def _parts(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _check(gallery: Vectors, queries: NDArray[np.floating], k: int) -> None:
    n_rows, width = gallery.shape
    if n_rows == 0:
        raise DataError("the gallery is empty", "give it at least one embedding")
    if queries.ndim != 2 or len(queries) == 0 or queries.shape[1] != width:
        raise DataError(
            f"queries: expected at least one row of the gallery's width {width}, "
            f"got shape {queries.shape}",
            "take both embeddings with the same model",
        )
    if k < 1:
        raise ValidationError(f"k: expected at least 1, got {k}")
