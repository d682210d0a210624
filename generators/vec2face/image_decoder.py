"""The convolutional decoder from the 7 × 7 map to the picture (Vec2Face; after VQGAN's).

Two group-normed convolutions make a residual block. Where such a block changes the width, the
official code adds a 1 × 1 convolution of the block's *output*, so its input reaches the next layer
through the convolutions only; published weights depend on it.
"""

# B samples, C channels, S side of the picture.

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP_EPS = 1e-6
# on a CPU the levels of the largest maps take one picture at a time: every picture is computed
# apart anyway, and 128 × 112 × 112 values for many of them leave the cache and are mapped anew by
# the allocator at each layer (size B, batch 10, one core: 0.30 s a picture instead of 0.39 s)
_LARGE_LEVELS = 3


class ResBlock(nn.Module):
    """Norm, swish, convolution, twice; the input is added where the width stays.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        groups: of the group norms.
    """

    def __init__(self, n_in: int, n_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, n_in, eps=GROUP_EPS)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, n_out, eps=GROUP_EPS)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        if n_in != n_out:
            self.nin_shortcut = nn.Conv2d(n_out, n_out, 1, bias=False)
        self.changes_width = n_in != n_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) → (B, n_out, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(h) if self.changes_width else x)


class Upsample(nn.Module):
    """Nearest neighbours to twice the side, then a 3 × 3 convolution, at the lower side.

    Of the nine pixels that a convolution sees in the enlarged picture only four differ, so each of
    the four phases of the result (even and odd rows, even and odd columns) is a 2 × 2 convolution
    of the small picture with sums of the nine weights: the same numbers up to rounding with 2.25
    times fewer multiplications, and no enlarged copy.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, 2H, 2W)."""
        height, width = x.shape[2:]
        kernels = torch.cat([k for rows in _pairs(self.conv.weight, 2) for k in _pairs(rows, 3)])
        bias = self.conv.bias.repeat(4) if self.conv.bias is not None else None
        # position j saw rows j - 1 and j: those of phase 0 of row j, and of phase 1 of row j - 1
        phases = F.conv2d(x, kernels, bias, padding=1).chunk(4, dim=1)
        out = phases[0].new_empty(len(x), phases[0].shape[1], 2 * height, 2 * width)
        for number, phase in enumerate(phases):
            a, b = divmod(number, 2)
            out[:, :, a::2, b::2] = phase[:, :, a : a + height, b : b + width]
        return out


def _pairs(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps on doubled pixels as two taps on the pixels: of the even and the odd places."""
    first, middle, last = weight.unbind(dim)
    return torch.stack([first, middle + last], dim), torch.stack([first + middle, last], dim)


class Middle(nn.Module):
    """The two residual blocks at the map's own size."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels, groups)
        self.block_2 = ResBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return self.block_2(self.block_1(x))


class Level(nn.Module):
    """The residual blocks of one size, and the way up to the next.

    Args:
        n_in: channels of the input.
        n_out: channels of the blocks.
        n_blocks: how many.
        groups: of the group norms.
        upsample: the way up, or None at the picture's size.
    """

    def __init__(
        self, n_in: int, n_out: int, n_blocks: int, groups: int, upsample: nn.Module | None
    ) -> None:
        super().__init__()
        widths = [n_in, *[n_out] * n_blocks]
        self.block = nn.ModuleList(
            ResBlock(a, b, groups) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) → (B, n_out, H, W), or at twice the side."""
        for block in self.block:
            x = block(x)
        return x if self.upsample is None else self.upsample(x)


class ImageDecoder(nn.Module):
    """From the map to RGB, doubling the side once per level.

    Args:
        z_channels: channels of the map.
        channels: widths by level, entry 0 at the picture's size.
        n_res_blocks: per level.
        groups: of the group norms.

    Example:
        >>> import torch
        >>> decoder = ImageDecoder(z_channels=4, channels=(8, 8, 16), n_res_blocks=1, groups=8)
        >>> decoder(torch.zeros(1, 4, 7, 7)).shape
        torch.Size([1, 3, 28, 28])
    """

    def __init__(
        self, *, z_channels: int, channels: Sequence[int], n_res_blocks: int, groups: int = 32
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(z_channels, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], groups)
        widths = [*channels, channels[-1]]  # level i takes what level i + 1 gives
        self.up = nn.ModuleList()
        for i, width in enumerate(channels):
            way_up = Upsample(width) if i else None
            self.up.append(Level(widths[i + 1], width, n_res_blocks, groups, way_up))
        self.norm_out = nn.GroupNorm(groups, channels[0], eps=GROUP_EPS)
        self.conv_out = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(B, z_channels, 7, 7) → (B, 3, S, S), unbounded."""
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up[_LARGE_LEVELS:]):
            x = level(x)
        parts = x.split(1) if x.device.type == "cpu" and len(x) else [x]
        return torch.cat([self._finish(part) for part in parts])

    def _finish(self, x: Tensor) -> Tensor:
        for level in reversed(self.up[:_LARGE_LEVELS]):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))
