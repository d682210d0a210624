"""Fixed sin-cos position tables in one, two and three dimensions, and their interpolation."""

# D width, N tokens.

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def sincos_1d(positions: Tensor, dim: int) -> Tensor:
    """(N, dim) float64: sines of all frequencies 10000^(−k/(dim/2)), then their cosines.

    Args:
        positions: (N,) coordinates.
        dim: even width.
    """
    frequency = 10000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angle = positions.to(torch.float64)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


Positions = Literal["grid", "sequence"]  # `sincos_grid` or `sinusoid` over the flattened index


def sinusoid(count: int, dim: int) -> Tensor:
    """(N, dim) float32 table of positions 0 … N − 1, sine and cosine of a frequency side by side.

    Channel j has the angle position / 10000^(2 ⌊j / 2⌋ / dim), even channels its sine, odd ones its
    cosine (Vaswani et al., 2017, §3.5). Computed in float64.

    Args:
        count: N.
        dim: even width.
    """
    halves = sincos_1d(torch.arange(count), dim).unflatten(1, (2, dim // 2))
    return halves.transpose(1, 2).flatten(1).to(torch.float32)


def sincos_grid(
    grid: Sequence[int], dim: int, *, column_first: bool = True, n_prefix: int = 0
) -> Tensor:
    """(n_prefix + N, dim) float32 table of a row-major token grid.

    In two dimensions the width is split in halves, by default the column's first, as the
    official masked autoencoder does (its variable names say the opposite). In three dimensions
    the width is split in thirds, each rounded down to an even number, time first; what is left
    over is zero. Prefix rows (class token) are zero. Computed in float64.

    Args:
        grid: (n,), (rows, columns) or (frames, rows, columns).
        dim: D.
        column_first: whether the column's half stands before the row's (two dimensions only).
        n_prefix: zero rows put before the table.

    Raises:
        ValueError: the grid has more than three dimensions, or the width does not split.
    """
    if len(grid) not in (1, 2, 3):
        raise ValueError(f"a sin-cos table has 1 to 3 dimensions, got the grid {tuple(grid)}")
    if dim % 2:
        raise ValueError(f"a sin-cos table needs an even width, got {dim}")
    if len(grid) == 2 and dim % 4:
        raise ValueError(f"a two-dimensional sin-cos table needs a width divisible by 4: {dim}")
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    coordinates = [axis.flatten() for axis in axes]
    if len(grid) == 2 and column_first:
        coordinates.reverse()
    part = dim // len(grid) // 2 * 2
    table = torch.cat([sincos_1d(c, part) for c in coordinates], dim=1)
    table = F.pad(table, (0, dim - table.shape[1], n_prefix, 0))
    return table.to(torch.float32)


def position_table(kind: Positions, grid: Sequence[int], dim: int, n_prefix: int) -> Tensor:
    """(1, n_prefix + N, dim) table of a kind, with zero rows for the prefix (class token)."""
    if kind == "grid":
        return sincos_grid(grid, dim, n_prefix=n_prefix)[None]
    return F.pad(sinusoid(prod(grid), dim), (0, 0, n_prefix, 0))[None]


def interpolate_grid(
    table: Tensor, old: tuple[int, int], new: tuple[int, int], *, n_prefix: int = 1
) -> Tensor:
    """A (1, n_prefix + N, D) table at another grid: bicubic, corners not aligned.

    The prefix rows are kept as they are (official `pos_embed` interpolation).
    """
    prefix, body = table[:, :n_prefix], table[:, n_prefix:]
    image = body.reshape(1, *old, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(image, size=new, mode="bicubic", align_corners=False)
    return torch.cat([prefix, resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
