"""Grid masking: a fixed number of tokens of every cell stays visible (He et al., 2022, Fig. 6)."""

# B samples, h × w token grid, c × c cell.

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker


class GridMasker(Masker):
    """Keep `keep` of each cell × cell block of tokens, the same places in every block.

    The default, one of each 2 × 2, hides 75 %.
    """

    kind: Literal["grid"] = "grid"
    cell: int = Field(default=2, ge=2)
    keep: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _keeps_a_part(self) -> "GridMasker":
        if self.keep >= self.cell**2:
            raise ValueError(f"keep {self.keep} hides nothing of a cell of {self.cell**2} tokens")
        return self

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, c²) noise, which orders the places of a cell."""
        if tokens.grid is None or len(tokens.grid) != 2:
            raise ValueError(f"grid masking needs a grid of rows and columns, got {tokens.grid}")
        return self.from_noise(draws.uniform(self.cell**2), (tokens.grid[0], tokens.grid[1]))

    def from_noise(self, noise: Tensor, grid: tuple[int, int]) -> Mask:
        """The mask of (B, c²) noise: the `keep` places of lowest noise stay visible.

        Raises:
            ValueError: the grid's sides are no multiples of the cell.
        """
        rows, columns = grid
        if rows % self.cell or columns % self.cell:
            raise ValueError(f"a {rows} × {columns} grid has no whole cells of {self.cell}")
        kept = torch.argsort(noise, dim=1, stable=True)[:, : self.keep]
        hidden = torch.ones_like(noise, dtype=torch.bool).scatter(1, kept, value=False)
        cells = hidden.view(-1, self.cell, self.cell)
        tiled = cells.repeat(1, rows // self.cell, columns // self.cell)
        return Mask.from_bool(tiled.flatten(1))
