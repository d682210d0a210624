"""Tokens of groups: a small PointNet (Qi et al., 2017) of each, shared by all."""

# B clouds, G groups, k neighbours, C channels in, D out.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .row_norm import RowNorm


class GroupEmbedding(nn.Module):
    """Linear, BN, ReLU, Linear; max over the group beside each; Linear, BN, ReLU, Linear; max.

    Args:
        channels: C, of a neighbour: 3 coordinates, or the width of the tokens below.
        hidden: of the first layer.
        middle: of what the first maximum is taken of.
        dim: D.

    Example:
        >>> GroupEmbedding(3, 8, 16, 32).eval()(torch.zeros(2, 5, 4, 3)).shape
        torch.Size([2, 5, 32])
    """

    def __init__(self, channels: int, hidden: int, middle: int, dim: int) -> None:
        super().__init__()
        joined = 2 * middle
        self.first1 = nn.Linear(channels, hidden)
        self.first_norm = RowNorm(hidden)
        self.first2 = nn.Linear(hidden, middle)
        inner = joined if channels == 3 else dim  # as published for each of the two
        self.second1 = nn.Linear(joined, inner)
        self.second_norm = RowNorm(inner)
        self.second2 = nn.Linear(inner, dim)

    def forward(self, groups: Tensor) -> Tensor:
        """(B, G, D) of (B, G, k, C)."""
        shape, size = groups.shape[:2], groups.shape[2]
        x = self.first_norm(self.first1(groups.flatten(0, 2))).relu()
        x = self.first2(x).unflatten(0, (-1, size))
        # the layer on [max, each] is the sum of one on the maximum, once a group, and one on each
        middle = x.shape[-1]
        weight = self.second1.weight
        whole = F.linear(x.amax(1), weight[:, :middle])
        x = F.linear(x, weight[:, middle:], self.second1.bias) + whole[:, None]
        x = self.second_norm(x.flatten(0, 1)).relu()
        return self.second2(x).unflatten(0, (-1, size)).amax(1).unflatten(0, shape)


class PositionMLP(nn.Sequential):
    """Coordinates (…, 3) to tokens (…, D): Linear, GELU, Linear."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.Linear(3, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, centres: Tensor) -> Tensor:
        """(…, D) of (…, 3)."""
        return torch.nn.Sequential.forward(self, centres)
