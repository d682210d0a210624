"""Images to patch vectors and back: exact inverses, channel fastest, patches row-major."""

# B images, C channels, H rows, W columns, p patch side, N patches.

from torch import Tensor

from ...core.errors import UsageError


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """The patch vectors of images; value (i p + j) C + c is row i, column j, channel c.

    Args:
        images: (B, C, H, W).
        patch_size: p.

    Returns:
        (B, N, p p C), patches row-major (He et al., 2022, official code).

    Raises:
        UsageError: p does not divide the sides.

    Example:
        >>> import torch
        >>> patchify(torch.arange(12.0).reshape(1, 3, 2, 2), 2)
        tensor([[[ 0.,  4.,  8.,  1.,  5.,  9.,  2.,  6., 10.,  3.,  7., 11.]]])
    """
    b, c, height, width = images.shape
    rows, columns = grid_of((height, width), patch_size)
    split = images.reshape(b, c, rows, patch_size, columns, patch_size)
    return split.permute(0, 2, 4, 3, 5, 1).reshape(b, rows * columns, patch_size**2 * c)


def unpatchify(patches: Tensor, grid: tuple[int, int], channels: int = 3) -> Tensor:
    """The images of patch vectors, the inverse of `patchify`.

    Args:
        patches: (B, N, p p C).
        grid: (rows, columns) of patches.
        channels: C.

    Returns:
        (B, C, rows p, columns p).

    Raises:
        UsageError: the grid does not hold N patches, or the vectors are no square patches.
    """
    b, n, values = patches.shape
    rows, columns = grid
    side = round((values / channels) ** 0.5)
    if rows * columns != n or side * side * channels != values:
        raise UsageError(
            f"{n} patches of {values} values are no grid {rows}×{columns} of square patches "
            f"with {channels} channels",
            "give the grid and the channels with which they were made",
        )
    split = patches.reshape(b, rows, columns, side, side, channels)
    return split.permute(0, 5, 1, 3, 2, 4).reshape(b, channels, rows * side, columns * side)


def grid_of(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """(rows, columns) of patches in an image of (height, width).

    Raises:
        UsageError: the patch size does not divide the sides.
    """
    height, width = size
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise UsageError(
            f"patch size {patch_size} does not divide an image of {height}×{width} pixels",
            "choose a patch size that divides both sides",
        )
    return height // patch_size, width // patch_size
