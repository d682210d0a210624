"""Graph convolution layers (Kipf and Welling, 2017), as GraphMAE has them."""

# N nodes, K rows that are asked for.

from torch import Tensor, nn

from .csr import Csr, product
from .features import NodeTable, as_dense, dropped


class GCNLayer(nn.Module):
    """x · out-degree^-½, summed over incoming edges, linear, · in-degree^-½, shortcut, norm.

    The bias is scaled by the degree as well (official code).

    Args:
        in_dim: width of the input.
        out_dim: width of the output.
        drop: dropout of the input.
        shortcut: add the input, through a linear layer where the widths differ.
        norm: after the shortcut; None = none.
        activation: last; None = none.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        drop: float,
        shortcut: bool = False,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.drop = drop
        self.linear = nn.Linear(in_dim, out_dim)
        self.adds_input = shortcut
        widens = shortcut and in_dim != out_dim
        self.shortcut = nn.Linear(in_dim, out_dim, bias=False) if widens else None
        self.norm, self.activation = norm, activation

    def forward(self, x: NodeTable, edges: Csr, rows: Tensor | None = None) -> Tensor:
        """(N, in) → (N, out), or (K, out) of the nodes `rows`."""
        x = as_dense(dropped(x, self.drop, self.training))
        weight = self.linear.weight
        scaled = x * edges.column_counts().to(x.dtype).rsqrt()[:, None]
        # the narrower table travels over the edges; the sums are the same
        if weight.shape[0] < weight.shape[1]:
            out = product(edges, scaled @ weight.T)
        else:
            out = product(edges, scaled) @ weight.T
        out = (out + self.linear.bias) * edges.row_counts().to(x.dtype).rsqrt()[:, None]
        if self.adds_input:
            out = out + (x if self.shortcut is None else self.shortcut(x))
        if self.norm is not None:
            out = self.norm(out)
        if self.activation is not None:
            out = self.activation(out)
        return out if rows is None else out.index_select(0, rows)
