"""Node features as the first layer reads them: a dense table, or sparse rows with some replaced.

A bag of words has one entry in a hundred. Multiplying its rows by a weight costs little by their
entries; only the rows that hold something else (a mask token) have to be dense.
"""

# N nodes, E entries, K replaced rows, d features, D width.

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from .csr import Csr, product


@dataclass(frozen=True)
class SparseRows:
    """An (N, d) table, most rows by their entries.

    Attributes:
        pattern: (N, d).
        values: (E,) of its entries; 0 in the rows that are replaced.
        ids: (K,) the rows that are replaced, or None.
        dense: (K, d) what stands there.
    """

    pattern: Csr
    values: Tensor
    ids: Tensor | None = None
    dense: Tensor | None = None


NodeTable: TypeAlias = Tensor | SparseRows


def replaced_rows(x: NodeTable, ids: Tensor, dense: Tensor) -> NodeTable:
    """The table with the rows `ids` (K,) replaced by `dense` (K, d)."""
    if isinstance(x, Tensor):
        return x.index_copy(0, ids, dense)
    stays = torch.ones(x.pattern.shape[0], device=ids.device).index_fill_(0, ids, 0.0)
    values = x.values * stays.index_select(0, x.pattern.row)
    return replace(x, values=values, ids=ids, dense=dense)


def dropped(x: NodeTable, rate: float, training: bool) -> NodeTable:  # noqa: FBT001
    """Dropout of the values; a zero that is not stored stays zero either way."""
    if isinstance(x, Tensor):
        return F.dropout(x, rate, training)
    dense = None if x.dense is None else F.dropout(x.dense, rate, training)
    return replace(x, values=F.dropout(x.values, rate, training), dense=dense)


def as_dense(x: NodeTable) -> Tensor:
    """The whole (N, d) table."""
    if isinstance(x, Tensor):
        return x
    table = x.values.new_zeros(x.pattern.shape)
    table = table.index_put((x.pattern.row, x.pattern.column), x.values, accumulate=True)
    return table if x.ids is None or x.dense is None else table.index_add(0, x.ids, x.dense)


def projected(x: NodeTable, weights: Sequence[Tensor]) -> list[Tensor]:
    """The table times several weights (D, d), as linear layers without bias: (N, D) each."""
    if isinstance(x, Tensor):
        return [F.linear(x, weight) for weight in weights]
    weight = torch.cat(list(weights))
    out = product(x.pattern, weight.T.contiguous(), x.values)
    if x.ids is not None and x.dense is not None:
        out = out.index_add(0, x.ids, F.linear(x.dense, weight))
    return list(out.split([len(part) for part in weights], dim=1))
