"""Pixels to normalized values and back: (value / 255 − mean) / std per colour channel."""

# H rows, W columns.

import torch
from torch import Tensor

Triple = tuple[float, float, float]


def normalize(pixels: Tensor, mean: Triple, std: Triple) -> Tensor:
    """uint8 (…, 3, H, W) → float32."""
    shift, scale = _per_channel(mean, std, pixels.device)
    return pixels.to(torch.float32).div_(255).sub_(shift).div_(scale)


def denormalize(values: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Normalized (…, 3, H, W) → float32 in 0…1, clipped."""
    shift, scale = _per_channel(mean, std, values.device)
    return (values.to(torch.float32) * scale + shift).clamp(0, 1)


def _per_channel(mean: Triple, std: Triple, device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) each."""
    return (
        torch.tensor(mean, device=device)[:, None, None],
        torch.tensor(std, device=device)[:, None, None],
    )


def by_value(mean: Triple, std: Triple, values: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) mean and standard deviation of each value of patches (…, P), by its colour channel.

    Args:
        mean: of the channels.
        std: of the channels.
        values: patches or tubelets, channel fastest.
    """
    pixels = values.shape[-1] // len(mean)
    return (
        torch.tensor(mean, device=values.device).repeat(pixels),
        torch.tensor(std, device=values.device).repeat(pixels),
    )
