"""Graph isomorphism layers (Xu et al., 2019), as GraphMAE has them."""

# N nodes, D width, K rows that are asked for.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .csr import Csr, product
from .features import NodeTable, as_dense


class GINLayer(nn.Module):
    """(1 + ε) x_v + Σ x_u over incoming edges, then two linear layers with norm and activation.

    Edges hold a self-loop for each node, so the node itself enters twice (official code).

    Args:
        in_dim: width of the input.
        dim: width between the two layers.
        out_dim: width of the output.
        drop: dropout of the input.
        inner_norm: on `dim`; None = none.
        inner_activation: between the two layers.
        norm: of the output; None = none.
        activation: of the output; None = none.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        out_dim: int,
        *,
        drop: float,
        inner_norm: nn.Module | None,
        inner_activation: nn.Module,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.drop = drop
        self.eps: Tensor
        self.register_buffer("eps", torch.zeros(1))
        self.hidden = nn.Linear(in_dim, dim)
        self.hidden_norm, self.hidden_activation = inner_norm, inner_activation
        self.out = nn.Linear(dim, out_dim)
        self.norm, self.activation = norm, activation

    def forward(self, x: NodeTable, edges: Csr, rows: Tensor | None = None) -> Tensor:
        """(N, in) → (N, out), or (K, out) of the nodes `rows`.

        Norms over the batch see all nodes either way.
        """
        x = F.dropout(as_dense(x), self.drop, self.training)
        inner = self.hidden((1 + self.eps) * x + product(edges, x))
        if self.hidden_norm is not None:
            inner = self.hidden_norm(inner)
        if rows is not None and self.norm is None:
            inner, rows = inner.index_select(0, rows), None
        out = self.out(self.hidden_activation(inner))
        if self.norm is not None:
            out = self.norm(out)
        if self.activation is not None:
            out = self.activation(out)
        return out if rows is None else out.index_select(0, rows)
