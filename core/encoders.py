"""ViT encoders: of the visible tokens only, or of all tokens with the hidden ones replaced."""

# B samples, N tokens, V visible, D width, P values of a patch.

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .layers import LN_EPS, Block, init_transformer
from .masking import Mask
from .positions import Positions, interpolate_grid, position_table
from .tokens import Tokens


class ViTEncoder(nn.Module):
    """Linear patch embedding, fixed sin-cos positions, class token or none, pre-norm blocks, norm.

    Hidden patches are dropped before anything is computed for them, or, with `mask_token`,
    replaced by a learned token after the embedding, so that the blocks see all N places.

    Args:
        patch_values: P.
        grid: the token grid.
        dim: D.
        depth: number of blocks.
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        mask_token: replace hidden tokens instead of dropping them.
        class_token: whether a learned token stands before the others.
        positions: "grid", the sin-cos table of the grid, stored with the weights and interpolated
            to other grids; "sequence", the sinusoid of the flattened index, made anew for others.
        key_bias: whether keys have a bias (`layers.Attention`).

    Attributes:
        n_prefix: tokens before those of the grid: 1, or 0 without a class token.
    """

    def __init__(
        self,
        *,
        patch_values: int,
        grid: Sequence[int],
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4,
        mask_token: bool = False,
        class_token: bool = True,
        positions: Positions = "grid",
        key_bias: bool = True,
    ) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.dim = dim
        self.n_prefix = int(class_token)
        self.embed = nn.Linear(patch_values, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.mask_token = nn.Parameter(torch.zeros(dim)) if mask_token else None
        self.stores_positions = positions == "grid"
        table = position_table(positions, grid, dim, self.n_prefix)
        # a buffer, not derived on load: official files store the grid's, fine-tuning trains it
        self.positions: Tensor
        self.register_buffer("positions", table, persistent=self.stores_positions)
        self.blocks = nn.ModuleList(
            Block(dim, heads, mlp_ratio, key_bias=key_bias) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.apply(init_transformer)
        # the patch embedding keeps a convolution's bias, uniform in ±1/√P (official code)
        nn.init.uniform_(self.embed.bias, -(patch_values**-0.5), patch_values**-0.5)
        for token in (self.cls_token, self.mask_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)

    def set_drop_path(self, rate: float) -> None:
        """Drop residual branches: at `rate` in the last block, growing linearly from 0."""
        rates = torch.linspace(0, rate, len(self.blocks)).tolist()
        for block, value in zip(self.blocks, rates, strict=True):
            block.get_submodule("drop_path").rate = value  # type: ignore[assignment]

    def train_positions(self) -> None:
        """Make a stored position table a trainable parameter, initialised from the fixed one."""
        if not self.stores_positions:
            return
        table = self.positions
        del self.positions
        self.positions = nn.Parameter(table.clone())

    def encode(self, tokens: Tokens, mask: Mask | None = None, *, norm: bool = True) -> Tensor:
        """The latents of the class token and of the tokens seen.

        Args:
            tokens: patches (B, N, P).
            mask: what is hidden; None = nothing.
            norm: whether the last norm is applied.

        Returns:
            (B, 1 + V, D): the class token (where there is one) first, then the tokens in the order
            of `mask.visible`; (B, 1 + N, D) in grid order without a mask or with `mask_token`.
        """
        x = self._embedded(tokens, mask)
        for block in self.blocks:
            x = block(x)
        return self.norm(x) if norm else x

    def taps(
        self, tokens: Tokens, mask: Mask | None = None, *, blocks: Sequence[int] | None = None
    ) -> list[Tensor]:
        """The outputs of some blocks, each through the last norm, in the blocks' order.

        No block after the last one asked for is computed.

        Args:
            tokens: patches (B, N, P).
            mask: what is hidden; None = nothing.
            blocks: ascending, from 0; None = all.

        Returns:
            One (B, 1 + V, D) for each block, as of `encode`.
        """
        wanted = range(len(self.blocks)) if blocks is None else blocks
        x, found = self._embedded(tokens, mask), []
        for number in range(wanted[-1] + 1):
            x = self.blocks[number](x)
            if number in wanted:
                found.append(self.norm(x))
        return found

    def _embedded(self, tokens: Tokens, mask: Mask | None) -> Tensor:
        """The first block's input."""
        positions = self._positions_of(tokens.grid or self.grid).expand(len(tokens), -1, -1)
        prefix, places = positions[:, : self.n_prefix], positions[:, self.n_prefix :]
        if mask is None:
            x = self.embed(tokens.values) + places
        elif self.mask_token is not None:
            x = self.embed(tokens.values)
            x = torch.where(mask.as_bool()[:, :, None], self.mask_token.to(x.dtype), x)
            x = x + places
        else:
            x = self.embed(mask.take_visible(tokens.values))
            x = x + mask.take_visible(places)
        if self.cls_token is not None:
            x = torch.cat([(self.cls_token + prefix).to(x.dtype), x], dim=1)
        return x

    def layer_id(self, name: str) -> int:
        """The layer that a parameter belongs to, for layer-wise learning-rate decay.

        Embedding, positions and tokens are layer 0, block i is i + 1, the rest is depth + 1.
        """
        if name.startswith("blocks."):
            return int(name.split(".")[1]) + 1
        if name.startswith(("embed.", "cls_token", "mask_token", "positions")):
            return 0
        return len(self.blocks) + 1

    def _positions_of(self, grid: tuple[int, ...]) -> Tensor:
        """(1, 1 + N, D), interpolated or made anew where the samples are of another size."""
        if grid == self.grid:
            return self.positions
        if not self.stores_positions:
            return position_table("sequence", grid, self.dim, self.n_prefix).to(self.positions)
        (old_rows, old_columns), (rows, columns) = self.grid, grid
        return interpolate_grid(self.positions, (old_rows, old_columns), (rows, columns))


Pooling = Literal["mean", "mean_std", "cls"]


def pool(latents: Tensor, how: Pooling, n_prefix: int = 1) -> Tensor:
    """One vector per sample of (B, 1 + N, D) latents.

    Args:
        latents: the class token (where there is one) first, then the N tokens.
        how: "mean" of the tokens; "mean_std", their mean and standard deviation side by side
            (statistics pooling: Snyder et al., 2018), which keeps how varied a sample is; "cls".
        n_prefix: 0 without a class token.

    Returns:
        (B, D), or (B, 2 D) for "mean_std".
    """
    if how == "cls":
        return latents[:, 0]
    tokens = latents[:, n_prefix:]
    if how == "mean":
        return tokens.mean(1)
    return torch.cat([tokens.mean(1), tokens.std(1, correction=0)], dim=1)
