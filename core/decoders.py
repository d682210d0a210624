"""The ViT decoder: predicts the hidden tokens, and computes no more than that needs."""

# B samples, N tokens, V visible, M hidden, K predicted, D latent width, W decoder width.

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from .cross_blocks import CrossBlock
from .layers import LN_EPS, Block, init_transformer
from .masking import Mask, take
from .positions import Positions, position_table

Queries = Literal["hidden", "predicted"]


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
        class_token: whether the latents begin with that of a class token.
        positions: as of the encoder (`ViTEncoder`).
        key_bias: whether keys have a bias (`layers.Attention`).
        embed_bias: whether the map from D to W has a bias.
        queries: where mask tokens stand: "hidden", at all hidden places, and a visible place that
            is predicted is read off its own latent; "predicted", at `mask.predict` alone, visible
            or not, so that what is not predicted costs nothing (Wang et al., 2023, VideoMAE V2).
        skips: whether all blocks but the first also attend to features of the encoder's own blocks,
            the deepest ones first (Sun et al., 2024, HiCMAE §3.2).
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
        class_token: bool = True,
        positions: Positions = "grid",
        key_bias: bool = True,
        embed_bias: bool = True,
        queries: Queries = "hidden",
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.n_prefix = int(class_token)
        self.queries = queries
        self.embed = nn.Linear(latent_dim, dim, bias=embed_bias)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions: Tensor
        table = position_table(positions, grid, dim, self.n_prefix)
        self.register_buffer("positions", table, persistent=positions == "grid")
        self.blocks = nn.ModuleList(
            (CrossBlock if skips and number else Block)(dim, heads, mlp_ratio, key_bias=key_bias)
            for number in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.head = nn.Linear(dim, n_out)
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latents: Tensor, mask: Mask, skips: Sequence[Tensor] = ()) -> Tensor:
        """The predictions at `mask.predict`.

        Args:
            latents: (B, 1 + V, D), class token (where there is one) first, then in the order of
                `mask.visible`.
            mask: which tokens these are, and which to predict.
            skips: with `skips`, features of the encoder from shallow to deep, one for each block
                but the first, of the latents' shape.

        Returns:
            (B, K, n_out).
        """
        positions = self.positions.expand(len(latents), -1, -1)
        prefix, places = positions[:, : self.n_prefix], positions[:, self.n_prefix :]
        here = torch.cat([prefix, mask.take_visible(places)], dim=1)
        seen = self.embed(latents) + here
        asked = mask.predict if self.queries == "predicted" else mask.hidden
        queries = self.mask_token + take(places, asked)
        x = torch.cat([seen, queries.to(seen.dtype)], dim=1)
        contexts = [self.embed(feature) + here for feature in reversed(skips)]
        *blocks, last = self.blocks
        for number, block in enumerate(blocks):
            if contexts and number:
                x = cast("CrossBlock", block).look(x, contexts[number - 1])
            x = block(x)
        if contexts:
            x = cast("CrossBlock", last).look(x, contexts[-1])
        return self.head(self.norm(last(x, rows=self._predicted_rows(x, mask))))

    def _predicted_rows(self, x: Tensor, mask: Mask) -> Tensor:
        """(B, K, W), the rows of `x` (class token, visible, queries) at `mask.predict`."""
        n_seen = self.n_prefix + mask.visible.shape[1]
        if mask.predicted is None or self.queries == "predicted":
            return x[:, n_seen:]
        place = torch.argsort(torch.cat([mask.visible, mask.hidden], dim=1), dim=1)
        return take(x[:, self.n_prefix :], place.gather(1, mask.predicted))
