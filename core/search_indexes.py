"""Approximate indexes of FAISS (IVF, HNSW, IVF-PQ), built from a streamed gallery.

An index only proposes; `search` computes the similarities again from the rows themselves. So what
is approximate is which rows are found, and `agreement` measures how many.
"""

# N gallery rows, M queries, D width, K neighbours.

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .config import Config
from .errors import UsageError
from .faiss_setup import GPU_NEIGHBOURS, gpu_resources, load_faiss, on_gpu
from .search import MEMORY_BYTES, Neighbours, Propose, search
from .vectors import Metric, Vectors, narrow_blocks

Kind = Literal["auto", "flat", "ivf", "hnsw", "ivfpq"]
EXACT_PAIRS = 2 * 10**10  # auto searches exactly up to here: about ten minutes of two CPU cores
_LIST_ROWS = 39  # the fewest that FAISS's k-means asks for per centroid
_BUILDING_BREADTH = 128  # of HNSW while it builds; more costs time in proportion
_TIE = 1e-12  # float64 cosines of equal rows differ by less
_BITS = 8  # of a product quantizer's code


class IndexSettings(Config):
    """Which index proposes neighbours, and how hard it looks.

    Attributes:
        kind: "flat" looks at every row; "ivf" at the lists nearest to a query; "hnsw" walks a
            graph; "ivfpq" is ivf over rows compressed to `code_bytes`; "auto" is flat up to
            2 · 10^10 pairs, then ivf where the gallery fits into half of the memory, else ivfpq.
        lists: of ivf, at most; 0 = 4 √N. Fewer where the memory holds too few rows to learn
            from.
        probes: lists looked at per query.
        links: of each row in the HNSW graph.
        breadth: candidates that HNSW keeps while it searches.
        code_bytes: of a compressed row; must divide the width.
    """

    kind: Kind = "auto"
    lists: int = Field(default=0, ge=0)
    probes: int = Field(default=64, ge=1)
    links: int = Field(default=32, ge=4)
    breadth: int = Field(default=256, ge=1)
    code_bytes: int = Field(default=64, ge=1)

    def resolved(
        self, n_rows: int, n_queries: int, width: int, memory_bytes: int
    ) -> "IndexSettings":
        """These settings with "auto" and 0 decided, as a record states them.

        Raises:
            UsageError: the index does not fit into the memory, or the width into codes.
        """
        kind, room = self.kind, memory_bytes // 2
        if kind == "auto":
            few = n_rows * n_queries <= EXACT_PAIRS
            fits = self.n_bytes("ivf", n_rows, width) <= room
            kind = "flat" if few else "ivf" if fits else "ivfpq"
        needed = self.n_bytes(kind, n_rows, width)
        if needed > room:
            raise UsageError(
                f"an index '{kind}' of {n_rows} rows of width {width} takes "
                f"{needed / 2**20:.0f} MiB, half of the memory is {room / 2**20:.0f} MiB",
                "allow more with memory_mib, or choose index.kind=ivfpq or flat",
            )
        n_codes = 2**_BITS
        if kind == "ivfpq" and (width % self.code_bytes or n_rows < n_codes * _LIST_ROWS):
            raise UsageError(
                f"ivfpq of {n_rows} rows of width {width} in {self.code_bytes} bytes: expected at "
                f"least {n_codes * _LIST_ROWS} rows, and bytes that divide the width",
                "set index.code_bytes, or index.kind=ivf",
            )
        learning = min(n_rows, _rows_in(memory_bytes, width))
        lists = min(self.lists or round(4 * n_rows**0.5), max(1, learning // _LIST_ROWS))
        return self.model_copy(update={"kind": kind, "lists": lists})

    def n_bytes(self, kind: Kind, n_rows: int, width: int) -> int:
        """What an index holds in memory."""
        own = {"flat": 0, "ivf": 4 * width + 8, "hnsw": 4 * width + 8 * self.links + 16}
        return n_rows * own.get(kind, self.code_bytes + 8)


def build(
    gallery: Vectors,
    metric: Metric,
    settings: IndexSettings,
    memory_bytes: int = MEMORY_BYTES,
) -> Propose | None:
    """What proposes rows to `search`; None for "flat", which is `search` itself.

    On a GPU where the installed faiss has one (but HNSW, which has no GPU form).

    Args:
        gallery: N rows, streamed: once to learn the lists, once to fill them.
        metric: "cosine", "dot" or "l2".
        settings: resolved ones.
        memory_bytes: of the training rows and a block, beside the index.

    Raises:
        ValidationError: a row is not finite, or zero where a cosine is asked.
    """
    if settings.kind == "flat":
        return None
    faiss = load_faiss()
    width = gallery.shape[1]
    index = faiss.index_factory(width, _factory(settings), _faiss_metric(faiss, metric))
    most = gallery.shape[0]
    if settings.kind == "hnsw":
        index.hnsw.efConstruction = _BUILDING_BREADTH
        index.hnsw.efSearch = settings.breadth
    else:
        index.nprobe = min(settings.probes, settings.lists)
        if settings.kind == "ivfpq":
            index.do_polysemous_training = False  # for Hamming distances, which nobody asks for
        index.train(_training_rows(gallery, metric, settings, memory_bytes))
        index = on_gpu(index)
        most = most if gpu_resources() is None else GPU_NEIGHBOURS
    for _, block in narrow_blocks(gallery, metric, _rows_in(memory_bytes // 2, width)):
        index.add(block)
    return _Proposer(index, most)


@dataclass(frozen=True, eq=False)
class _Proposer:
    """A filled index as `search` asks it."""

    index: Any
    most: int

    def __call__(self, queries: NDArray[np.float32], n: int) -> NDArray[np.int64]:
        """(M, n) rows, fewer where the index gives fewer; -1 where it knows no more."""
        rows: NDArray[np.int64] = self.index.search(queries, min(n, self.most))[1]
        return rows


def _factory(settings: IndexSettings) -> str:
    """The index as FAISS's factory spells it."""
    return {
        "ivf": f"IVF{settings.lists},Flat",
        "hnsw": f"HNSW{settings.links},Flat",
        "ivfpq": f"IVF{settings.lists},PQ{settings.code_bytes}x{_BITS}",
    }[settings.kind]


def _faiss_metric(faiss: Any, metric: Metric) -> int:  # noqa: ANN401 - faiss has no types
    return int(faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT)


def _training_rows(
    gallery: Vectors, metric: Metric, settings: IndexSettings, memory_bytes: int
) -> NDArray[np.float32]:
    """Rows at equal steps through the gallery, as many as k-means asks for."""
    n_rows, width = gallery.shape
    fitting = _rows_in(memory_bytes, width)
    step = -(-n_rows // min(n_rows, fitting, 2 * _LIST_ROWS * max(settings.lists, 2**_BITS)))
    picked = [
        block[-start % step :: step].copy()
        for start, block in narrow_blocks(gallery, metric, _rows_in(memory_bytes // 2, width))
    ]
    return np.concatenate(picked)


def _rows_in(memory_bytes: int, width: int) -> int:
    """How many float32 rows a quarter of the memory holds."""
    return max(1, memory_bytes // 4 // (4 * width))


def agreement(
    gallery: Vectors,
    queries: NDArray[np.floating],
    found: Neighbours,
    metric: Metric = "cosine",
    *,
    own: NDArray[np.int64] | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> NDArray[np.int64]:
    """How many of each query's K nearest rows were found: (M,), by an exact search.

    A found row that is as near as the K-th nearest counts, whichever of equal rows it is.

    Args:
        gallery: N rows.
        queries: (M, D), the sample that is measured.
        found: what an index gave them, K each.
        metric: of both searches.
        own: as for `search`.
        memory_bytes: as for `search`.
    """
    k = found.rows.shape[1]
    true = search(gallery, queries, k, metric, own=own, memory_bytes=memory_bytes)
    last = true.scores[:, -1:]
    return (found.scores >= last - _TIE * np.maximum(1, np.abs(last))).sum(axis=1)


def sample_of(n: int, size: int, seed: int) -> NDArray[np.int64]:
    """`size` different rows of n (all, where there are no more), sorted.

    The same in every NumPy version: the order of raw Philox words.
    """
    words = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)).random_raw(n)
    return np.sort(np.argsort(words, kind="stable")[:size])
