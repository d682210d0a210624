"""Row-drop masking: of the rows hidden, a fixed number is dropped and the rest is replaced.

The ratio hidden is drawn from a truncated normal distribution, as in MAGE (Li et al., 2023) and
Vec2Face (Wu et al., 2025, arXiv 2409.02979).
"""

# B samples, N rows, K kept (seen by the encoder), D width.

from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..config import Config
from ..draws import Draws
from .mask import take


@dataclass(frozen=True)
class RowMask:
    """Which rows are dropped, and which are replaced; samples may replace different numbers.

    Attributes:
        keep: (B, K) int64 ids of the rows that go through the encoder, ascending.
        drop_bool: (B, N) bool, True = does not go through the encoder.
        mask_bool: (B, N) bool, True = hidden: dropped, or kept with other content.

    Example:
        >>> noise = torch.tensor([[0.9, 0.1, 0.5, 0.3]])
        >>> mask = RowDropMasker(r_min=0.25).from_noise(noise, rate=0.5)
        >>> mask.keep, mask.mask_bool
        (tensor([[0, 2, 3]]), tensor([[False,  True, False,  True]]))
    """

    keep: Tensor
    drop_bool: Tensor
    mask_bool: Tensor

    def take_kept(self, rows: Tensor) -> Tensor:
        """(B, N, D) → (B, K, D)."""
        return take(rows, self.keep)

    def replace(self, rows: Tensor, filler: Tensor) -> Tensor:
        """`rows` (B, N, D) with the hidden ones set to `filler` (broadcast to (B, N, D))."""
        return torch.where(self.mask_bool[:, :, None], filler, rows)

    def restore(self, kept: Tensor, filler: Tensor) -> Tensor:
        """The rows in their own order; hidden ones are `filler`, also where they were kept.

        Args:
            kept: (B, K, D).
            filler: broadcast to (B, N, D).

        Returns:
            (B, N, D).
        """
        filler = filler.expand(*self.mask_bool.shape, kept.shape[-1])
        ids = self.keep[:, :, None].expand(-1, -1, kept.shape[-1])
        return self.replace(filler.scatter(1, ids, kept), filler)


class RowDropMasker(Config):
    """Drop ⌈N · r_min⌉ rows, hide ⌈N · rate⌉; the rows of lowest noise, so dropped ⊂ hidden.

    The rate follows a normal distribution of `mean` and `std`, truncated to [r_min, r_max].
    """

    kind: Literal["row-drop"] = "row-drop"
    r_min: float = Field(default=0.5, ge=0, lt=1)
    r_max: float = Field(default=1.0, gt=0, le=1)
    mean: float = 0.75  # μ, before truncation
    std: float = Field(default=0.25, gt=0)  # σ, before truncation

    @model_validator(mode="after")
    def _ordered(self) -> "RowDropMasker":
        if self.r_min > self.r_max:
            raise ValueError(f"r_min {self.r_min} lies above r_max {self.r_max}")
        return self

    def draw(self, draws: Draws, n_rows: int = 49, rate: float | Tensor | None = None) -> RowMask:
        """Draw (B, N) uniform noise and mask by it.

        Args:
            draws: keyed per sample.
            n_rows: N.
            rate: as in `from_noise`; None draws one for each sample. A rate for a whole batch is
                `rates(draws.step(number))`.
        """
        if rate is None:
            rate = self.rates(draws)
        return self.from_noise(draws.fork("rows").uniform(n_rows), rate)

    def rates(self, draws: Draws) -> Tensor:
        """(B,) float64 rates by the inverse distribution function of one uniform number each."""
        uniform = draws.fork("rate").uniform(1)[:, 0].double()
        ends = torch.tensor([self.r_min, self.r_max], dtype=torch.float64, device=uniform.device)
        low, high = torch.special.ndtr((ends - self.mean) / self.std)
        rates = self.mean + self.std * torch.special.ndtri(low + uniform * (high - low))
        return rates.clamp(self.r_min, self.r_max)

    def from_noise(self, noise: Tensor, rate: float | Tensor) -> RowMask:
        """The mask of (B, N) noise; equal values count as ascending with their place.

        Args:
            noise: (B, N).
            rate: the share hidden: a number, or the (B,) or (1,) of `rates`.

        Raises:
            ValueError: the number lies below `r_min` or above 1.
        """
        n_rows = noise.shape[1]
        if not isinstance(rate, Tensor) and not self.r_min <= rate <= 1:
            raise ValueError(f"the mask rate must lie in [{self.r_min}, 1], got {rate}")
        rates = torch.as_tensor(rate, dtype=torch.float64, device=noise.device).reshape(-1, 1)
        # no redraw of ties (official code): ranks give the exact counts with any noise
        rank = torch.argsort(torch.argsort(noise, dim=1, stable=True), dim=1)
        n_dropped = ceil(n_rows * self.r_min)
        dropped = rank < n_dropped
        kept = torch.argsort(dropped.to(torch.uint8), dim=1, stable=True)
        return RowMask(
            keep=kept[:, : n_rows - n_dropped],
            drop_bool=dropped,
            mask_bool=rank < torch.ceil(n_rows * rates),
        )
