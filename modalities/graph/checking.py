"""What is wrong with graphs, said in one sentence; and their edges in one form."""

# G graphs, N nodes of all of them, E edges.

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

if TYPE_CHECKING:
    from .source import GraphTable


@dataclass(frozen=True, eq=False)
class CheckedEdges:
    """Edges with one self-loop per node and none twice.

    Attributes:
        source: (E,) where each comes from.
        target: (E,) where it goes to.
        n_loops: self-loops that were there before.
        n_repeats: directed edges left out because they stood there already.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    n_loops: int
    n_repeats: int


def checked_edges(table: "GraphTable", *, one_way: bool) -> CheckedEdges:
    """The edges of a table, checked, without repetition, with one self-loop per node.

    Args:
        table: the graphs.
        one_way: an edge may stand in one direction only, and counts in both.

    Raises:
        DataError: an edge to a node that is not there or to another graph, or a one-way edge
            where the file should hold both directions.
    """
    n, source, target = int(table.sizes.sum()), table.source, table.target
    bad = np.flatnonzero((source < 0) | (source >= n) | (target < 0) | (target >= n))
    if len(bad):
        edge = bad[0]
        raise DataError(
            f"{table.name}: edge {edge} goes from node {source[edge]} to node {target[edge]}, "
            f"expected nodes 0 … {n - 1}",
            "remove the edge or add the node",
        )
    graph = np.repeat(np.arange(len(table.sizes)), table.sizes)
    bad = np.flatnonzero(graph[source] != graph[target])
    if len(bad):
        edge = bad[0]
        raise DataError(
            f"{table.name}: edge {edge} goes from graph {graph[source[edge]]} to graph "
            f"{graph[target[edge]]}",
            "edges stay inside a graph: mend the edge or the nodes' graphs",
        )
    loops = source == target
    key = target[~loops] * n + source[~loops]
    back = source[~loops] * n + target[~loops]
    n_repeats = len(key) - len(np.unique(key))
    if one_way:
        key = np.concatenate([key, back])
    elif len(alone := np.flatnonzero(~np.isin(back, key))):
        edge = np.flatnonzero(~loops)[alone[0]]
        raise DataError(
            f"{table.name}: the edge {source[edge]} → {target[edge]} has no counterpart "
            f"{target[edge]} → {source[edge]} ({len(alone)} of {len(key)} edges are one-way)",
            "write each edge in both directions, or add '#undirected' to the path",
        )
    kept = np.unique(key)
    every = np.arange(n, dtype=np.int64)
    key = np.concatenate([kept, every * n + every])
    return CheckedEdges(
        source=key % n, target=key // n, n_loops=int(loops.sum()), n_repeats=n_repeats
    )


def checked_features(table: "GraphTable") -> None:
    """Refuse graphs without nodes and features that are not finite.

    Raises:
        DataError: names the graph or the node.
    """
    if not len(table.sizes):
        raise DataError(f"{table.name} holds no graph", "give a file with at least one")
    empty = np.flatnonzero(table.sizes < 1)
    if len(empty):
        raise DataError(f"{table.name}: graph {empty[0]} has no nodes", "leave it out of the file")
    n = int(table.sizes.sum())
    if table.x.shape[0] != n or table.x.shape[1] < 1:
        raise DataError(
            f"{table.name}: features of the shape {tuple(table.x.shape)} for {n} nodes",
            "give every node one row of at least one number",
        )
    dense = isinstance(table.x, np.ndarray)
    bad = ~np.isfinite(table.x).all(axis=1) if dense else _bad_rows(table.x)
    if bad.any():
        raise DataError(
            f"{table.name}: node {int(np.argmax(bad))} has a feature that is not finite",
            "replace it by a number",
        )


def _bad_rows(x) -> NDArray[np.bool_]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - csr_matrix
    bad = np.zeros(x.shape[0], dtype=bool)
    entries = x.tocoo()
    bad[entries.row[~np.isfinite(entries.data)]] = True
    return bad
