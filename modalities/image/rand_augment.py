"""RandAugment (Cubuk et al., 2020) with timm's "rand-m9-mstd0.5-inc1" table, by kornia.

Every number comes from the row's own draws, so an image's augmentation does not depend on the
batch around it. All frames of a clip get the same operations at the same strength. Pictures are
(3, H, W) in 0…1; what an affine map uncovers is mid-grey.
"""

# T frames, H rows, W columns.

from collections.abc import Callable

import kornia
import torch
from torch import Tensor

from ...core.draws import Draws

Operation = Callable[[Tensor, float, float], Tensor]
_LEVELS = 10.0
_PROBABILITY = 0.5  # that a chosen operation is applied (timm)


def rand_augment(
    images: Tensor, draws: Draws, *, magnitude: float, spread: float, n_operations: int = 2
) -> Tensor:
    """Each image after `n_operations` operations, chosen and applied by its own draws.

    Args:
        images: (B, 3, H, W) float32 in 0…1, or clips (B, 3, T, H, W).
        draws: B rows.
        magnitude: 0…10 (paper: M = 9 of 10).
        spread: standard deviation of the magnitude.
        n_operations: choices per image (paper: N = 2); each is applied with probability 0.5.

    Returns:
        The same shape, in 0…1.
    """
    choice = draws.fork("choice").integers(len(OPERATIONS), n_operations).tolist()
    numbers = draws.fork("use").uniform(n_operations, 2).tolist()
    level = (magnitude + spread * draws.fork("level").normal(n_operations)).clamp(0, _LEVELS)
    rows = []
    for image, chosen, use, levels in zip(images, choice, numbers, level.tolist(), strict=True):
        row = image[None] if image.ndim == 3 else image.transpose(0, 1)
        for operation, (applied, sign), m in zip(chosen, use, levels, strict=True):
            if applied < _PROBABILITY:
                row = OPERATIONS[operation](row, m / _LEVELS, 1.0 if sign < 0.5 else -1.0)
        row = row.clamp(0, 1)
        rows.append(row[0] if image.ndim == 3 else row.transpose(0, 1))
    return torch.stack(rows)


def _affine(image: Tensor, matrix: list[list[float]]) -> Tensor:
    """Images (T, 3, H, W) moved by a 2×3 matrix in pixels, grey where nothing was."""
    theta = torch.tensor([matrix] * len(image), dtype=image.dtype, device=image.device)
    grey = torch.full((3,), 0.5, dtype=image.dtype, device=image.device)
    size = (image.shape[-2], image.shape[-1])
    return kornia.geometry.transform.warp_affine(
        image, theta, size, padding_mode="fill", fill_value=grey
    )


def _rotate(image: Tensor, m: float, sign: float) -> Tensor:
    grey = torch.full((3,), 0.5, dtype=image.dtype, device=image.device)
    height, width = image.shape[-2:]
    centre = torch.tensor([[(width - 1) / 2, (height - 1) / 2]], device=image.device)
    angle = torch.tensor([sign * 30.0 * m], device=image.device)
    matrix = kornia.geometry.transform.get_rotation_matrix2d(
        centre, angle, torch.ones(1, 2, device=image.device)
    )
    return kornia.geometry.transform.warp_affine(
        image, matrix.expand(len(image), -1, -1), (height, width),
        padding_mode="fill", fill_value=grey,
    )  # fmt: skip


def _shear_x(image: Tensor, m: float, sign: float) -> Tensor:
    return _affine(image, [[1.0, sign * 0.3 * m, 0.0], [0.0, 1.0, 0.0]])


def _shear_y(image: Tensor, m: float, sign: float) -> Tensor:
    return _affine(image, [[1.0, 0.0, 0.0], [sign * 0.3 * m, 1.0, 0.0]])


def _translate_x(image: Tensor, m: float, sign: float) -> Tensor:
    return _affine(image, [[1.0, 0.0, sign * 0.45 * m * image.shape[-1]], [0.0, 1.0, 0.0]])


def _translate_y(image: Tensor, m: float, sign: float) -> Tensor:
    return _affine(image, [[1.0, 0.0, 0.0], [0.0, 1.0, sign * 0.45 * m * image.shape[-2]]])


def _auto_contrast(image: Tensor, m: float, sign: float) -> Tensor:
    low, high = image.amin((-2, -1), keepdim=True), image.amax((-2, -1), keepdim=True)
    return torch.where(high > low, (image - low) / (high - low).clamp(min=1e-6), image)


def _equalize(image: Tensor, m: float, sign: float) -> Tensor:
    return kornia.enhance.equalize(image.clamp(0, 1))


def _invert(image: Tensor, m: float, sign: float) -> Tensor:
    return 1 - image


def _posterize(image: Tensor, m: float, sign: float) -> Tensor:
    return kornia.enhance.posterize(image.clamp(0, 1), 4 - int(4 * m))


def _solarize(image: Tensor, m: float, sign: float) -> Tensor:
    threshold = (256 - min(int(256 * m), 256)) / 255
    return torch.where(image < threshold, image, 1 - image)


def _solarize_add(image: Tensor, m: float, sign: float) -> Tensor:
    return torch.where(image < 128 / 255, (image + int(110 * m) / 255).clamp(max=1), image)


def _blend(other: Tensor, image: Tensor, m: float, sign: float) -> Tensor:
    """`other` at factor 0, the image at 1, beyond it above: factor 1 ± 0.9 m, at least 0.1."""
    factor = max(0.1, 1 + sign * 0.9 * m)
    return (other + factor * (image - other)).clamp(0, 1)


def _colour(image: Tensor, m: float, sign: float) -> Tensor:
    grey = kornia.color.rgb_to_grayscale(image)
    return _blend(grey, image, m, sign)


def _contrast(image: Tensor, m: float, sign: float) -> Tensor:
    mean = kornia.color.rgb_to_grayscale(image).mean((-2, -1), keepdim=True)
    return _blend(mean, image, m, sign)


def _brightness(image: Tensor, m: float, sign: float) -> Tensor:
    return _blend(torch.zeros_like(image), image, m, sign)


def _sharpness(image: Tensor, m: float, sign: float) -> Tensor:
    smooth = torch.tensor([[[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]], device=image.device) / 13
    return _blend(kornia.filters.filter2d(image, smooth), image, m, sign)


OPERATIONS: tuple[Operation, ...] = (
    _auto_contrast, _equalize, _invert, _rotate, _posterize, _solarize, _solarize_add, _colour,
    _contrast, _brightness, _sharpness, _shear_x, _shear_y, _translate_x, _translate_y,
)  # fmt: skip
