"""The hierarchical encoder of Point-M2AE: transformers on ever fewer, ever wider tokens."""

# B clouds, G tokens of a level, V packed visible ones, D width of a level.

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from torch import Tensor, nn

from ..geometry import take_points
from .blocks import PointBlocks, attention_rule, point_norm, within
from .embedding import GroupEmbedding, PositionMLP
from .grouping import Groups
from .packing import Packed

_FIRST = (128, 256)  # widths inside the embedding of coordinates


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives at one level.

    Attributes:
        tokens: (B, V, D) the visible tokens, normed; padding behind them.
        packed: where they belong.
    """

    tokens: Tensor
    packed: Packed


class HierarchicalEncoder(nn.Module):
    """A level embeds groups of the tokens below, and its blocks see the visible ones alone.

    Args:
        dims: D of each level, fine to coarse.
        depths: blocks of each.
        heads: attention heads, of all.
        mlp_ratio: hidden width of the MLP over D.
        drop_path: rate of the last block; it grows linearly from 0 at the first of all.
        radii: of each level, for `attention_rule` and `encode_local`.
        padding_leak: see `attention_rule`.
    """

    def __init__(
        self,
        *,
        dims: Sequence[int],
        depths: Sequence[int],
        heads: int,
        mlp_ratio: float = 4,
        drop_path: float = 0,
        radii: Sequence[float] | None = None,
        padding_leak: bool = False,
    ) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.radii = tuple(radii or [0.0] * len(dims))
        self.padding_leak = padding_leak
        inner = [(3, *_FIRST), *((dim, dim, dim) for dim in dims[:-1])]
        self.embeds = nn.ModuleList(
            GroupEmbedding(*widths, dim) for widths, dim in zip(inner, dims, strict=True)
        )
        self.positions = nn.ModuleList(PositionMLP(dim) for dim in dims)
        last = max(sum(depths) - 1, 1)
        ends = [0, *accumulate(depths)]
        rates = [[drop_path * i / last for i in range(*pair)] for pair in pairwise(ends)]
        self.blocks = nn.ModuleList(
            PointBlocks(dim, heads, mlp_ratio, rate) for dim, rate in zip(dims, rates, strict=True)
        )
        self.norms = nn.ModuleList(point_norm(dim) for dim in dims)
        self.apply(_init)

    def encode(self, levels: Sequence[Groups], visible: Sequence[Tensor]) -> tuple[Encoded, ...]:
        """The visible tokens of every level.

        A hidden token keeps its embedding; those of the next level that are made of it read that.
        What flows upwards is not normed, what is given is.

        Args:
            levels: groups, fine to coarse.
            visible: (B, G) bool of each level.
        """
        found = []
        below: Tensor | None = None
        for i, groups in enumerate(levels):
            tokens = self._embedded(i, groups, below)
            packed = Packed.of(visible[i])
            centres = packed.take(groups.centres)
            rule = attention_rule(
                packed.valid, centres, self.radii[i], padding_leak=self.padding_leak
            )
            x = self.blocks[i](packed.take(tokens), self.positions[i](centres), rule)
            below = packed.put(tokens, x)
            found.append(Encoded(self.norms[i](x), packed))
        return tuple(found)

    def encode_local(self, levels: Sequence[Groups], radii: Sequence[float]) -> Tensor:
        """(B, G, D) the coarsest level's tokens of whole clouds, not normed: for fine-tuning.

        A token attends to those nearer than the level's radius (0 = to all).
        """
        tokens: Tensor | None = None
        for i, groups in enumerate(levels):
            x = self._embedded(i, groups, tokens)
            positions = self.positions[i](groups.centres)
            tokens = self.blocks[i](x, positions, within(groups.centres, radii[i]))
        assert tokens is not None  # noqa: S101 - there is a level
        return tokens

    def _embedded(self, level: int, groups: Groups, below: Tensor | None) -> Tensor:
        """(B, G, D) of a level's groups: of coordinates, or of the tokens below."""
        inner = groups.relative if below is None else take_points(below, groups.ids)
        return self.embeds[level](inner)


def _init(module: nn.Module) -> None:
    """Truncated normal 0.02 (official code)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
