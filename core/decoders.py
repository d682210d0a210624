"""The ViT decoder: predicts the hidden tokens, and computes no more than that needs."""

# B samples, N tokens, V visible, M hidden, K predicted, D latent width, W decoder width.

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import LN_EPS, Block, init_transformer
from .masking import Mask, take
from .positions import sincos_grid


class ViTDecoder(nn.Module):
    """Visible latents and a shared mask token, positions added to all, blocks, norm, head.

    Attention does not depend on the order of its tokens, so they stay in the order class token,
    visible, hidden; nothing is un-shuffled. The last block computes queries and MLP, and norm
    and head their rows, only where something is predicted.

    Args:
        latent_dim: D.
        grid: the token grid.
        dim: W.
        depth: number of blocks, at least 1.
        heads: attention heads.
        n_out: values predicted for a token.
        mlp_ratio: hidden width of the MLP over W.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        grid: Sequence[int],
        dim: int,
        depth: int,
        heads: int,
        n_out: int,
        mlp_ratio: float = 4,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(latent_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions: Tensor
        self.register_buffer("positions", sincos_grid(grid, dim, n_prefix=1)[None])
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.head = nn.Linear(dim, n_out)
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latents: Tensor, mask: Mask) -> Tensor:
        """The predictions at `mask.predict`.

        Args:
            latents: (B, 1 + V, D), class token first, then in the order of `mask.visible`.
            mask: which tokens these are, and which to predict.

        Returns:
            (B, K, n_out).
        """
        positions = self.positions.expand(len(latents), -1, -1)
        seen = self.embed(latents)
        seen = seen + torch.cat([positions[:, :1], mask.take_visible(positions[:, 1:])], dim=1)
        hidden = self.mask_token + mask.take_hidden(positions[:, 1:])
        x = torch.cat([seen, hidden.to(seen.dtype)], dim=1)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        return self.head(self.norm(last(x, rows=self._predicted_rows(x, mask))))

    @staticmethod
    def _predicted_rows(x: Tensor, mask: Mask) -> Tensor:
        """(B, K, W), the rows of `x` (class token, visible, hidden) at `mask.predict`."""
        n_seen = 1 + mask.visible.shape[1]
        if mask.predicted is None:
            return x[:, n_seen:]
        place = torch.argsort(torch.cat([mask.visible, mask.hidden], dim=1), dim=1)
        return take(x[:, 1:], place.gather(1, mask.predicted))
