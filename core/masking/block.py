"""Block-wise masking (Bao et al., 2022, BEiT Algorithm 1) with an exact number of hidden tokens."""

# B samples, h × w token grid, A attempts.

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio, visible_count

_NUMBERS = 4  # each attempt draws area, aspect, row, column


class BlockMasker(Masker):
    """Hide rectangles until N − int(N·(1 − ratio)) tokens are hidden.

    An attempt draws an area in [min_block, remaining], an aspect ratio log-uniformly, and a
    place; it counts if the rectangle is smaller than the grid and hides at least one new token
    and at most the remaining number. What is left after all attempts (rare) is filled with the
    tokens of lowest noise, so that the count is exact.

    Attributes:
        min_block: smallest area of a rectangle, in tokens; None = 16 of 196, scaled to the grid.
        min_aspect: smallest aspect ratio; the largest is its inverse.
        attempts: how many rectangles are tried.
    """

    kind: Literal["block"] = "block"
    ratio: Ratio = 0.75
    min_block: int | None = Field(default=None, ge=1)
    min_aspect: float = Field(default=0.3, gt=0, le=1)
    attempts: int = Field(default=128, ge=1)

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, A, 4) noise for the rectangles and (B, N) for the filling."""
        if tokens.grid is None or len(tokens.grid) != 2:
            raise ValueError(f"block masking needs a grid of rows and columns, got {tokens.grid}")
        noise = draws.uniform(self.attempts, _NUMBERS)
        fill = draws.fork("fill").uniform(tokens.count)
        return self.from_noise(noise, fill, (tokens.grid[0], tokens.grid[1]))

    def from_noise(self, noise: Tensor, fill: Tensor, grid: tuple[int, int]) -> Mask:
        """The mask of the rectangles' noise (B, A, 4) and the filling's noise (B, N)."""
        rows, columns = grid
        n_hidden = rows * columns - visible_count(rows * columns, self.ratio)
        hidden = torch.zeros_like(fill, dtype=torch.bool)
        for attempt in noise.unbind(1):
            remaining = n_hidden - hidden.sum(1)
            wanted = hidden | self._rectangles(attempt, remaining, grid)
            new = wanted.sum(1) - hidden.sum(1)
            accepted = (new > 0) & (new <= remaining)
            hidden = torch.where(accepted[:, None], wanted, hidden)
        # hidden tokens first, then the lowest noise: the first n_hidden are the mask
        order = torch.argsort(fill - 2.0 * hidden, dim=1, stable=True)
        exact = torch.zeros_like(hidden).scatter(1, order[:, :n_hidden], value=True)
        return Mask.from_bool(exact)

    def _rectangles(self, noise: Tensor, remaining: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N) bool, one rectangle per sample from (B, 4) noise; empty where it does not fit."""
        rows, columns = grid
        smallest = self.min_block or max(1, round(16 / 196 * rows * columns))
        area = smallest + noise[:, 0] * (remaining - smallest)
        spread = -2 * math.log(self.min_aspect)
        aspect = torch.exp(math.log(self.min_aspect) + noise[:, 1] * spread)
        height = torch.round(torch.sqrt(area * aspect)).long()
        width = torch.round(torch.sqrt(area / aspect)).long()
        fits = (height < rows) & (width < columns)
        top = (noise[:, 2] * (rows - height + 1)).long()
        left = (noise[:, 3] * (columns - width + 1)).long()
        row = torch.arange(rows, device=noise.device)
        column = torch.arange(columns, device=noise.device)
        in_rows = (row >= top[:, None]) & (row < (top + height)[:, None])
        in_columns = (column >= left[:, None]) & (column < (left + width)[:, None])
        inside = in_rows[:, :, None] & in_columns[:, None, :]
        return (inside & fits[:, None, None]).flatten(1)
