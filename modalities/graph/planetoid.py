"""Planetoid's raw files (Yang et al., 2016): Cora, CiteSeer, PubMed with their public split.

`ind.NAME.{x,y,tx,ty,allx,ally,graph}` are pickles of Python 2, read without running anything in
them; `ind.NAME.test.index` is text. The split: the 20 nodes per class of `x`, the next 500, and
the 1,000 of the index. Nodes of CiteSeer that no file describes have neither words nor label.
"""

# N nodes, d words, C classes.

from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError
from ...core.pickled_data import read_pickled_data
from .features import row_normalized
from .source import GraphSource, GraphTable, Ids

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
_N_VAL = 500


def planetoid_names(folder: Path) -> list[str]:
    """The data sets that lie in a folder."""
    return sorted(path.name.split(".")[1] for path in folder.glob("ind.*.graph"))


def open_planetoid(folder: Path, name: str) -> GraphSource:
    """One data set of a folder of raw files.

    Raises:
        DataError: a file is absent, damaged or holds code, or they do not fit together.
    """
    parts = {part: _read(folder / f"ind.{name}.{part}", part) for part in PARTS}
    test = parts["test.index"]
    n_known, n_test = parts["allx"].shape[0], parts["tx"].shape[0]
    _check(parts, folder, name)
    # test nodes lie in the order of the index; some ids between them may not be there (CiteSeer)
    n = max(n_known + n_test, int(test.max()) + 1)
    x = _stacked(parts["allx"], parts["tx"], test, n)
    labels = np.full(n, -1, dtype=np.int64)
    labels[:n_known] = parts["ally"].argmax(axis=1)
    labels[:n_known][parts["ally"].sum(axis=1) == 0] = -1
    labels[test] = parts["ty"].argmax(axis=1)
    n_train = parts["x"].shape[0]
    source, target = _edges(parts["graph"], folder / f"ind.{name}.graph")
    table = GraphTable(
        name=str(folder / name), sizes=np.array([n], dtype=np.int64), source=source, target=target,
        x=row_normalized(x), node_labels=labels,
        node_classes=tuple(str(c) for c in range(parts["ally"].shape[1])),
        splits={
            "train": np.arange(n_train), "val": np.arange(n_train, n_train + _N_VAL),
            "test": np.sort(test),
        },
    )  # fmt: skip
    return GraphSource(table)


def _read(path: Path, part: str) -> Any:  # noqa: ANN401 - as the part is
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}", f"a set has the parts {', '.join(PARTS)}"
        ) from error
    if part != "test.index":
        return read_pickled_data(data, str(path))
    try:
        index = np.array([int(line) for line in data.split()], dtype=np.int64)
    except ValueError as error:
        raise DataError(f"{path} is no list of node ids: {error}", "fetch it again") from error
    if not len(index) or index.min() < 0 or index.max() > 10 * len(index) + (1 << 24):
        raise DataError(f"{path} holds no ids of nodes", "fetch it again")
    return index


def _check(parts: dict[str, Any], folder: Path, name: str) -> None:
    from scipy.sparse import issparse

    sparse = all(issparse(parts[part]) for part in ("x", "tx", "allx"))
    dense = all(isinstance(parts[p], np.ndarray) and parts[p].ndim == 2 for p in ("ty", "ally"))
    graph = isinstance(parts["graph"], dict)
    fits = (
        sparse and dense and graph
        and parts["allx"].shape[0] == parts["ally"].shape[0] >= parts["x"].shape[0] + _N_VAL
        and parts["tx"].shape[0] == parts["ty"].shape[0] == len(parts["test.index"])
        and parts["tx"].shape[1] == parts["allx"].shape[1]
        and parts["ty"].shape[1] == parts["ally"].shape[1] > 0
        and parts["test.index"].min() >= parts["allx"].shape[0]
    )  # fmt: skip
    if not fits:
        raise DataError(
            f"the files of {name!r} in {folder} do not fit together",
            "fetch all of them from one place again",
        )


def _stacked(known: Any, test_rows: Any, test: Ids, n: int) -> Any:  # noqa: ANN401 - csr_matrix
    from scipy.sparse import csr_matrix, vstack

    entries = test_rows.tocoo()
    placed = csr_matrix(
        (entries.data, (test[entries.row] - known.shape[0], entries.col)),
        shape=(n - known.shape[0], known.shape[1]),
    )
    return vstack([known, placed]).astype(np.float32).tocsr()


def _edges(graph: dict[Any, Any], path: Path) -> tuple[Ids, Ids]:
    try:
        sizes = [len(found) for found in graph.values()]
        source = np.repeat(np.array(list(graph), dtype=np.int64), sizes)
        target = np.array([other for found in graph.values() for other in found], dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} is no dictionary of neighbour lists: {error}", "fetch it again"
        ) from error
    return source, target
