"""Masking of graph nodes: which are hidden, and what is written in their place (GraphMAE, §3).

Masks of a disjoint union have one row: its nodes are the tokens.
"""

# B graphs, N nodes of all of them, M hidden, T with a token, K with another node's features.

from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..config import Config
from ..draws import Draws
from .mask import Mask


@dataclass(frozen=True)
class Corruption:
    """What the encoder sees in the place of hidden nodes; the others keep their features.

    Attributes:
        token: (T,) int64 nodes that hold the mask token.
        noise: (K,) int64 nodes that hold the features of another node …
        source: (K,) int64 … and of which.
    """

    token: Tensor
    noise: Tensor
    source: Tensor


class NodeMasker(Config):
    """Hide int(rate · N) nodes of the whole union; a rate of 0 hides none and predicts all.

    Of the M hidden ones the first int((1 − replace) · M) hold the token and the last
    int(replace · M) another node's features. Both are rounded down, so that one hidden node may
    keep its own (official code); with replace = 0 all hold the token.

    Example:
        >>> masker = NodeMasker(rate=0.5, replace=0.2)
        >>> mask, corruption = masker.from_noise(torch.arange(22), torch.arange(22))
        >>> mask.hidden.shape, corruption.token, corruption.noise, corruption.source
        (torch.Size([1, 11]), tensor([0, 1, 2, 3, 4, 5, 6, 7]), tensor([9, 10]), tensor([0, 1]))
    """

    kind: Literal["node"] = "node"
    rate: float = Field(default=0.5, ge=0, lt=1)
    replace: float = Field(default=0.0, ge=0, lt=1)

    def draw(self, graph_ptr: Tensor, draws: Draws) -> tuple[Mask, Corruption]:
        """A mask of the union of graphs, drawn once for all of them.

        Args:
            graph_ptr: (B + 1,) int64, where each graph's nodes begin.
            draws: keyed by the step: its first row draws.
        """
        n = int(graph_ptr[-1])
        once = replace(draws, ids=draws.ids[:1])
        order = once.fork("hidden").permutation(n)[0]
        other = once.fork("source").permutation(n)[0] if self.replace else order
        return self.from_noise(order, other)

    def from_noise(self, order: Tensor, other: Tensor) -> tuple[Mask, Corruption]:
        """The mask of a random order of the nodes, and what another order writes into it.

        Args:
            order: (N,) a permutation; the first ones are hidden.
            other: (N,) a permutation; the first ones give their features away.
        """
        n_hidden = int(self.rate * len(order))
        if self.rate == 0:
            nobody = order[:0]
            return Mask(visible=order[None, :0], hidden=order[None]), Corruption(*[nobody] * 3)
        hidden, visible = order[:n_hidden], order[n_hidden:]
        # a count of 0 must not become the slice [-0:], which is everything
        n_noise = int(self.replace * n_hidden)
        token = hidden[: int((1 - self.replace) * n_hidden)]
        noise = hidden[n_hidden - n_noise :]
        return Mask(visible[None], hidden[None]), Corruption(token, noise, other[:n_noise])


class GraphNodeMasker(Config):
    """Hide int(rate · n + 1) nodes of each graph of n nodes; all of them hold the token."""

    kind: Literal["graph-node"] = "graph-node"
    rate: float = Field(default=0.25, ge=0, lt=1)

    def draw(self, graph_ptr: Tensor, draws: Draws) -> tuple[Mask, Corruption]:
        """A mask of each graph, drawn from its own row.

        Args:
            graph_ptr: (B + 1,) int64, where each graph's nodes begin.
            draws: a row per graph.
        """
        sizes = graph_ptr.diff()
        uniform = draws.fork("hidden").uniform(int(sizes.max()))
        place = torch.arange(uniform.shape[1], device=sizes.device) < sizes[:, None]
        return self.from_noise(uniform[place], graph_ptr)

    def from_noise(self, noise: Tensor, graph_ptr: Tensor) -> tuple[Mask, Corruption]:
        """The mask that hides the nodes of lowest noise (N,) of each graph."""
        sizes = graph_ptr.diff()
        graph = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
        # two stable sorts order by (graph, noise)
        order = torch.argsort(noise, stable=True)
        order = order[torch.argsort(graph[order], stable=True)]
        rank = torch.arange(len(noise), device=sizes.device) - graph_ptr[graph]
        is_hidden = rank < (sizes.double() * self.rate + 1).long()[graph]
        hidden = order[is_hidden]
        mask = Mask(order[~is_hidden][None], hidden[None])
        return mask, Corruption(hidden, hidden[:0], hidden[:0])
