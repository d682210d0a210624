"""Graph attention (Veličković et al., 2018), as GraphMAE has it, without edges × width tensors."""

# N nodes, E edges, H heads, C width of a head, K rows that are asked for.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import edge_softmax
from .csr import Csr, product
from .features import NodeTable, as_dense, dropped, projected

_GAIN = 2.0**0.5


class GATLayer(nn.Module):
    """Attention over incoming edges, heads side by side, then shortcut, norm, activation.

    Args:
        in_dim: width of the input.
        head_dim: C.
        heads: H.
        feat_drop: dropout of the input, which the shortcut sees too.
        attn_drop: dropout of the attention weights.
        slope: of the scores' leaky ReLU.
        shortcut: add the input, through a linear layer where the widths differ.
        norm: after the shortcut, on H · C; None = none.
        activation: last; None = none.
    """

    def __init__(
        self,
        in_dim: int,
        head_dim: int,
        heads: int,
        *,
        feat_drop: float = 0.0,
        attn_drop: float = 0.0,
        slope: float = 0.2,
        shortcut: bool = False,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.feat_drop, self.attn_drop, self.slope = feat_drop, attn_drop, slope
        self.project = nn.Linear(in_dim, heads * head_dim, bias=False)
        self.attend_source = nn.Parameter(torch.empty(1, heads, head_dim))
        self.attend_target = nn.Parameter(torch.empty(1, heads, head_dim))
        self.bias = nn.Parameter(torch.zeros(heads * head_dim))
        self.adds_input = shortcut
        widens = shortcut and in_dim != heads * head_dim
        self.shortcut = nn.Linear(in_dim, heads * head_dim, bias=False) if widens else None
        self.norm, self.activation = norm, activation
        for weight in (self.project.weight, self.attend_source, self.attend_target):
            nn.init.xavier_normal_(weight, gain=_GAIN)
        if self.shortcut is not None:
            nn.init.xavier_normal_(self.shortcut.weight, gain=_GAIN)

    def forward(self, x: NodeTable, edges: Csr, rows: Tensor | None = None) -> Tensor:
        """The new vectors of all nodes, or of the nodes `rows` (K,) only.

        Args:
            x: (N, in).
            edges: (N, N), rows = targets.
            rows: whose vectors are asked for.

        Returns:
            (N, H · C) or (K, H · C).
        """
        x = dropped(x, self.feat_drop, self.training)
        # both orders give the same sums: the narrower table is the one that travels over the edges
        if isinstance(x, Tensor) and x.shape[1] < self.head_dim and self.shortcut is None:
            out = self._gather_first(x, edges, rows)
        else:
            out = self._project_first(x, edges, rows)
        out = out + self.bias
        if self.adds_input and self.shortcut is None:
            out = out + _rows(as_dense(x), rows)
        if self.norm is not None:
            out = self.norm(out)
        return out if self.activation is None else self.activation(out)

    def _project_first(self, x: NodeTable, edges: Csr, rows: Tensor | None) -> Tensor:
        weights = [self.project.weight]
        if self.shortcut is not None:
            weights.append(self.shortcut.weight)
        projection, *added = projected(x, weights)
        heads = projection.unflatten(1, (self.heads, self.head_dim)).transpose(0, 1).contiguous()
        sources, targets = self.attend_source[0], self.attend_target[0]
        found = []
        for number, z in enumerate(heads.unbind()):
            weight = self._weights(z @ sources[number], z @ targets[number], edges)
            found.append(product(edges, z, weight))
        out = torch.stack(found, dim=1).flatten(1)
        return _rows(out + added[0] if added else out, rows)

    def _gather_first(self, x: Tensor, edges: Csr, rows: Tensor | None) -> Tensor:
        found = []
        for number, weight in enumerate(self.project.weight.split(self.head_dim)):
            scores = x @ torch.stack(
                [
                    self.attend_source[0, number] @ weight,
                    self.attend_target[0, number] @ weight,
                ],
                dim=1,
            )
            source, target = scores.T.contiguous()
            gathered = product(edges, x, self._weights(source, target, edges))
            found.append(F.linear(_rows(gathered, rows), weight))
        return torch.cat(found, dim=1)

    def _weights(self, source: Tensor, target: Tensor, edges: Csr) -> Tensor:
        """(E,) attention of one head, dropped out in training."""
        weights = edge_softmax(source.float(), target.float(), edges, self.slope)
        return F.dropout(weights, self.attn_drop, self.training)


def _rows(values: Tensor, rows: Tensor | None) -> Tensor:
    return values if rows is None else values.index_select(0, rows)
