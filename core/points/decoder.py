"""The hierarchical decoder of Point-M2AE: mask tokens at the top, features carried down."""

# B clouds, G tokens of the coarsest level, F of the level below it, D width.

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..geometry import interpolate_nearest
from ..layers import init_transformer
from .blocks import PointBlocks, point_norm
from .embedding import PositionMLP
from .encoder import Encoded
from .grouping import Groups
from .row_norm import RowNorm


class TokenPropagation(nn.Module):
    """Features of a finer level: [its own, those of the three nearest above] → one width.

    Args:
        own: width of the finer level's features.
        above: width of the coarser level's.
        dim: D.
        units: residual units behind the fusion.
    """

    def __init__(self, own: int, above: int, dim: int, units: int = 1) -> None:
        super().__init__()
        self.fuse = nn.Linear(own + above, dim)
        self.fuse_norm = RowNorm(dim)
        self.units = nn.ModuleList(_Residual(dim) for _ in range(units))

    def forward(self, fine: Tensor, coarse: Tensor, own: Tensor, above: Tensor) -> Tensor:
        """(B, F, D).

        Args:
            fine: (B, F, 3) centres.
            coarse: (B, G, 3) centres.
            own: (B, F, ·) features, zero where there are none.
            above: (B, G, ·) features.
        """
        joined = torch.cat([own, interpolate_nearest(fine, coarse, above)], dim=-1)
        x = F.gelu(self.fuse_norm(self.fuse(joined.flatten(0, 1))))
        for unit in self.units:
            x = unit(x)
        return x.unflatten(0, own.shape[:2])


class _Residual(nn.Module):
    """GELU(x + BN(Linear(GELU(BN(Linear(x))))))."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Linear(dim, dim), RowNorm(dim)
        self.second, self.second_norm = nn.Linear(dim, dim), RowNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(M, D) → (M, D)."""
        inner = F.gelu(self.first_norm(self.first(x)))
        return F.gelu(x + self.second_norm(self.second(inner)))


class HierarchicalDecoder(nn.Module):
    """Mask tokens join at the coarsest level; each stage but the first goes one level down.

    Args:
        latent_dims: widths of the encoder's levels, fine to coarse; the coarsest is the first
            stage's width.
        dims: of the stages, coarse to fine.
        depths: blocks of each.
        up_units: residual units of the propagations, one for each stage but the first.
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
    """

    def __init__(
        self,
        *,
        latent_dims: Sequence[int],
        dims: Sequence[int],
        depths: Sequence[int],
        up_units: Sequence[int],
        heads: int,
        mlp_ratio: float = 4,
    ) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, dims[0]))
        self.positions = nn.ModuleList(PositionMLP(dim) for dim in dims)
        self.blocks = nn.ModuleList(
            PointBlocks(dim, heads, mlp_ratio, [0.0] * depth)
            for dim, depth in zip(dims, depths, strict=True)
        )
        skips = list(reversed(latent_dims))[1 : len(dims)]
        self.up = nn.ModuleList(
            TokenPropagation(own, above, dim, units)
            for own, above, dim, units in zip(skips, dims[:-1], dims[1:], up_units, strict=True)
        )
        self.norm = point_norm(dims[-1])
        self.blocks.apply(init_transformer)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)

    def forward(self, levels: Sequence[Groups], encoded: Sequence[Encoded]) -> Tensor:
        """(B, F, D) normed tokens of the finest level that the stages reach.

        Args:
            levels: groups, fine to coarse.
            encoded: the encoder's output, fine to coarse.
        """
        top = encoded[-1]
        tokens = self.mask_token.to(top.tokens.dtype).expand(*levels[-1].centres.shape[:2], -1)
        x = top.packed.put(tokens.clone(), top.tokens)
        centres = levels[-1].centres
        x = self.blocks[0](x, self.positions[0](centres))
        for stage, up in enumerate(self.up, start=1):
            groups, below = levels[-1 - stage], encoded[-1 - stage]
            empty = x.new_zeros(*groups.centres.shape[:2], below.tokens.shape[-1])
            x = up(groups.centres, centres, below.packed.put(empty, below.tokens), x)
            centres = groups.centres
            x = self.blocks[stage](x, self.positions[stage](centres))
        return self.norm(x)
