"""Running-cell decoder masking (Wang et al., 2023, VideoMAE V2 §3.2), over a tube-masked encoder.

A 2 × 2 cell slides through a queue of four entries; over any four consecutive temporal slots
each place is left out of the decoder equally often.
"""

# B samples, T temporal slots, h × w places.

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker
from .tube import TubeMasker

_CELL = 2
_QUEUE = _CELL * _CELL


class RunningCellMasker(Masker):
    """A tube mask for the encoder whose decoder predicts only a running cell of the tokens.

    The two masks are drawn independently, so some of the predicted places are visible to the
    encoder too; these are decoded but carry no loss (`Mask.loss_weight`).
    """

    kind: Literal["running-cell"] = "running-cell"
    encoder: TubeMasker = TubeMasker()
    decoder_ratio: float = Field(default=0.5, gt=0, lt=1)

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw the encoder's tube and, independently, the start of the cell's queue."""
        mask = self.encoder(tokens, draws, step)
        grid = tokens.grid
        if grid is None or len(grid) != 3:
            raise ValueError(f"running-cell masking needs a grid of time, rows, columns: {grid}")
        start = draws.fork("running-cell").integers(_QUEUE, 1)[:, 0]
        return self.narrow(mask, start, (grid[0], grid[1], grid[2]))

    def narrow(self, mask: Mask, start: Tensor, grid: tuple[int, int, int]) -> Mask:
        """`mask` with only the running cell's places predicted.

        Args:
            mask: the encoder's mask over T·h·w tokens.
            start: (B,) int64 in 0…3, the pointer before the first slot.
            grid: (T, h, w); h and w even.

        Raises:
            ValueError: h or w is odd, or the ratio leaves no or all entries of the queue.
        """
        slots, rows, columns = grid
        n_left_out = int(_QUEUE * self.decoder_ratio)
        if rows % _CELL or columns % _CELL or not 0 < n_left_out < _QUEUE:
            raise ValueError(
                f"a running cell of ratio {self.decoder_ratio} needs even sides, got {grid}"
            )
        device = start.device
        queue = torch.arange(_QUEUE, device=device) < n_left_out
        # the pointer moves before it is read: slot 0 uses start + 1
        pointer = start[:, None] + 1 + torch.arange(slots, device=device)[None, :]
        entries = (torch.arange(_QUEUE, device=device) + pointer[:, :, None]) % _QUEUE
        cells = queue[entries].view(-1, slots, _CELL, _CELL)
        left_out = cells.repeat(1, 1, rows // _CELL, columns // _CELL).flatten(1)
        return replace(mask, predicted=Mask.from_bool(left_out).visible)
