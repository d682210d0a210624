"""Vec2Face: Scaling Face Dataset Generation with Loosely Constrained Vectors (Wu et al., ICLR 2025,
arXiv 2409.02979).

One face-recognition vector becomes one aligned face. The vector is projected (e) and expanded to
the 49 rows of a 7 × 7 map, each a multiple of e plus an offset; a masked autoencoder over these
rows gives them their content, and a convolutional decoder makes the picture.

What differs from the plain masked autoencoder: the masked rows are filled with e itself, before
the encoder (kept rows) and, as the encoder's own first token, before the decoder (all hidden
rows); the target is the map, not pixels; and masking stays on when pictures are made, which is
where the variation of one vector's pictures comes from. We follow the official code throughout.
"""  # noqa: D205

# B samples, d vector width, D token width, K kept rows, S side of the picture. 49 rows.

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.layers import LN_EPS, Block, drop, init_transformer
from ...core.lora import adapt
from ...core.masking import RowMask
from .config import MAP_SIDE, N_ROWS, Vec2FaceConfig, unused_name
from .image_decoder import ImageDecoder
from .light_decoder import LightDecoder
from .pose import PoseEncoder


@dataclass(frozen=True)
class Generated:
    """What the network makes of vectors.

    Attributes:
        image: (B, 3, S, S) float32, about [-1, 1], not clipped.
        logits: (B, 50, D) what the decoder predicts of the map, e's place first.
        target: (B, 50, D) the map before masking, detached.
    """

    image: Tensor
    logits: Tensor
    target: Tensor


