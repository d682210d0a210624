"""Graphs in `.npz` files of plain arrays; nothing in them is run.

`edges` (E, 2), undirected, each pair once or twice, and node features `x` (N, d) or, sparse,
`x_data`, `x_indices`, `x_indptr`, `x_shape`. One graph: `y` (N,) node classes, −1 = none, and the
node ids `train`, `val`, `test`. Several: `sizes` (G,), the nodes of each, and `labels` (G,).
"""

# G graphs, N nodes of all of them, E edges, d features.

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..npz import member_names, open_zip, read_member
from .source import GraphSource, GraphTable, Ids, class_ids

_SPARSE = ("x_data", "x_indices", "x_indptr", "x_shape")


def is_graph_npz(path: Path) -> bool:
    """Whether an .npz file holds edges."""
    try:
        with open_zip(path) as archive:
            return "edges" in member_names(archive)
    except DataError:
        return False


def open_npz(path: Path) -> GraphSource:
    """The graphs of a file.

    Raises:
        DataError: an array is absent, damaged, or does not fit the others.
    """
    with open_zip(path) as archive:
        arrays = _Arrays(path, archive)
        x = _sparse(arrays) if "x_data" in arrays.names else arrays.floats("x")
        edges = arrays.ids("edges").reshape(-1, 2)
        n = x.shape[0]
        sizes = arrays.ids("sizes") if "sizes" in arrays.names else np.array([n], dtype=np.int64)
        labels = classes = node_labels = None
        if "labels" in arrays.names:
            labels, classes = class_ids(arrays.ids("labels", len(sizes)))
        if "y" in arrays.names:
            node_labels = arrays.ids("y", n)
        names: tuple[str, ...] = ("train", "val", "test")
        splits = {s: arrays.ids(s) for s in names if s in arrays.names}
    wrong = next(
        (s for s, ids in splits.items() if len(ids) and not 0 <= ids.min() <= ids.max() < n), None
    )
    if wrong is not None:
        raise DataError(f"{path}: {wrong!r} names a node that is not there", "mend the split")
    if sizes.sum() != n:
        raise DataError(f"{path}: 'sizes' add up to {sizes.sum()}, 'x' has {n} nodes", "mend them")
    n_classes = 0 if node_labels is None else int(node_labels.max()) + 1
    table = GraphTable(
        str(path), sizes, edges[:, 0], edges[:, 1], x, labels=labels, classes=classes or (),
        node_labels=node_labels, node_classes=tuple(str(c) for c in range(n_classes)),
        splits=splits,
    )  # fmt: skip
    return GraphSource(table, one_way=True)


class _Arrays:
    """The arrays of one file."""

    def __init__(self, path: Path, archive: ZipFile) -> None:
        self.path, self._archive, self.names = path, archive, member_names(archive)

    def ids(self, name: str, n: int | None = None) -> Ids:
        """An array of whole numbers, of length `n` where it is given."""
        array = self._read(name)
        if not np.issubdtype(array.dtype, np.integer) or (n is not None and array.size != n):
            raise DataError(
                f"{self.path}: the array {name!r} has {array.size} values of {array.dtype}",
                f"expected {'' if n is None else f'{n} '}whole numbers",
            )
        return (array.reshape(-1) if array.ndim != 2 else array).astype(np.int64)

    def floats(self, name: str) -> NDArray[np.float32]:
        """A table of numbers, one row a node."""
        array = self._read(name)
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
            raise DataError(
                f"{self.path}: the array {name!r} has the shape {array.shape} of {array.dtype}",
                "expected a row of numbers for each node",
            )
        return array.astype(np.float32)

    def _read(self, name: str) -> NDArray[Any]:
        if name not in self.names:
            raise DataError(
                f"{self.path} lacks the array {name!r}, it holds {', '.join(sorted(self.names))}",
                "expected 'x' (or x_data, x_indices, x_indptr, x_shape) and 'edges'",
            )
        return read_member(self.path, self._archive, name)


def _sparse(arrays: _Arrays) -> Any:  # noqa: ANN401 - csr_matrix
    from scipy.sparse import csr_matrix

    data = arrays._read("x_data").reshape(-1)
    columns, starts, shape = (arrays.ids(name) for name in _SPARSE[1:])
    n_rows, n_columns = (int(side) for side in shape) if len(shape) == 2 else (0, 0)
    fits = (
        len(starts) == n_rows + 1 and len(columns) == len(data)
        and starts[0] == 0 and starts[-1] == len(data) and (np.diff(starts) >= 0).all()
        and (not len(columns) or 0 <= columns.min() <= columns.max() < n_columns)
    )  # fmt: skip
    if not fits:
        raise DataError(
            f"{arrays.path}: the arrays {', '.join(_SPARSE)} are no matrix of compressed rows",
            "write them as scipy.sparse keeps data, indices, indptr and shape",
        )
    return csr_matrix((data.astype(np.float32), columns, starts), shape=(n_rows, n_columns))
