"""The patch discriminator of Vec2Face's training (after ViT-VQGAN, Yu et al., 2022)."""

# B samples, S side of the picture.

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.1
_GROUPS = 8
_KERNELS = (3, 7, 15)
OFFICIAL_DIMS = (64, 128, 256, 512)


class CrossEmbed(nn.Module):
    """Convolutions of three kernel sizes side by side; the smallest kernel gets half the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width // 2, width // 4]
        widths.append(width - sum(widths))
        self.convs = nn.ModuleList(
            nn.Conv2d(3, n, kernel, padding=kernel // 2)
            for n, kernel in zip(widths, _KERNELS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, width, S, S)."""
        return torch.cat([conv(x) for conv in self.convs], dim=1)


class Stage(nn.Module):
    """Half the side: convolution, leaky ReLU, group norm, and a residual convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, n_out)
        self.inner_norm = nn.GroupNorm(_GROUPS, n_out)
        self.inner = nn.Conv2d(n_out, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) → (B, n_out, H/2, W/2)."""
        x = self.norm(F.leaky_relu(self.down(x), _SLOPE))
        return x + self.inner(F.leaky_relu(self.inner_norm(x), _SLOPE))


class Discriminator(nn.Module):
    """Logits of overlapping patches: high for real, low for generated.

    Args:
        dims: width of the first layer and of each stage, multiples of 8.

    Example:
        >>> Discriminator(dims=(8, 8, 8, 8))(torch.zeros(1, 3, 112, 112)).shape
        torch.Size([1, 1, 11, 11])
    """

    def __init__(self, dims: Sequence[int] = OFFICIAL_DIMS) -> None:
        super().__init__()
        self.embed = CrossEmbed(dims[0])
        self.stages = nn.ModuleList(Stage(a, b) for a, b in zip(dims, dims[1:], strict=False))
        self.mix = nn.Conv2d(dims[-1], dims[-1], 1)
        self.head = nn.Conv2d(dims[-1], 1, 4)

    def forward(self, images: Tensor) -> Tensor:
        """The patch logits.

        Args:
            images: (B, 3, S, S) in [-1, 1].

        Returns:
            (B, 1, P, P) with P = S / 2^stages − 3; 11 × 11 for the official dims at 112.
        """
        x = F.leaky_relu(self.embed(images), _SLOPE)
        for stage in self.stages:
            x = stage(x)
        return self.head(F.leaky_relu(self.mix(x), _SLOPE))
