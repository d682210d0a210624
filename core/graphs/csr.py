"""Sparse patterns and their products with dense tables, without one row per entry.

A gather and an index-add over an edge list write entries × width numbers twice. Here a product
reads the table once per entry and writes only its result (`embedding_bag` over compressed rows,
forward and, with the transposed pattern, backward), and the gradient of the entries' values is a
sampled product. Both ways are sums in a fixed order: equal input, equal bits.
"""

# R rows, C columns, E entries, D width.

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Csr:
    """The pattern of an R × C sparse matrix by rows, and the same entries by columns.

    Of a graph, rows are the nodes that edges point to and columns those that they come from.

    Attributes:
        ptr: (R + 1,) int64: row r has the entries ptr[r] … ptr[r + 1] − 1.
        column: (E,) int64, of each entry.
        row: (E,) int64, rising.
        column_ptr: (C + 1,) int64, as `ptr` for the entries in the order of their columns.
        order: (E,) int64, the entries in the order of their columns.
        row_by_column: (E,) int64, `row[order]`.

    Example:
        >>> pattern = Csr.from_pairs(torch.tensor([1, 0, 1]), torch.tensor([0, 2, 2]), (2, 3))
        >>> pattern.ptr, pattern.column
        (tensor([0, 1, 3]), tensor([2, 0, 2]))
        >>> product(pattern, torch.tensor([[1.0], [10.0], [100.0]])).flatten()
        tensor([100., 101.])
    """

    ptr: Tensor
    column: Tensor
    row: Tensor
    column_ptr: Tensor
    order: Tensor
    row_by_column: Tensor

    @classmethod
    def from_pairs(cls, row: Tensor, column: Tensor, shape: tuple[int, int]) -> "Csr":
        """The pattern of (E,) rows and columns in any order; equal pairs stay apart."""
        by_row = torch.argsort(row * shape[1] + column, stable=True)
        row, column = row[by_row], column[by_row]
        order = torch.argsort(column, stable=True)
        return cls(
            _pointers(row, shape[0]), column, row,
            _pointers(column, shape[1]), order, row[order],
        )  # fmt: skip

    @classmethod
    def named(cls, tensors: Mapping[str, Tensor], prefix: str) -> "Csr":
        """The pattern among named tensors, as `tensors` names them."""
        return cls(**{field.name: tensors[f"{prefix}{field.name}"] for field in fields(cls)})

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The pattern as named tensors, which travel in a batch."""
        return {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self)}

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return len(self.ptr) - 1, len(self.column_ptr) - 1

    def __len__(self) -> int:
        return len(self.column)

    def row_sums(self, values: Tensor) -> Tensor:
        """(E,) values summed over each row: (R,)."""
        return torch.segment_reduce(values, "sum", offsets=self.ptr, axis=0, unsafe=True)

    def column_sums(self, values: Tensor) -> Tensor:
        """(E,) values summed over each column: (C,)."""
        sorted_values = values.index_select(0, self.order)
        return torch.segment_reduce(
            sorted_values, "sum", offsets=self.column_ptr, axis=0, unsafe=True
        )

    def row_maxima(self, values: Tensor) -> Tensor:
        """The largest of (E,) values in each row: (R,); −∞ for a row without entries."""
        return torch.segment_reduce(values, "max", offsets=self.ptr, axis=0, unsafe=True)

    def row_counts(self) -> Tensor:
        """(R,) int64, the entries of each row: of a graph, the in-degrees."""
        return self.ptr.diff()

    def column_counts(self) -> Tensor:
        """(C,) int64, the entries of each column: of a graph, the out-degrees."""
        return self.column_ptr.diff()


def _pointers(sorted_ids: Tensor, n: int) -> Tensor:
    pointers = torch.zeros(n + 1, dtype=torch.int64, device=sorted_ids.device)
    torch.cumsum(torch.bincount(sorted_ids, minlength=n), 0, out=pointers[1:])
    return pointers


def product(pattern: Csr, dense: Tensor, values: Tensor | None = None) -> Tensor:
    """The sparse matrix times a dense table, differentiable by both.

    Args:
        pattern: where the entries are.
        dense: (C, D).
        values: (E,) of the entries; None = all 1.

    Returns:
        (R, D), float32 (float64 of float64).
    """
    return _Product.apply(_wide(dense), None if values is None else _wide(values), pattern)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dense: Tensor, values: Tensor | None, pattern: Csr) -> Tensor:  # noqa: ANN401
        ctx.pattern = pattern
        ctx.save_for_backward(dense if ctx.needs_input_grad[1] else None, values)
        return _summed(dense, pattern.column, pattern.ptr, values)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401 - torch's context
        gradient: Tensor,
    ) -> tuple[Tensor | None, Tensor | None, None]:
        dense, values = ctx.saved_tensors
        pattern: Csr = ctx.pattern
        gradient = gradient.contiguous()
        of_dense = of_values = None
        if ctx.needs_input_grad[0]:
            turned = None if values is None else values.index_select(0, pattern.order)
            of_dense = _summed(gradient, pattern.row_by_column, pattern.column_ptr, turned)
        if ctx.needs_input_grad[1]:
            of_values = _sampled(pattern, gradient, dense)
        return of_dense, of_values, None


def _summed(dense: Tensor, ids: Tensor, ptr: Tensor, values: Tensor | None) -> Tensor:
    """Row r: Σ values[e] · dense[ids[e]] over its entries e; zero for a row without any."""
    return F.embedding_bag(
        ids, dense, ptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def _sampled(pattern: Csr, left: Tensor, right: Tensor) -> Tensor:
    """(E,) the products left[row] · right[column] of (R, D) and (C, D) at the entries."""
    if len(pattern) > pattern.shape[0] * pattern.shape[1]:
        # torch has no room for more entries than places (a tiny graph with edges twice)
        return (left.index_select(0, pattern.row) * right.index_select(0, pattern.column)).sum(1)
    _silence_beta()
    at = torch.sparse_csr_tensor(
        pattern.ptr, pattern.column, left.new_zeros(len(pattern)), pattern.shape,
        check_invariants=False,
    )  # fmt: skip
    return torch.sparse.sampled_addmm(at, left, right.contiguous().T, beta=0.0).values()


@cache
def _silence_beta() -> None:
    """Torch says once that compressed tensors are young; nobody can act on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(
            torch.tensor([0, 0]), torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1),
            check_invariants=False,
        )  # fmt: skip
