"""The visual tower of CLIP (Radford et al., 2021), as a frozen teacher of other methods.

A pre-norm ViT with a norm in front, x · σ(1.702 x) in its MLPs and a projection of the patch
tokens. Read is what teaches: the projected patch tokens, and where the class token looks in the
last block.
"""

# B images, S their side, N patches, h w their grid, D width, C projected width.

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from .config import Config
from .keymap import Key
from .layers import Attention

SLUG = "clip-visual"
_EPS = 1e-5
_HEAD = 64  # width of a head in all published towers


class ClipVisualConfig(Config):
    """Settings of the tower; the defaults are ViT-B/16."""

    image_size: int = Field(default=224, ge=1)  # S
    patch_size: int = Field(default=16, ge=1)
    dim: int = Field(default=768, ge=1)  # D
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=12, ge=1)
    out_dim: int = Field(default=512, ge=1)  # C

    @model_validator(mode="after")
    def _divides(self) -> "ClipVisualConfig":
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of {self.patch_size}")
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} does not divide into {self.heads} heads")
        return self


class ClipBlock(nn.Module):
    """x += Attention(LN(x)); x += Linear(u · σ(1.702 u)), u = Linear(LN(x))."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=_EPS), nn.LayerNorm(dim, eps=_EPS)
        self.attn = Attention(dim, heads)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        hidden = self.fc1(self.norm2(x))
        return x + self.fc2(hidden * torch.sigmoid(1.702 * hidden))


class ClipVisual(nn.Module):
    """The tower.

    Args:
        config: the settings.

    Example:
        >>> net = ClipVisual(ClipVisualConfig(image_size=32, dim=8, depth=1, heads=2, out_dim=4))
        >>> features, attention = net.read(torch.zeros(1, 3, 32, 32))
        >>> features.shape, attention.shape
        (torch.Size([1, 4, 2, 2]), torch.Size([1, 1, 2, 2]))
    """

    slug: ClassVar[str] = SLUG
    Config: ClassVar[type[ClipVisualConfig]] = ClipVisualConfig

    def __init__(self, config: ClipVisualConfig) -> None:
        super().__init__()
        self.config = config
        side = config.patch_size
        self.embed = nn.Conv2d(3, config.dim, side, side, bias=False)
        self.grid = config.image_size // side
        scale = config.dim**-0.5
        self.cls_token = nn.Parameter(scale * torch.randn(config.dim))
        self.positions = nn.Parameter(scale * torch.randn(self.grid**2 + 1, config.dim))
        self.norm_first = nn.LayerNorm(config.dim, eps=_EPS)
        self.blocks = nn.ModuleList(
            ClipBlock(config.dim, config.heads) for _ in range(config.depth)
        )
        self.norm_last = nn.LayerNorm(config.dim, eps=_EPS)
        self.projection = nn.Parameter(scale * torch.randn(config.dim, config.out_dim))

    @property
    def width(self) -> int:
        """C, of the features."""
        return self.config.out_dim

    @property
    def side(self) -> int:
        """S, of the images that it reads."""
        return self.config.image_size

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Patch features (B, C, h, w) and the class token's attention (B, 1, h, w).

        The attention is the last block's, softmaxed over all tokens and averaged over heads; the
        class token's look at itself is left out.

        Args:
            images: (B, 3, S, S).
        """
        x = self.embed(images).flatten(2).transpose(1, 2)
        first = self.cls_token.to(x.dtype).expand(len(x), 1, -1)
        x = self.norm_first(torch.cat([first, x], dim=1) + self.positions.to(x.dtype))
        before = x
        for block in self.blocks:
            before, x = x, block(x)
        last = self.blocks[-1]
        assert isinstance(last, ClipBlock)  # noqa: S101 - there is one
        attention = class_attention(last.attn, last.norm1(before))
        features = self.norm_last(x[:, 1:]) @ self.projection.to(x.dtype)
        shape = (self.grid, self.grid)
        return features.transpose(1, 2).unflatten(2, shape), attention[:, None].unflatten(2, shape)

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        Key("visual.conv1.weight", "embed.weight"),
        Key("visual.class_embedding", "cls_token"),
        Key("visual.positional_embedding", "positions"),
        Key("visual.ln_pre.*", "norm_first.*"),
        Key("visual.transformer.resblocks.*.ln_1.*", "blocks.*.norm1.*"),
        Key("visual.transformer.resblocks.*.attn.in_proj_weight", "blocks.*.attn.qkv.weight"),
        Key("visual.transformer.resblocks.*.attn.in_proj_bias", "blocks.*.attn.qkv.bias"),
        Key("visual.transformer.resblocks.*.attn.out_proj.*", "blocks.*.attn.proj.*"),
        Key("visual.transformer.resblocks.*.ln_2.*", "blocks.*.norm2.*"),
        Key("visual.transformer.resblocks.*.mlp.c_fc.*", "blocks.*.fc1.*"),
        Key("visual.transformer.resblocks.*.mlp.c_proj.*", "blocks.*.fc2.*"),
        Key("visual.ln_post.*", "norm_last.*"),
        Key("visual.proj", "projection"),
    )

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The tower's part of a published state: of CLIP's, or of one that keeps a copy of it.

        The text half and whatever else the file holds is left out and said.
        """
        anchors = [name for name in state if name.endswith("visual.class_embedding")]
        if not anchors:
            return dict(state), ()
        prefix = min(anchors, key=len).removesuffix("visual.class_embedding")
        begin = f"{prefix}visual."
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(begin)}
        left = len(state) - len(own)
        return own, (f"left out: {left} parameters beside the visual tower",) if left else ()

    @classmethod
    def container_of(cls, names: set[str]) -> str:  # noqa: ARG003 - there is one container
        """The one container: the whole tower."""
        return "net"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of the weights fix; heads of 64 where they divide."""
        found: dict[str, Any] = {}
        if "visual.conv1.weight" in shapes:
            dim, _, _, side = shapes["visual.conv1.weight"]
            found |= {"dim": dim, "patch_size": side}
            if dim % _HEAD == 0:
                found["heads"] = dim // _HEAD
            if "visual.positional_embedding" in shapes:
                found["image_size"] = isqrt(shapes["visual.positional_embedding"][0] - 1) * side
        if "visual.proj" in shapes:
            found["out_dim"] = shapes["visual.proj"][1]
        numbers = (re.match(r"visual\.transformer\.resblocks\.(\d+)\.", name) for name in shapes)
        found["depth"] = len({match[1] for match in numbers if match}) or None
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def from_container(
        cls,
        container: str,  # noqa: ARG003 - there is one container
        config: ClipVisualConfig,
        shapes: Mapping[str, tuple[int, ...]],  # noqa: ARG003
    ) -> "ClipVisual":
        """The net that weights fill."""
        return cls(config)


def class_attention(layer: Attention, normed: Tensor) -> Tensor:
    """(B, N) how much the first token attends to each of the N others, the mean over heads.

    Args:
        layer: of the block.
        normed: (B, 1 + N, D) its input.
    """
    dim = normed.shape[-1]
    rows = layer.qkv(normed)[..., : 2 * dim].unflatten(-1, (2, layer.heads, -1))
    q, k = rows.permute(2, 0, 3, 1, 4).unbind(0)
    logits = q[:, :, :1].float() @ k.float().transpose(-2, -1) * q.shape[-1] ** -0.5
    return logits.softmax(-1).mean(1)[:, 0, 1:]
