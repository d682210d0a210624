"""Graphs in memory: one table of all nodes and edges, cut into graphs when they are read."""

# G graphs, N nodes of all of them, E edges with self-loops, d features, T targets.

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError
from ...core.graphs.batch import EDGES
from ...core.graphs.csr import Csr
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Ids = NDArray[np.int64]
KEY_DIGITS = 6


@dataclass(frozen=True, eq=False)
class GraphTable:
    """What a reader found: all graphs' nodes and directed edges one after the other.

    Attributes:
        name: how a user calls the data.
        sizes: (G,) nodes of each graph.
        source: (E,) the node that an edge comes from, counted over all graphs.
        target: (E,) the node that it goes to.
        x: (N, d) float32, or the same as a matrix of compressed rows.
        labels: (G,) class of each graph, or None.
        classes: names of the graph classes.
        node_labels: (N,) class of each node, −1 = none; or None.
        node_classes: names of the node classes.
        splits: "train", "val" and "test" → ids of the nodes (one graph) or graphs.
        folds: published cross-validation, (train, test) ids of graphs each.
    """

    name: str
    sizes: Ids
    source: Ids
    target: Ids
    x: "NDArray[np.float32] | csr_matrix"
    labels: Ids | None = None
    classes: tuple[str, ...] = ()
    node_labels: Ids | None = None
    node_classes: tuple[str, ...] = ()
    splits: Mapping[str, Ids] = field(default_factory=dict)
    folds: tuple[tuple[Ids, Ids], ...] = ()


@dataclass(frozen=True, eq=False)
class OneGraph:
    """One graph's tensors, as a sample holds them.

    Attributes:
        tensors: as a `GraphBatch` names them, without "graph_ptr".
        x_rows: the node features as a matrix of compressed rows, where they were read as one.
    """

    tensors: Mapping[str, Tensor]
    x_rows: "csr_matrix | None" = None

    def digest(self) -> str:
        """The sha256 of features, edges and targets."""
        digest = hashlib.sha256()
        for name in ("x", "bonds", "targets", f"{EDGES}row", f"{EDGES}column"):
            if name in self.tensors:
                array = self.tensors[name].numpy()
                digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @cached_property
    def row_normalized(self) -> "OneGraph":
        """The same graph with features that sum to 1 in each row (zero rows stay)."""
        from .features import row_normalized

        if self.x_rows is not None:
            rows = row_normalized(self.x_rows)
            return OneGraph({**self.tensors, "x": torch.from_numpy(rows.toarray())}, rows)
        x = self.tensors["x"]
        if not x.dtype.is_floating_point:
            raise DataError("molecules have no features to normalize", "leave out normalize_rows")
        sums = x.sum(1, keepdim=True)
        return OneGraph({**self.tensors, "x": torch.where(sums == 0, x, x / sums)})

    @cached_property
    def sparse(self) -> tuple[Csr, Tensor] | None:
        """Pattern (N, d) and values of the node features, where they were read as sparse."""
        if self.x_rows is None:
            return None
        entries = self.x_rows.tocoo()
        row, column = (torch.from_numpy(a.astype(np.int64)) for a in (entries.row, entries.col))
        # compressed rows are in the order that the pattern has, once their columns are sorted
        return Csr.from_pairs(row, column, self.x_rows.shape), torch.from_numpy(
            entries.data.astype(np.float32)
        )


