"""The softmax of attention scores over the incoming edges of each node, of one head."""

# N nodes, E edges.

from typing import Any

import torch
from torch import Tensor

from .csr import Csr


def edge_softmax(source: Tensor, target: Tensor, edges: Csr, slope: float = 0.2) -> Tensor:
    """α of each edge u → v: softmax over v's incoming edges of LeakyReLU(source_u + target_v).

    (Veličković et al., 2018, eq. 3, the two halves of their vector apart.)

    Args:
        source: (N,) the source's part of a score.
        target: (N,) the target's part.
        edges: rows = targets, columns = sources.
        slope: of the leaky ReLU below zero.

    Returns:
        (E,) in the order of `edges`; each node's add up to 1.

    Example:
        >>> edges = Csr.from_pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), (2, 2))
        >>> edge_softmax(torch.zeros(2), torch.zeros(2), edges)
        tensor([0.5000, 0.5000, 1.0000])
    """
    return _EdgeSoftmax.apply(source, target, edges, slope)


class _EdgeSoftmax(torch.autograd.Function):
    """One function, so that of all the edge-wise steps only α and a sign are kept."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context
        source: Tensor,
        target: Tensor,
        edges: Csr,
        slope: float,
    ) -> Tensor:
        raw = source.index_select(0, edges.column).add_(target.index_select(0, edges.row))
        positive = raw > 0
        scores = torch.where(positive, raw, raw * slope)
        scores -= edges.row_maxima(scores).index_select(0, edges.row)
        weights = scores.exp_()
        weights /= edges.row_sums(weights).index_select(0, edges.row)
        ctx.save_for_backward(weights, positive)
        ctx.edges, ctx.slope = edges, slope
        return weights

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401
        gradient: Tensor,
    ) -> tuple[Tensor, Tensor, None, None]:
        weights, positive = ctx.saved_tensors
        edges: Csr = ctx.edges
        weighted = gradient * weights
        mean = edges.row_sums(weighted).index_select(0, edges.row)
        of_scores = weighted.addcmul_(weights, mean, value=-1)
        of_raw = torch.where(positive, of_scores, of_scores * ctx.slope)
        return edges.column_sums(of_raw), edges.row_sums(of_raw), None, None
