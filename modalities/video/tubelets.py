"""Clips to tubelet vectors and back: exact inverses, channel fastest, tubelets row-major."""

# B clips, C channels, T frames, H rows, W columns, t frames of a tubelet, p patch side, N tubelets.

from torch import Tensor

from ...core.errors import UsageError


def patchify(clips: Tensor, tubelet: int, patch_size: int) -> Tensor:
    """The tubelet vectors of clips; value ((f p + i) p + j) C + c is frame f, row i, column j.

    Args:
        clips: (B, C, T, H, W).
        tubelet: t.
        patch_size: p.

    Returns:
        (B, N, t p p C), tubelets in the order time, rows, columns (Tong et al., 2022, official
        code).

    Raises:
        UsageError: t or p do not divide the clip.

    Example:
        >>> import torch
        >>> patchify(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2, 1)
        tensor([[[0., 4.],
                 [1., 5.],
                 [2., 6.],
                 [3., 7.]]])
    """
    b, c, frames, height, width = clips.shape
    slots, rows, columns = grid_of((frames, height, width), tubelet, patch_size)
    split = clips.reshape(b, c, slots, tubelet, rows, patch_size, columns, patch_size)
    order = split.permute(0, 2, 4, 6, 3, 5, 7, 1)
    return order.reshape(b, slots * rows * columns, tubelet * patch_size**2 * c)


def unpatchify(
    tubelets: Tensor, grid: tuple[int, int, int], tubelet: int, channels: int = 3
) -> Tensor:
    """The clips of tubelet vectors, the inverse of `patchify`.

    Args:
        tubelets: (B, N, t p p C).
        grid: (slots, rows, columns) of tubelets.
        tubelet: t.
        channels: C.

    Returns:
        (B, C, slots t, rows p, columns p).

    Raises:
        UsageError: the grid does not hold N tubelets, or the vectors are no square tubelets.
    """
    b, n, values = tubelets.shape
    slots, rows, columns = grid
    side = round((values / channels / tubelet) ** 0.5)
    if slots * rows * columns != n or side * side * channels * tubelet != values:
        raise UsageError(
            f"{n} tubelets of {values} values are no grid {slots}×{rows}×{columns} of square "
            f"tubelets of {tubelet} frames with {channels} channels",
            "give the grid, frames and channels with which they were made",
        )
    split = tubelets.reshape(b, slots, rows, columns, tubelet, side, side, channels)
    order = split.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return order.reshape(b, channels, slots * tubelet, rows * side, columns * side)


def grid_of(size: tuple[int, int, int], tubelet: int, patch_size: int) -> tuple[int, int, int]:
    """(slots, rows, columns) of tubelets in a clip of (frames, height, width).

    Raises:
        UsageError: tubelet or patch size do not divide it.
    """
    frames, height, width = size
    parts = (frames, tubelet), (height, patch_size), (width, patch_size)
    if any(part < 1 or whole % part for whole, part in parts):
        raise UsageError(
            f"tubelets of {tubelet} frames and {patch_size}² pixels do not divide a clip of "
            f"{frames} frames of {height}×{width} pixels",
            "choose a tubelet and a patch size that divide frames and sides",
        )
    return frames // tubelet, height // patch_size, width // patch_size