class Unused(nn.Module):
    """Entries of an official file that nothing computes with, kept for a true export."""

    def __init__(self, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        shapes = {
            "patch_embed.proj.weight": (dim, 3, 16, 16),
            "patch_embed.proj.bias": (dim,),
            "center_token.weight": (N_ROWS, dim),
            "center_token.bias": (N_ROWS,),
        }
        for name in names:
            value = torch.zeros(shapes[name]) if name in shapes else torch.arange(N_ROWS + 1)[None]
            self.register_buffer(unused_name(name), value)


class Vec2FaceNet(nn.Module):
    """The generator: from vectors (in the units of its embedding frame) to faces.

    Args:
        config: the settings.

    Example:
        >>> from ...core.draws import Draws
        >>> from .config import GENERATION_ROWS
        >>> net = Vec2FaceNet(Vec2FaceConfig(rep_dim=8, dim=16, depth=1, heads=2, decoder_depth=1,
        ...     decoder_heads=2, z_channels=8, channels=(8, 8), n_res_blocks=1, norm_groups=8))
        >>> mask = GENERATION_ROWS.draw(Draws(seed=0, ids=torch.tensor([5, 9])))
        >>> net(torch.zeros(2, 8), mask).image.shape
        torch.Size([2, 3, 14, 14])
    """

    def __init__(self, config: Vec2FaceConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.project = nn.Linear(config.rep_dim, dim)
        self.expand = nn.Linear(1, N_ROWS)
        self.positions = nn.Parameter(torch.zeros(N_ROWS + 1, dim))
        self.embed_norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.blocks = self._blocks(config.depth, config.heads)
        self.norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.decoder_embed = nn.Linear(dim, dim)
        self.decoder_positions = nn.Parameter(torch.zeros(1, N_ROWS + 1, dim))
        self.decoder_blocks = self._blocks(config.decoder_depth, config.decoder_heads)
        self.decoder_norm = nn.LayerNorm(dim, eps=LN_EPS)
        self.to_map = nn.Linear(dim, config.z_channels)
        self.apply(init_transformer)
        nn.init.normal_(self.positions, std=config.position_std)
        nn.init.normal_(self.decoder_positions, std=config.position_std)
        decoder = LightDecoder if config.late_upsample else ImageDecoder
        self.image_decoder = decoder(
            z_channels=config.z_channels,
            channels=config.channels,
            n_res_blocks=config.n_res_blocks,
            groups=config.norm_groups,
        )
        self._add_options(config)

    def _blocks(self, depth: int, heads: int) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(
            Block(config.dim, heads, config.mlp_ratio, dropout=config.dropout) for _ in range(depth)
        )

    def _add_options(self, config: Vec2FaceConfig) -> None:
        if config.lora_rank:
            for blocks in (self.blocks, self.decoder_blocks):
                adapt(blocks, ("qkv", "proj"), config.lora_rank, config.lora_alpha)
        self.pose = PoseEncoder(config.dim) if config.pose else None
        self.base: Tensor | None
        size = config.base_size
        if config.base == "mean":  # training starts at the base image itself
            nn.init.zeros_(self.image_decoder.conv_out.weight)
            nn.init.zeros_(self.image_decoder.conv_out.bias)  # type: ignore[arg-type]
        self.register_buffer("base", torch.zeros(3, size, size) if config.base == "mean" else None)
        self.unused = Unused(config.unused, config.dim)

    def set_base(self, image: Tensor) -> None:
        """Store the image that is added to the output, such as the mean of the training faces.

        Args:
            image: (3, S, S) in [-1, 1]; stored at the side `base_size`.

        Raises:
            ValueError: the settings have no base image.
        """
        if self.base is None:
            raise ValueError("these settings have no base image (base = 'none')")
        stored = F.interpolate(image[None].float(), self.base.shape[1:], mode="area")[0]
        self.base.copy_(stored)

    def forward(self, vectors: Tensor, mask: RowMask, condition: Tensor | None = None) -> Generated:
        """One picture per vector.

        Args:
            vectors: (B, d), not normalized.
            mask: which of the 49 rows are dropped and hidden.
            condition: (B, 1, D) of `pose`, or None.
        """
        token, rows = self.expand_vectors(vectors)
        logits = self.decode(self.encode(token, rows, mask), mask, condition)
        target = torch.cat([token[:, None], rows], dim=1).detach()
        return Generated(self.paint(logits), logits, target)

    def expand_vectors(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The image feature e (B, D) and the rows (B, 49, D) of the map."""
        token = self.project(vectors)
        return token, self.expand(token[:, :, None]).transpose(1, 2)

    def encode(self, token: Tensor, rows: Tensor, mask: RowMask) -> Tensor:
        """The latents (B, 1 + K, D) of e and of the kept rows; hidden ones among them hold e."""
        first = token[:, None]
        kept = mask.take_kept(mask.replace(rows, first) + self.positions[1:])
        x = self.embed_norm(torch.cat([first + self.positions[:1], kept], dim=1))
        x = drop(x, self.config.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, latents: Tensor, mask: RowMask, condition: Tensor | None = None) -> Tensor:
        """The predicted map (B, 50, D).

        The mask token is the encoder's own first token; a condition takes its place in the rows,
        and then, as in the official code of Vec2Face+, the latents enter without `decoder_embed`.
        """
        if condition is None:
            latents = self.decoder_embed(latents)
        first = latents[:, :1]
        # under autocast the norm before gives float32 and the pose net bfloat16
        filler = first if condition is None else condition.to(latents.dtype)
        rows = mask.restore(latents[:, 1:], filler)
        x = torch.cat([first, rows], dim=1) + self.decoder_positions
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_norm(x)

    def map_of(self, logits: Tensor) -> Tensor:
        """The image decoder's input (B, z_channels, 7, 7) of a predicted map (B, 50, D)."""
        return self.to_map(logits[:, 1:]).transpose(1, 2).unflatten(2, (MAP_SIDE, MAP_SIDE))

    def paint(self, logits: Tensor) -> Tensor:
        """The picture (B, 3, S, S) float32 of a predicted map (B, 50, D)."""
        image = self.image_decoder(self.map_of(logits)).float()
        if self.base is None:
            return image
        size = (self.config.image_size, self.config.image_size)
        return image + F.interpolate(self.base[None], size, mode="bilinear", align_corners=False)
