"""Flips and small similarities of aligned faces, for small training sets.

The published recipe augments nothing, because its vectors are stored beside the pictures. Where
the vectors are computed from the augmented pictures themselves, nothing goes stale.
"""

# B pictures, S side.

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ...core.config import Config
from ...core.draws import Draws

NonNegative = Annotated[float, Field(ge=0)]


class Jitter(Config):
    """How far an aligned face is moved; 0 everywhere = the published recipe.

    Attributes:
        flip: probability of a horizontal flip.
        rotation: at most so many degrees to either side.
        scale: relative change at most (0.05: 0.95 … 1.05).
        shift: at most so many pixels of a picture of side 112 in x and in y.
    """

    flip: float = Field(0.0, ge=0, le=1)
    rotation: NonNegative = 0.0
    scale: float = Field(0.0, ge=0, lt=1)
    shift: NonNegative = 0.0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The moved pictures (B, 3, S, S), one draw per row; borders are replicated."""
        if self.flip:
            flipped = (draws.fork("flip").uniform() < self.flip).to(images.device)
            images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        if not (self.rotation or self.scale or self.shift):
            return images
        # uniform in [-1, 1): angle, scale, shift in x and y
        u = 2 * draws.fork("similarity").uniform(4).to(images.device) - 1
        angle = u[:, 0] * math.radians(self.rotation)
        scale = 1 + u[:, 1] * self.scale
        shift = u[:, 2:] * (2 * self.shift / 112)  # the grid spans [-1, 1]
        cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
        matrix = torch.stack(
            [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
        )
        grid = affine_grid(matrix, list(images.shape), align_corners=False)
        return grid_sample(images, grid, padding_mode="border", align_corners=False)
