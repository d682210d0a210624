"""TU folders (Morris et al., 2020): NAME_A.txt, NAME_graph_indicator.txt and what goes along."""

# G graphs, N nodes of all of them, E edges.

from pathlib import Path

import numpy as np

from ...core.errors import DataError
from .features import one_hot, one_hot_degrees
from .source import GraphSource, GraphTable, Ids, class_ids
from .text_tables import read_ids


def tu_name(folder: Path) -> str | None:
    """The name of the data set in a folder, or None where it is no TU folder."""
    found = sorted(path.name.removesuffix("_A.txt") for path in folder.glob("*_A.txt"))
    return found[0] if len(found) == 1 else None


def open_tu(folder: Path, name: str, *, one_way: bool = False) -> GraphSource:
    """The graphs of a TU folder; nodes have their label one-hot, or else their in-degree.

    Node attributes are not read: the published results are on labels or degrees.

    Args:
        folder: where the files are.
        name: that they begin with.
        one_way: an edge may be listed in one direction only.

    Raises:
        DataError: a file is absent or damaged, or they do not fit together.
    """
    pairs = read_ids(folder / f"{name}_A.txt", columns=2) - 1
    graph = read_ids(folder / f"{name}_graph_indicator.txt")
    n, sizes = len(graph), _sizes(graph, folder / f"{name}_graph_indicator.txt")
    source, target = pairs[:, 0], pairs[:, 1]
    labels_file, nodes_file = (folder / f"{name}_{what}_labels.txt" for what in ("graph", "node"))
    labels: Ids | None = None
    classes: tuple[str, ...] = ()
    if labels_file.is_file():
        labels, classes = class_ids(_as_long(read_ids(labels_file), len(sizes), labels_file))
    if nodes_file.is_file():
        x = one_hot(_node_labels(nodes_file, n))
    else:
        inside = (target >= 0) & (target < n)  # the others are refused with the edges
        x = one_hot_degrees(target[inside], n)
    table = GraphTable(str(folder), sizes, source, target, x, labels=labels, classes=classes)
    return GraphSource(table, one_way=one_way)


def _sizes(graph: Ids, path: Path) -> Ids:
    """Nodes of each graph; nodes must stand graph by graph, counted from 1."""
    if not len(graph):
        raise DataError(f"{path} names no node", "fetch it again")
    steps = np.diff(graph)
    if graph[0] != 1 or ((steps != 0) & (steps != 1)).any():
        line = 1 if graph[0] != 1 else int(np.argmax((steps != 0) & (steps != 1))) + 2
        raise DataError(
            f"{path}, line {line}: graph {graph[line - 1]}",
            "expected graphs 1, 2, 3, … one after the other, none without nodes",
        )
    return np.bincount(graph - 1).astype(np.int64)


def _node_labels(path: Path, n: int) -> Ids:
    labels = _as_long(read_ids(path), n, path)
    if labels.min() < 0 or labels.max() > 1 << 16:
        raise DataError(
            f"{path}: node labels from {labels.min()} to {labels.max()}",
            "expected whole numbers from 0 to 65536",
        )
    return labels


def _as_long(values: Ids, n: int, path: Path) -> Ids:
    if len(values) != n:
        raise DataError(f"{path}: {len(values)} lines, expected {n}", "write one line for each")
    return values
