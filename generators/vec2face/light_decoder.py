"""A cheap image decoder for small networks on CPUs (ours; the official one is `image_decoder`).

Every convolution works before the side is doubled, narrowing to the next level's width, so that
residual blocks never change the width and keep their skip; at the picture's own size there is only
the last convolution.
"""

# B samples, C channels, S side of the picture.

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .image_decoder import GROUP_EPS, Middle, ResBlock


def _doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, 2H, 2W), bilinear: pixel shuffling leaves a checkerboard."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class LightLevel(nn.Module):
    """Residual blocks, a convolution to the next level's width, and twice the side.

    Args:
        channels: of the blocks.
        n_out: of the next level.
        n_blocks: how many blocks.
        groups: of the group norms.
    """

    def __init__(self, channels: int, n_out: int, n_blocks: int, groups: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(channels, channels, groups) for _ in range(n_blocks))
        self.norm = nn.GroupNorm(groups, channels, eps=GROUP_EPS)
        self.conv = nn.Conv2d(channels, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, n_out, 2H, 2W)."""
        for block in self.block:
            x = block(x)
        return _doubled(self.conv(F.silu(self.norm(x))))


class LightDecoder(nn.Module):
    """From the map to RGB; the arguments are those of `ImageDecoder`.

    Example:
        >>> import torch
        >>> decoder = LightDecoder(z_channels=4, channels=(4, 8, 16), n_res_blocks=1, groups=8)
        >>> decoder(torch.zeros(1, 4, 7, 7)).shape
        torch.Size([1, 3, 28, 28])
    """

    def __init__(
        self, *, z_channels: int, channels: Sequence[int], n_res_blocks: int, groups: int
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(z_channels, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], groups)
        self.up = nn.ModuleList(
            LightLevel(width, narrower, n_res_blocks, groups)
            for narrower, width in zip(channels, channels[1:], strict=False)
        )
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(B, z_channels, 7, 7) → (B, 3, S, S), unbounded."""
        x = self.mid(self.conv_in(z.contiguous(memory_format=torch.channels_last)))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(x))
