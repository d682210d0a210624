"""The standard way of a GraphMAE step, restated plainly: what speed and scores are compared with.

Messages are a gather of a row per edge, a softmax by scatter, and an index-add; the whole graph is
encoded, projected and decoded, whichever rows the loss asks for, and features are a dense table.
`PlainGAT` reads the very weights of our model, so that both give equal losses. `PlainGIN` stands by
itself: weights, masks and dropout are all drawn by torch's own generator, in the order of the
official code.
"""

# N nodes, E edges, H heads, C width of a head, M hidden nodes.

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masquerade.core.graphs.gat import GATLayer
from masquerade.methods.graph.graphmae import GraphMAE


def plain_attention(layer: GATLayer, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """A layer's new vectors (N, H · C), by an edge list (E,), (E,)."""
    n = len(x)
    x = F.dropout(x, layer.feat_drop, layer.training)
    z = layer.project(x).unflatten(1, (layer.heads, layer.head_dim))
    left, right = ((z * a).sum(-1) for a in (layer.attend_source, layer.attend_target))
    score = F.leaky_relu(left[source] + right[target], layer.slope)  # (E, H)
    where = target[:, None].expand_as(score)
    highest = score.new_full((n, layer.heads), -torch.inf)
    highest = highest.scatter_reduce(0, where, score.detach(), "amax")
    weight = (score - highest[target]).exp()
    weight = weight / weight.new_zeros(n, layer.heads).index_add(0, target, weight)[target]
    weight = F.dropout(weight, layer.attn_drop, layer.training)
    message = z[source] * weight[:, :, None]  # (E, H, C)
    out = torch.zeros_like(z).index_add(0, target, message).flatten(1) + layer.bias
    return out if layer.activation is None else layer.activation(out)


class PlainGAT(nn.Module):
    """The standard GraphMAE of GAT layers without norm and shortcut, over the weights of ours."""

    def __init__(self, ours: GraphMAE) -> None:
        super().__init__()
        self.ours = copy.deepcopy(ours)

    def forward(
        self, x: Tensor, source: Tensor, target: Tensor, hidden: Tensor, gamma: int
    ) -> Tensor:
        """The loss of hidden nodes (M,), all of which hold the token."""
        ours = self.ours
        seen = x.clone()
        seen[hidden] = 0.0
        seen[hidden] += ours.mask_token
        for layer in ours.encoder.gat:
            seen = plain_attention(layer, seen, source, target)
        codes = ours.encoder_to_decoder(seen)
        codes[hidden] = 0.0
        rebuilt = plain_attention(ours.decoder, codes, source, target)
        return scaled_cosine(rebuilt[hidden], x[hidden], gamma)

    def dense_products(self, n: int) -> list[tuple[nn.Linear, Tensor]]:
        """The linear maps of a step, each with an input of its size that wants a gradient."""
        ours = self.ours
        maps = [
            *(layer.project for layer in ours.encoder.gat),
            ours.encoder_to_decoder,
            ours.decoder.project,
        ]
        return [(each, torch.randn(n, each.in_features, requires_grad=True)) for each in maps]


def scaled_cosine(prediction: Tensor, wanted: Tensor, gamma: int) -> Tensor:
    cosine = (F.normalize(prediction, dim=-1) * F.normalize(wanted, dim=-1)).sum(-1)
    return (1 - cosine).pow(gamma).mean()


class _Perceptron(nn.Module):
    def __init__(self, in_dim: int, dim: int, out_dim: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(in_dim, dim), nn.Linear(dim, out_dim)
        self.norm, self.activation = nn.BatchNorm1d(dim), nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.norm(self.first(x))))


class _Convolution(nn.Module):
    def __init__(self, in_dim: int, dim: int, out_dim: int, *, last: bool) -> None:
        super().__init__()
        self.inner = _Perceptron(in_dim, dim, out_dim)
        self.after = nn.Identity() if last else nn.Sequential(nn.BatchNorm1d(out_dim), nn.PReLU())

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        x = F.dropout(x, 0.2, self.training)
        return self.after(self.inner(x + table @ x))


class PlainGIN(nn.Module):
    """GraphMAE of GIN layers over dense tables of edges, as its recipe for MUTAG has it.

    Args:
        in_dim: node features.
        dim: width of the codes.
        depth: layers.
    """

    def __init__(self, in_dim: int, dim: int = 32, depth: int = 5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Convolution(dim if number else in_dim, dim, dim, last=False) for number in range(depth)
        )
        self.decoder = _Convolution(dim, dim, in_dim, last=True)
        self.token = nn.Parameter(torch.zeros(1, in_dim))
        self.to_decoder = nn.Linear(dim, dim, bias=False)

    def encode(self, x: Tensor, table: Tensor) -> Tensor:
        """(N, dim) codes of nodes with features x and edges `table` (N, N), self-loops in it."""
        for layer in self.layers:
            x = layer(x, table)
        return x

    def forward(self, x: Tensor, table: Tensor, *, rate: float, replace: float) -> Tensor:
        """The loss of int(rate · N) nodes."""
        n = len(x)
        hidden = torch.randperm(n)[: int(rate * n)]
        order = hidden[torch.randperm(len(hidden))]
        token = order[: int((1 - replace) * len(hidden))]
        n_noise = int(replace * len(hidden))
        seen = x.clone()
        seen[token] = self.token
        seen[order[len(order) - n_noise :]] = x[torch.randperm(n)[:n_noise]]
        codes = self.to_decoder(self.encode(seen, table))
        codes[hidden] = 0.0
        return scaled_cosine(self.decoder(codes, table)[hidden], x[hidden], gamma=2)
