"""Tube masking: one map of a frame, repeated over time (Tong et al., 2022, VideoMAE §3.3)."""

# B samples, T temporal slots, S = h·w places of a slot.

from typing import Literal

import torch
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio


class TubeMasker(Masker):
    """Hide int(ratio·h·w) places, the same ones in every temporal slot."""

    kind: Literal["tube"] = "tube"
    ratio: Ratio = 0.9

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, h·w) noise for the frame map."""
        if tokens.grid is None or len(tokens.grid) != 3:
            raise ValueError(f"tube masking needs a grid of time, rows, columns: {tokens.grid}")
        slots, rows, columns = tokens.grid
        return self.from_noise(draws.uniform(rows * columns), slots)

    def from_noise(self, noise: Tensor, slots: int) -> Mask:
        """The mask of (B, S) noise over `slots` slots; ids ascend within each part.

        Raises:
            ValueError: the ratio hides the whole frame.
        """
        places = noise.shape[1]
        n_hidden = int(self.ratio * places)
        if n_hidden >= places:
            raise ValueError(f"mask ratio {self.ratio} hides all {places} places of a frame")
        hidden = torch.argsort(noise, dim=1, stable=True)[:, :n_hidden]
        frame = torch.zeros_like(noise, dtype=torch.bool).scatter(1, hidden, value=True)
        return Mask.from_bool(frame.repeat(1, slots))
