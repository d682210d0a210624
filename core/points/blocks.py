"""The transformer blocks of point methods, with positions added at every block."""

# B clouds, N tokens, D width.

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..geometry.neighbours import squared_distances
from ..layers import Block

_EPS = 1e-5  # of the norms: torch's default, as in the official code


def point_norm(dim: int) -> nn.LayerNorm:
    """The layer norm of point methods."""
    return nn.LayerNorm(dim, eps=_EPS)


class PointBlock(Block):
    """A pre-norm block whose queries, keys and values have no bias."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4, drop_path: float = 0) -> None:
        super().__init__(dim, heads, mlp_ratio, drop_path)
        self.norm1, self.norm2 = point_norm(dim), point_norm(dim)
        self.attn.qkv = nn.Linear(dim, 3 * dim, bias=False)


class PointBlocks(nn.ModuleList):
    """Blocks that each get the positions added to their input: x ← block(x + p).

    Args:
        dim: D.
        heads: of the attention.
        mlp_ratio: hidden width of the MLP over D.
        drop_path: of each block; its length is their number.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: Sequence[float]) -> None:
        super().__init__(PointBlock(dim, heads, mlp_ratio, rate) for rate in drop_path)

    def forward(self, x: Tensor, positions: Tensor, allowed: Tensor | None = None) -> Tensor:
        """(B, N, D) of (B, N, D).

        Args:
            x: tokens.
            positions: (B, N, D).
            allowed: bool, broadcast to (B, N, N): which token (row) attends to which (column);
                every row has at least one. None = all.
        """
        bias = None if allowed is None else allowed[:, None]
        for block in self:
            x = block(x + positions, bias)
        return x


def attention_rule(
    valid: Tensor, centres: Tensor, radius: float, *, padding_leak: bool = False
) -> Tensor | None:
    """Which packed token may attend to which, (B, 1 or V, V) bool; None = each to all.

    Args:
        valid: (B, V) bool, False = padding.
        centres: (B, V, 3), of padding the origin.
        radius: with `padding_leak`, a padding token is seen by those nearer to the origin than
            this, as in the official code.
        padding_leak: see there.
    """
    if bool(valid.all()):
        return None
    if not padding_leak or radius <= 0:
        return valid[:, None, :]
    near = squared_distances(centres, centres) < radius**2
    return (valid[:, :, None] & valid[:, None, :]) | near


def within(centres: Tensor, radius: float) -> Tensor | None:
    """(B, N, N) bool, True = nearer than the radius; None (all) where the radius is 0."""
    if radius <= 0:
        return None
    with torch.no_grad():
        return squared_distances(centres, centres) < radius**2
