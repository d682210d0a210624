"""Node features as GraphMAE's data sets prepare them."""

# N nodes, d features.

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAX_DEGREE = 400  # of the one-hot degrees; larger ones count as this


def row_normalized(x: "csr_matrix") -> "csr_matrix":
    """A bag of words with rows that sum to 1; a row without words stays zero (Planetoid)."""
    from scipy.sparse import diags

    sums = np.asarray(x.sum(axis=1), dtype=np.float64).reshape(-1)
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums != 0)
    return (diags(scale) @ x).astype(np.float32).tocsr()


def standardized(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns of mean 0 and deviation 1 over all nodes (OGB, Reddit); constant ones become 0."""
    wide = x.astype(np.float64)
    deviation = wide.std(axis=0)
    scale = np.where(deviation == 0, 1.0, deviation)
    return ((wide - wide.mean(axis=0)) / scale).astype(np.float32)


def one_hot(values: NDArray[np.int64], width: int | None = None) -> NDArray[np.float32]:
    """(N,) whole numbers from 0 as (N, largest + 1) rows, or as many columns as `width` says."""
    width = int(values.max()) + 1 if width is None else width
    table = np.zeros((len(values), width), dtype=np.float32)
    table[np.arange(len(values)), values] = 1.0
    return table


def one_hot_degrees(target: NDArray[np.int64], n_nodes: int) -> NDArray[np.float32]:
    """In-degrees, those above 400 taken as 400, as one-hot rows of min(largest, 400) + 1.

    Args:
        target: (E,) where the edges go to, before self-loops are touched.
        n_nodes: N.
    """
    return one_hot(np.minimum(np.bincount(target, minlength=n_nodes), MAX_DEGREE))
