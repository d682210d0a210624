"""Stacks of graph layers, and the one-layer decoders of the same families."""

# N nodes, d features, H width, L layers, K rows that are asked for.

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ..config import Config
from .csr import Csr
from .features import NodeTable
from .gat import GATLayer
from .gcn import GCNLayer
from .gin import GINLayer

Family = Literal["gat", "gin", "gcn"]
Norm = Literal["none", "layer", "batch"]
Activation = Literal["prelu", "relu"]
_NORMS = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


class LayerSettings(Config):
    """What all layers of a graph network share.

    Attributes:
        dim: H, the width of the codes.
        heads: of GAT; they share H.
        decoder_heads: of a GAT decoder, each of the width d / heads.
        feat_drop: dropout of each layer's input.
        attn_drop: dropout of GAT's attention.
        slope: of the leaky ReLU of GAT's scores.
        norm: after each layer, and inside those of GIN.
        activation: after each layer; PReLU has one slope, learned, from ¼.
        residual: add each layer's input (GAT, GCN).
    """

    dim: int = Field(default=512, ge=1)
    heads: int = Field(default=4, ge=1)
    decoder_heads: int = Field(default=1, ge=1)
    feat_drop: float = Field(default=0.2, ge=0, lt=1)
    attn_drop: float = Field(default=0.1, ge=0, lt=1)
    slope: float = Field(default=0.2, ge=0)
    norm: Norm = "none"
    activation: Activation = "prelu"
    residual: bool = False

    def make_norm(self, dim: int) -> nn.Module | None:
        """A norm over `dim`, or None."""
        return None if self.norm == "none" else _NORMS[self.norm](dim)

    def make_activation(self) -> nn.Module:
        """An activation with slopes of its own."""
        return nn.PReLU() if self.activation == "prelu" else nn.ReLU()


class GraphTrunk(nn.Module):
    """L layers of one family, each with norm and activation.

    Args:
        family: of the layers; their names begin with it.
        in_dim: d.
        depth: L.
        settings: widths, dropout, norm, activation, residual.

    Example:
        >>> trunk = GraphTrunk("gin", in_dim=3, depth=2, settings=LayerSettings(dim=8))
        >>> edges = Csr.from_pairs(torch.arange(4), torch.arange(4), (4, 4))
        >>> [layer.shape for layer in trunk.layers_of(torch.rand(4, 3), edges)]
        [torch.Size([4, 8]), torch.Size([4, 8])]
    """

    def __init__(self, family: Family, in_dim: int, depth: int, settings: LayerSettings) -> None:
        super().__init__()
        self.dim, self.family = settings.dim, family
        layers = nn.ModuleList(
            _encoder_layer(family, settings.dim if number else in_dim, settings)
            for number in range(depth)
        )
        # named by the family, so that a key map can tell their weights apart
        self.add_module(family, layers)

    def layers_of(self, x: NodeTable, edges: Csr) -> list[Tensor]:
        """The output of every layer, (N, H) each."""
        outputs: list[Tensor] = []
        for layer in self.get_submodule(self.family).children():
            outputs.append(layer(outputs[-1] if outputs else x, edges))
        return outputs

    def encode(self, x: NodeTable, edges: Csr) -> Tensor:
        """The codes (N, H) of nodes (N, d)."""
        return self.layers_of(x, edges)[-1]


def _encoder_layer(family: Family, in_dim: int, settings: LayerSettings) -> nn.Module:
    dim, norm, activation = settings.dim, settings.make_norm, settings.make_activation
    if family == "gat":
        return GATLayer(
            in_dim, dim // settings.heads, settings.heads,
            feat_drop=settings.feat_drop, attn_drop=settings.attn_drop, slope=settings.slope,
            shortcut=settings.residual, norm=norm(dim), activation=activation(),
        )  # fmt: skip
    if family == "gcn":
        return GCNLayer(
            in_dim, dim, drop=settings.feat_drop, shortcut=settings.residual,
            norm=norm(dim), activation=activation(),
        )  # fmt: skip
    return GINLayer(
        in_dim, dim, dim, drop=settings.feat_drop, inner_norm=norm(dim),
        inner_activation=activation(), norm=norm(dim), activation=activation(),
    )  # fmt: skip


def decoder_layer(family: Family, out_dim: int, settings: LayerSettings) -> nn.Module:
    """One layer from codes (N, H) to features (N, d), with neither norm nor activation after it."""
    if family == "gat":
        return GATLayer(
            settings.dim, out_dim // settings.decoder_heads, settings.decoder_heads,
            feat_drop=settings.feat_drop, attn_drop=settings.attn_drop, slope=settings.slope,
        )  # fmt: skip
    if family == "gcn":
        return GCNLayer(settings.dim, out_dim, drop=settings.feat_drop)
    return GINLayer(
        settings.dim, settings.dim, out_dim, drop=settings.feat_drop,
        inner_norm=settings.make_norm(settings.dim), inner_activation=settings.make_activation(),
    )  # fmt: skip


class NodeDecoder(nn.Module):
    """A decoder that sees each node by itself: linear, or two layers (official `mlp`).

    Args:
        kind: "mlp" or "linear".
        dim: H.
        out_dim: d.
    """

    def __init__(self, kind: Literal["mlp", "linear"], dim: int, out_dim: int) -> None:
        super().__init__()
        self.net: nn.Module = nn.Linear(dim, out_dim)
        if kind == "mlp":
            self.net = nn.Sequential(
                nn.Linear(dim, dim), nn.PReLU(), nn.Dropout(0.2), nn.Linear(dim, out_dim)
            )

    def forward(self, x: Tensor, edges: Csr, rows: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(N, H) → (N, d), or (K, d) of the nodes `rows`."""
        return self.net(x if rows is None else x.index_select(0, rows))
