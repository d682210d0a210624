"""Perceptual measures of pictures: SSIM, LPIPS of the user's weights, and its substitute."""

# B pictures, C channels, H × W their size.

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import WeightsError
from .weights import read_weights

SSIM_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03
_NORM_FLOOR = 1e-4  # of the channels' norm; the original LPIPS adds 1e-10 instead
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# VGG-16's convolutions by their place in torchvision's `features`, a tap after each group
_VGG = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_VGG_WIDTHS = (64, 128, 256, 512, 512)

Perceptual = Callable[[Tensor, Tensor], Tensor]
Taps = Callable[[Tensor], Sequence[Tensor]]


def ssim(x: Tensor, y: Tensor, data_range: float = 1.0) -> Tensor:
    """Mean structural similarity (Wang et al., 2004), computed in float32.

    11 × 11 Gaussian window of σ 1.5, only where the window lies inside the picture.

    Args:
        x: (B, C, H, W), H and W at least 11.
        y: the same shape.
        data_range: largest minus smallest possible value.

    Returns:
        A scalar, 1 for equal pictures.

    Example:
        >>> float(ssim(torch.ones(1, 1, 11, 11), torch.ones(1, 1, 11, 11)))
        1.0
    """
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        mean_x, mean_y = _blur(x), _blur(y)
        product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
        covariance = _blur(x * y) - product
        variances = _blur(x**2 + y**2) - squares
        luminance = (2 * product + c1) / (squares + c1)
        return (luminance * (2 * covariance + c2) / (variances + c2)).mean()


def _blur(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H − 10, W − 10) by the Gaussian window.

    As two products with band matrices: on one CPU core 2.7 times as fast, gradient included, as
    the convolution of three channels that it equals (32 pictures of 112, 2026-11).
    """
    return _band(x.shape[-2], x.device).T @ (x @ _band(x.shape[-1], x.device))


def _band(size: int, device: torch.device) -> Tensor:
    """(size, size − 10): column j holds the window's weights at rows j … j + 10."""
    offsets = torch.arange(size, device=device)[:, None] - torch.arange(
        size - SSIM_WINDOW + 1, device=device
    )
    weights = torch.exp(-((offsets - SSIM_WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    weights = weights * ((offsets >= 0) & (offsets < SSIM_WINDOW))
    return weights / weights.sum(0)


def unit_channels(features: Tensor) -> Tensor:
    """(B, C, H, W) features divided by their norm over the channels, at least 1e-4."""
    return features / features.norm(dim=1, keepdim=True).clamp_min(_NORM_FLOOR)


class FeaturePerceptual:
    """LPIPS' distance without learned weights, over any network's taps: our substitute for it.

    At each tap the channels are scaled to unit norm; the squared differences are summed over the
    channels and averaged over places, then over taps: 0 for equal pictures, at most 4.

    Args:
        taps: pictures (B, 3, H, W) in [-1, 1] → feature maps (B, C, h, w).

    Example:
        >>> distance = FeaturePerceptual(lambda images: [images, images[:, :, ::2, ::2]])
        >>> black, white = -torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
        >>> round(float(distance(black, white)), 4)  # opposite directions
        4.0
    """

    def __init__(self, taps: Taps) -> None:
        self.taps = taps

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """(B,) float32 distances; no gradient flows to `targets`."""
        with torch.no_grad():
            wanted = [tap.detach() for tap in self.taps(targets)]
        distances = [
            (unit_channels(a.float()) - unit_channels(b.float())).square().sum(1).mean((1, 2))
            for a, b in zip(self.taps(images), wanted, strict=True)
        ]
        return torch.stack(distances).mean(0)


class LPIPS(nn.Module):
    """Learned perceptual distance on VGG-16 (Zhang et al., 2018), frozen, always in eval mode.

    Five taps after ReLU, channels at unit norm, squared differences weighted by learned 1 × 1
    heads, averaged over places, summed over taps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)
        self.features = nn.ModuleDict()
        n_in = 3
        for places, width in zip(_VGG, _VGG_WIDTHS, strict=True):
            for place in places:
                self.features[str(place)] = nn.Conv2d(n_in, width, 3, padding=1)
                n_in = width
        self.heads = nn.ParameterList(torch.zeros(width) for width in _VGG_WIDTHS)
        self.requires_grad_(False)

    @classmethod
    def open(cls, vgg: Path, heads: Path) -> "LPIPS":
        """The distance of two files of the user.

        Args:
            vgg: torchvision's VGG-16 weights (`features.0.weight` …; its classifier is not used).
            heads: LPIPS' heads for it (`lin0.model.1.weight` …).

        Raises:
            WeightsError: a file is damaged, or not what it should be.
        """
        module = cls()
        backbone, learned = read_weights(vgg), read_weights(heads)
        for name, parameter in module.features.named_parameters():
            _fill(parameter, backbone.state, f"features.{name}", backbone.path)
        for number, parameter in enumerate(module.heads):
            _fill(parameter, learned.state, f"lin{number}.model.1.weight", learned.path)
        return module.eval()

    def taps(self, images: Tensor) -> list[Tensor]:
        """The five feature maps of (B, 3, H, W) pictures in [-1, 1]."""
        x = (images - self.shift) / self.scale
        found: list[Tensor] = []
        for places in _VGG:
            if found:
                x = F.max_pool2d(x, 2)
            for place in places:
                x = F.relu(self.features[str(place)](x))
            found.append(x)
        return found

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """(B,) float32 distances; no gradient flows to `targets`."""
        with torch.no_grad():
            wanted = self.taps(targets)
        total = torch.zeros(len(images), device=images.device)
        for a, b, weight in zip(self.taps(images), wanted, self.heads, strict=True):
            difference = (unit_channels(a.float()) - unit_channels(b.float())).square()
            total = total + torch.einsum("bchw,c->bhw", difference, weight).mean((1, 2))
        return total


def _fill(parameter: nn.Parameter, state: Mapping[str, Tensor], name: str, path: Path) -> None:
    """Copy the entry `name` of a file; heads (1, C, 1, 1) become (C,)."""
    value = state.get(name)
    if value is None or value.numel() != parameter.numel():
        got = "nothing" if value is None else f"shape {tuple(value.shape)}"
        raise WeightsError(
            f"{path}: expected {name} of shape {tuple(parameter.shape)}, got {got}",
            "name torchvision's VGG-16 weights, and LPIPS' heads for VGG-16",
        )
    parameter.data.copy_(value.reshape(parameter.shape))
