"""Colour-noise masking (Hinojosa et al., 2024, ColorMAE): filtered noise decides what is seen."""

# K patterns of M × M, B samples, h × w token grid.

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio, visible_count

Colour = Literal["white", "red", "blue", "green", "purple"]


@lru_cache(maxsize=8)
def colour_patterns(
    colour: Colour, count: int, size: int, sigmas: tuple[float, ...], seed: int
) -> Tensor:
    """(K, M, M) float32 periodic noise patterns of a colour, unit variance.

    W is white noise, G a Gaussian filter: red G·W, blue W − G·W, green G1·W − G2·W,
    purple W − green.

    Args:
        colour: the family.
        count: K.
        size: M, larger than the token grid.
        sigmas: one width for red and blue, two ascending ones for green and purple.
        seed: of the white noise.
    """
    from scipy.ndimage import gaussian_filter

    white = Draws(seed, torch.arange(count), stream="colour-patterns").normal(size, size).numpy()

    def low(sigma: float) -> np.ndarray:
        return gaussian_filter(white, sigma=(0, sigma, sigma), mode="wrap")

    if colour == "white":
        pattern = white
    elif colour == "red":
        pattern = low(sigmas[0])
    elif colour == "blue":
        pattern = white - low(sigmas[0])
    else:
        green = low(sigmas[0]) - low(sigmas[1])
        pattern = green if colour == "green" else white - green
    return torch.from_numpy(pattern / pattern.std(axis=(1, 2), keepdims=True))


def crop_patterns(patterns: Tensor, grid: tuple[int, int], noise: Tensor) -> Tensor:
    """One window of each pattern, at a random place, randomly flipped.

    Args:
        patterns: (B, M, M).
        grid: (h, w) of the window.
        noise: (B, 4) in [0, 1): row, column, horizontal flip, vertical flip.

    Returns:
        (B, h, w).
    """
    rows, columns = grid
    size = patterns.shape[-1]
    top = (noise[:, 0] * (size - rows + 1)).long()
    left = (noise[:, 1] * (size - columns + 1)).long()
    row = torch.arange(rows, device=noise.device).expand(len(noise), -1)
    column = torch.arange(columns, device=noise.device).expand(len(noise), -1)
    column = torch.where(noise[:, 2:3] < 0.5, columns - 1 - column, column)
    row = torch.where(noise[:, 3:4] < 0.5, rows - 1 - row, row)
    batch = torch.arange(len(noise), device=noise.device)[:, None, None]
    return patterns[batch, (top[:, None] + row)[:, :, None], (left[:, None] + column)[:, None, :]]


class ColourNoiseMasker(Masker):
    """Keep the tokens where a random window of a colour-noise pattern is strongest.

    Each row draws its own pattern and window, so that a row does not depend on its batch; the
    official code takes the first B patterns at one common window per batch.

    Attributes:
        colour: white, red (low-pass), blue (high-pass), green (band-pass), purple (band-stop).
        sigmas: filter widths in patches; empty = the defaults of the method's card.
        patterns: how many patterns the bank holds.
        size: side of a pattern, in patches.
        seed: of the bank.
    """

    kind: Literal["colour-noise"] = "colour-noise"
    ratio: Ratio = 0.75
    colour: Colour = "green"
    sigmas: tuple[float, ...] = ()
    patterns: int = Field(default=512, ge=1)
    size: int = Field(default=64, ge=2)
    seed: int = 0

    @model_validator(mode="after")
    def _has_its_widths(self) -> "ColourNoiseMasker":
        wanted = {"white": 0, "red": 1, "blue": 1, "green": 2, "purple": 2}[self.colour]
        if self.sigmas and len(self.sigmas) != wanted:
            raise ValueError(f"{self.colour} noise takes {wanted} widths, got {self.sigmas}")
        return self

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw each row's pattern, window and flips."""
        if tokens.grid is None or len(tokens.grid) != 2:
            raise ValueError(f"colour noise needs a grid of rows and columns, got {tokens.grid}")
        if max(tokens.grid) > self.size:
            raise ValueError(f"patterns of {self.size} patches do not cover a grid {tokens.grid}")
        default = {"red": (1.5,), "blue": (1.0,), "green": (1.0, 2.0), "purple": (1.0, 2.0)}
        sigmas = self.sigmas or default.get(self.colour, ())
        bank = colour_patterns(self.colour, self.patterns, self.size, sigmas, self.seed)
        chosen = draws.integers(self.patterns, 1)[:, 0]
        windows = crop_patterns(
            bank.to(chosen.device)[chosen],
            (tokens.grid[0], tokens.grid[1]),
            draws.fork("window").uniform(4),
        )
        return self.from_noise(windows)

    def from_noise(self, windows: Tensor) -> Mask:
        """The mask of (B, h, w) windows: the strongest values stay visible."""
        strength = windows.flatten(1)
        order = torch.argsort(strength, dim=1, descending=True, stable=True)
        return Mask.from_order(order, visible_count(strength.shape[1], self.ratio))
