"""Uniform random masking: each sample keeps its tokens of lowest noise (He et al., 2022, §3)."""

from typing import Literal

import torch
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio, visible_count


class RandomMasker(Masker):
    """Hide N − int(N·(1 − ratio)) tokens of each sample, uniformly.

    Example:
        >>> mask = RandomMasker(ratio=0.5).from_noise(torch.tensor([[0.9, 0.1, 0.5, 0.3]]))
        >>> mask.visible, mask.hidden
        (tensor([[1, 3]]), tensor([[2, 0]]))
    """

    kind: Literal["random"] = "random"
    ratio: Ratio = 0.75

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, N) uniform noise and mask by it."""
        return self.from_noise(draws.uniform(tokens.count))

    def from_noise(self, noise: Tensor) -> Mask:
        """The mask of (B, N) noise; the visible ids come in the order of their noise."""
        order = torch.argsort(noise, dim=1, stable=True)
        return Mask.from_order(order, visible_count(noise.shape[1], self.ratio))
