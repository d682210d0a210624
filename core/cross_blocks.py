"""Blocks that also attend to a context, and the encoder that fuses two streams by them."""

# B samples, N tokens of one stream, C of the other (context), D width.

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from .layers import LN_EPS, Block, CrossAttention, init_transformer


class CrossBlock(Block):
    """A pre-norm block that first looks at a context: x += CrossAttention(LN(x), LN(context)).

    `look` is that first part; calling the block is what follows it, self-attention and MLP. They
    are apart so that a decoder's last block may look with all rows and go on with few.

    Example:
        >>> import torch
        >>> block = CrossBlock(dim=8, heads=2)
        >>> x = block.look(torch.zeros(1, 3, 8), torch.zeros(1, 5, 8))
        >>> block(x).shape
        torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4,
        drop_path: float = 0,
        *,
        context_dim: int | None = None,
        key_bias: bool = True,
    ) -> None:
        super().__init__(dim, heads, mlp_ratio, drop_path, key_bias=key_bias)
        self.cross_norm1 = nn.LayerNorm(dim, eps=LN_EPS)
        self.cross_norm2 = nn.LayerNorm(context_dim or dim, eps=LN_EPS)
        self.cross_attn = CrossAttention(dim, heads, context_dim, key_bias=key_bias)

    def look(self, x: Tensor, context: Tensor, present: Tensor | None = None) -> Tensor:
        """`x` after cross-attention.

        Args:
            x: (B, N, D).
            context: (B, C, its width).
            present: (B,) bool, False where there is no context; None = everywhere.
        """
        seen = self.cross_attn(self.cross_norm1(x), self.cross_norm2(context))
        if present is not None:
            seen = seen * present[:, None, None]
        return x + self.drop_path(seen)


class FusionEncoder(nn.Module):
    """Two streams that look at each other, layer by layer, each with weights of its own.

    Within a layer both are computed from what they were before it (Sun et al., 2024, HiCMAE §3.1,
    official code).

    Args:
        dim: D, of both.
        heads: attention heads.
        depth: layers.
        mlp_ratio: hidden width of the MLP over D.
    """

    def __init__(self, dim: int, heads: int, depth: int, mlp_ratio: float = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossBlock(dim, heads, mlp_ratio, key_bias=False) for _ in range(depth)
        )
        self.blocks_audio = nn.ModuleList(
            CrossBlock(dim, heads, mlp_ratio, key_bias=False) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.norm_audio = nn.LayerNorm(dim, eps=LN_EPS)
        self.apply(init_transformer)

    def forward(
        self, video: Tensor, audio: Tensor, has_video: Tensor, has_audio: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both streams, fused and normed.

        Args:
            video: (B, N, D).
            audio: (B, C, D).
            has_video: (B,) bool; an absent stream is not looked at.
            has_audio: (B,) bool.

        Returns:
            (B, N, D) and (B, C, D).
        """
        layers = zip(self.blocks, self.blocks_audio, strict=True)
        for of_video, of_audio in cast("Iterable[tuple[CrossBlock, CrossBlock]]", layers):
            video, audio = (
                of_video(of_video.look(video, audio, has_audio)),
                of_audio(of_audio.look(audio, video, has_video)),
            )
        return self.norm(video), self.norm_audio(audio)