class GraphSource(Source):
    """Graphs of one table, whose edges are checked and brought to one form.

    Self-loops are taken away and each node gets exactly one; an edge that stands twice counts
    once; edges are sorted by the node they go to.

    Attributes:
        table: what was read.
        n_features: d.
        n_nodes: N.
        n_edges: undirected edges between different nodes.
        n_loops: self-loops that were in the file.
        n_repeats: directed edges that stood there again.
        folds: published cross-validation, where there is one.
    """

    modality = "graph"

    def __init__(self, table: GraphTable, *, one_way: bool = False) -> None:
        """Check the table and sort its edges.

        Args:
            table: what was read.
            one_way: an edge may stand in one direction only, and counts in both.

        Raises:
            DataError: an edge to a node that is not there, features that are not finite, an empty
                graph, or one-way edges in a file of two-way edges.
        """
        from .checking import checked_edges, checked_features

        self.name, self.table, self.folds = table.name, table, table.folds
        self.keys = [f"{number:0{KEY_DIGITS}d}" for number in range(len(table.sizes))]
        self.labels, self.classes = table.labels, table.classes
        checked_features(table)
        edges = checked_edges(table, one_way=one_way)
        self.n_nodes, self.n_features = (int(side) for side in table.x.shape)
        self.n_loops, self.n_repeats = edges.n_loops, edges.n_repeats
        self.n_edges = (len(edges.source) - self.n_nodes) // 2
        self._pattern = Csr.from_pairs(
            torch.from_numpy(edges.target), torch.from_numpy(edges.source), (self.n_nodes,) * 2
        )
        self._node_ptr = np.concatenate([[0], np.cumsum(table.sizes)])
        self._x: Tensor | None = None
        self._read: dict[int, OneGraph] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_x": None, "_read": {}}

    def read(self, index: int) -> Sample:
        """One graph's tensors, views of the whole table's."""
        if index not in self._read:
            self._read[index] = self._cut(index)
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], self._read[index], label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and graphs."""
        own = fingerprint(self)
        nodes = self.table.node_labels
        if nodes is None:
            return own
        digest = hashlib.sha256(own.encode() + nodes.tobytes())
        for name, ids in sorted(self.table.splits.items()):
            digest.update(name.encode() + ids.tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, int]:
        """Sizes, what was mended, node classes and splits, published folds."""
        found = {
            "nodes": self.n_nodes, "edges": self.n_edges, "features": self.n_features,
            "self-loops in the file": self.n_loops, "repeated edges": self.n_repeats,
        }  # fmt: skip
        if self.table.node_labels is not None:
            found["node classes"] = len(self.table.node_classes)
        found |= {f"{name} nodes": len(ids) for name, ids in self.table.splits.items()}
        return found | ({"published folds": len(self.folds)} if self.folds else {})

    def _cut(self, index: int) -> OneGraph:
        first, last = int(self._node_ptr[index]), int(self._node_ptr[index + 1])
        edges = self._pattern
        skipped, end = int(edges.ptr[first]), int(edges.ptr[last])
        part = Csr(
            ptr=edges.ptr[first : last + 1] - skipped,
            column=edges.column[skipped:end] - first,
            row=edges.row[skipped:end] - first,
            column_ptr=edges.column_ptr[first : last + 1] - skipped,
            order=edges.order[skipped:end] - skipped,
            row_by_column=edges.row_by_column[skipped:end] - first,
        )
        x = self.table.x
        dense = isinstance(x, np.ndarray)
        if self._x is None:
            self._x = torch.from_numpy(x if isinstance(x, np.ndarray) else x.toarray())
        return OneGraph(
            {"x": self._x[first:last], **part.tensors(EDGES)}, None if dense else x[first:last]
        )


def class_ids(values: Sequence[object] | Ids) -> tuple[Ids, tuple[str, ...]]:
    """Labels of any kind as class ids, and the classes' names in their order.

    Example:
        >>> ids, names = class_ids([1, -1, 1])
        >>> ids.tolist(), names
        ([1, 0, 1], ('-1', '1'))
    """
    names, ids = np.unique(np.asarray(values), return_inverse=True)
    return ids.reshape(-1).astype(np.int64), tuple(str(name) for name in names.tolist())


def node_task(source: Source) -> tuple[Ids, Mapping[str, Ids]]:
    """The node labels of a source of one graph, and its splits.

    Raises:
        DataError: it has no node labels, no splits, or several graphs.
    """
    table = source.table if isinstance(source, GraphSource) else None
    if table is None or table.node_labels is None:
        raise DataError(
            f"{source.name} has no node labels, and this benchmark needs them",
            "give a Planetoid or OGB folder, or an .npz with 'y', 'train', 'val' and 'test'",
        )
    absent = [name for name in ("train", "val", "test") if not len(table.splits.get(name, ()))]
    if absent or len(table.sizes) != 1:
        what = f"lacks the split {absent[0]!r}" if absent else f"has {len(table.sizes)} graphs"
        raise DataError(
            f"{source.name} {what}, expected one graph with nodes for train, val and test",
            "add the ids of its nodes to the file",
        )
    for name in ("train", "val", "test"):
        bad = np.flatnonzero(table.node_labels[table.splits[name]] < 0)
        if len(bad):
            raise DataError(
                f"{source.name}: node {table.splits[name][bad[0]]} of the split {name!r} has no "
                "label", "label it, or leave it out of the split",
            )  # fmt: skip
    return table.node_labels, table.splits
