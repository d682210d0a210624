"""Batches of graphs as one disjoint union: nodes one after the other, edges inside their graph."""

# B graphs, N nodes of all of them, E edges, D width.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import UsageError
from ..tokens import Batch
from .csr import Csr
from .features import NodeTable, SparseRows

EDGES, SPARSE = "edges/", "sparse/"  # prefixes of the named tensors of patterns
_OF_NODES = ("x", "bonds")
_OF_GRAPHS = ("targets",)
Pooling = Literal["mean", "max", "sum"]


@dataclass(frozen=True)
class GraphBatch(Batch):
    """Graphs as a disjoint union.

    Its `inputs` are "x", the nodes' features (N, d) float32 or categories (N, k) int64;
    "graph_ptr" (B + 1,), where each graph's nodes begin; the edges, with one self-loop per node,
    as the named tensors of a `Csr`; and, where the data has them, "bonds" (N, 9), the kinds of a
    node's incoming bonds counted, "targets" (B, T), and the pattern and values of a sparse "x".

    Example:
        >>> from masquerade.core.graphs.batch import union
        >>> edges = Csr.from_pairs(torch.tensor([0, 1]), torch.tensor([0, 1]), (2, 2))
        >>> two = [{"x": torch.ones(2, 3), **edges.tensors("edges/")} for _ in range(2)]
        >>> batch = GraphBatch(union(two), ids=torch.arange(2))
        >>> batch.edges.row, batch.rows(1, 2).edges.row
        (tensor([0, 1, 2, 3]), tensor([0, 1]))
    """

    @property
    def n_nodes(self) -> int:
        """N."""
        return len(self["x"])

    @property
    def graph_ptr(self) -> Tensor:
        """(B + 1,) int64: graph b has the nodes graph_ptr[b] … graph_ptr[b + 1] − 1."""
        return self["graph_ptr"]

    @property
    def edges(self) -> Csr:
        """(N, N): rows are the targets of edges, columns their sources."""
        return Csr.named(self.inputs, EDGES)

    @property
    def node_table(self) -> NodeTable:
        """(N, d) "x", by its entries where they travel with it."""
        name = f"{SPARSE}values"
        if name not in self.inputs:
            return self["x"]
        return SparseRows(Csr.named(self.inputs, SPARSE), self[name])

    def check_features(self, n_features: int) -> None:
        """Refuse nodes of another kind than a network reads.

        Args:
            n_features: d; 0 = molecules.

        Raises:
            UsageError: the nodes have other features.
        """
        x = self["x"]
        found = x.shape[1] if x.dtype.is_floating_point else 0
        if found != n_features:
            have, read = (f"{n} features" if n else "kinds of atoms" for n in (found, n_features))
            raise UsageError(
                f"the nodes of this data have {have}, the network reads {read}",
                "name a run that was trained on such data, or other data",
            )

    def rows(self, start: int, stop: int) -> "GraphBatch":
        """The graphs `start` … `stop` − 1, or as many as there are."""
        stop = min(stop, len(self))
        if (start, stop) == (0, len(self)):
            return self
        edges = self.edges
        first, last = int(self.graph_ptr[start]), int(self.graph_ptr[stop])
        skipped, end = int(edges.ptr[first]), int(edges.ptr[last])
        part = Csr(
            ptr=edges.ptr[first : last + 1] - skipped,
            column=edges.column[skipped:end] - first,
            row=edges.row[skipped:end] - first,
            column_ptr=edges.column_ptr[first : last + 1] - skipped,
            order=edges.order[skipped:end] - skipped,
            row_by_column=edges.row_by_column[skipped:end] - first,
        )
        inputs = {name: self[name][first:last] for name in _OF_NODES if name in self.inputs}
        inputs |= {name: self[name][start:stop] for name in _OF_GRAPHS if name in self.inputs}
        inputs |= {"graph_ptr": self.graph_ptr[start : stop + 1] - first, **part.tensors(EDGES)}
        labels = None if self.labels is None else self.labels[start:stop]
        return replace(self, inputs=inputs, ids=self.ids[start:stop], labels=labels)


def union(graphs: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The inputs of a batch of graphs, each given by its named tensors (without "graph_ptr")."""
    device = graphs[0]["x"].device
    sizes = [0, *(len(graph["x"]) for graph in graphs)]
    graph_ptr = torch.tensor(sizes, device=device).cumsum(0)
    if len(graphs) == 1:
        return {**graphs[0], "graph_ptr": graph_ptr}
    entries = [0, *(len(graph[f"{EDGES}column"]) for graph in graphs)]
    entry_ptr = torch.tensor(entries, device=device).cumsum(0)
    nodes_before = graph_ptr[:-1].repeat_interleave(entry_ptr.diff())
    entries_before = entry_ptr[:-1].repeat_interleave(entry_ptr.diff())

    def joined(name: str, before: Tensor) -> Tensor:
        return torch.cat([graph[f"{EDGES}{name}"] for graph in graphs]) + before

    def pointers(name: str) -> Tensor:
        counts = torch.cat([graph[f"{EDGES}{name}"].diff() for graph in graphs])
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    edges = Csr(
        ptr=pointers("ptr"),
        column=joined("column", nodes_before),
        row=joined("row", nodes_before),
        column_ptr=pointers("column_ptr"),
        order=joined("order", entries_before),
        row_by_column=joined("row_by_column", nodes_before),
    )
    inputs = {
        name: torch.cat([graph[name] for graph in graphs])
        for name in (*_OF_NODES, *_OF_GRAPHS)
        if name in graphs[0]
    }
    return {**inputs, "graph_ptr": graph_ptr, **edges.tensors(EDGES)}


def as_graphs(batch: Batch) -> GraphBatch:
    """The batch, which must be of graphs."""
    if not isinstance(batch, GraphBatch):
        raise TypeError(f"expected a GraphBatch, got {type(batch).__name__}")
    return batch


def pool_graphs(nodes: Tensor, graph_ptr: Tensor, how: Pooling) -> Tensor:
    """Node vectors (N, D) as one vector per graph: (B, D)."""
    return torch.segment_reduce(nodes, how, offsets=graph_ptr, axis=0, unsafe=True)


def thinned(edges: Csr, keep: Tensor) -> Csr:
    """The edges that `keep` (E,) bool names, and one more self-loop for every node.

    A self-loop that is kept is then there twice (Hou et al., 2022, official edge drop).
    """
    loops = torch.arange(edges.shape[0], device=keep.device)
    row, column = torch.cat([edges.row[keep], loops]), torch.cat([edges.column[keep], loops])
    return Csr.from_pairs(row, column, edges.shape)
