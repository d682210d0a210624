"""Which part of a picture a model sees, and how it is resized: cropped, then antialiased bicubic.

The resize is PyTorch's on uint8: within 2 of 255 of Pillow's, which the published numbers were made
with (held by tests/modalities/test_cropping.py), and 4 to 5 times faster: 0.22 against 1.06 ms for
300 × 260 → 224² on one AVX-512 core.
"""

# S side of the result.

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

from ...core.draws import Draws
from .decoding import Box, Picture

_ATTEMPTS = 10
_LONGEST = 4  # long side / short side beyond which a centre crop needs not see all of a picture


def random_box(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float], draws: Draws
) -> Box:
    """The RandomResizedCrop of Szegedy et al. (2015, section 6): an area, an aspect, a place.

    Ten times an area share uniform in `scale` and a log-uniform aspect in `ratio` are tried;
    where none fits, the largest centred crop whose aspect lies in `ratio`.

    Args:
        size: (width, height) of the picture.
        scale: smallest and largest share of the area.
        ratio: smallest and largest width / height.
        draws: one row.

    Returns:
        (left, top, right, bottom).
    """
    width, height = size
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for n in (1, _ATTEMPTS):  # the first mostly fits; drawing it alone gives the same numbers
        for numbers in draws.uniform(n, 4)[0].tolist():
            area = width * height * (scale[0] + numbers[0] * (scale[1] - scale[0]))
            aspect = math.exp(low + numbers[1] * (high - low))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left = math.floor(numbers[2] * (width - w + 1))
                top = math.floor(numbers[3] * (height - h + 1))
                return (left, top, left + w, top + h)
    return _largest_box(width, height, ratio)


def _largest_box(width: int, height: int, ratio: tuple[float, float]) -> Box:
    w, h = width, height
    if width / height < ratio[0]:
        h = max(round(width / ratio[0]), 1)
    elif width / height > ratio[1]:
        w = max(round(height * ratio[1]), 1)
    left, top = (width - w) // 2, (height - h) // 2
    return (left, top, left + w, top + h)


def cut(picture: Picture, box: Box, target: int, *, reduced_decode: bool = True) -> Tensor:
    """A box of a picture, resized: (3, S, S) uint8.

    Args:
        picture: opened, not yet decoded.
        box: in pixels of the whole picture.
        target: S.
        reduced_decode: decode a JPEG smaller where the box is at least twice the target.

    Raises:
        DataError: the file is damaged; names it.
    """
    factor = reduction((box[2] - box[0], box[3] - box[1]), target) if reduced_decode else 1
    return resized(picture.pixels(box, factor), (target, target))


def centre(
    picture: Picture, target: int, crop_share: float, *, reduced_decode: bool = True
) -> Tensor:
    """The short side resized to S / crop_share, then the central S × S: (3, S, S) uint8.

    Args:
        picture: opened, not yet decoded.
        target: S.
        crop_share: side of the crop / short side after the resize (0.875 = 224 of 256).
        reduced_decode: decode a JPEG smaller where that suffices.

    Raises:
        DataError: the file is damaged; names it.
    """
    width, height = picture.size
    short = int(target / crop_share)
    box = central_part(width, height)
    factor = reduction(picture.size, short) if reduced_decode else 1
    pixels = picture.pixels(box, factor)
    width, height = box[2] - box[0], box[3] - box[1]
    size = (
        (int(short * height / width), short)
        if width <= height
        else (short, int(short * width / height))
    )
    image = resized(pixels, size)
    top, left = (round((side - target) / 2) for side in size)
    return image[:, top : top + target, left : left + target]


def central_part(width: int, height: int) -> Box:
    """All of a picture, or the middle of a very long one, which would not fit into memory."""
    w, h = min(width, _LONGEST * height), min(height, _LONGEST * width)
    left, top = (width - w) // 2, (height - h) // 2
    return (left, top, left + w, top + h)


def resized(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    mode: Literal["bicubic", "bilinear"] = "bicubic",
) -> Tensor:
    """Pixels ([T,] H, W, 3) at another (height, width): ([T,] 3, height, width) uint8."""
    image = torch.from_numpy(pixels).movedim(-1, -3)
    if tuple(image.shape[-2:]) == size:
        return image
    frames = image if image.ndim == 4 else image[None]
    scaled = functional.interpolate(frames, size=size, mode=mode, antialias=True)
    return scaled if image.ndim == 4 else scaled[0]


def reduction(size: tuple[int, int], target: int) -> int:
    """How much smaller (1, 2, 4, 8) a box of (width, height) may be decoded for `target`."""
    share = min(size) / target
    return max(factor for factor in (1, 2, 4, 8) if factor <= max(share, 1))


def resize_short_side(
    image: Pillow.Image, short_side: int, filter: Pillow.Resampling = Pillow.Resampling.BICUBIC
) -> Pillow.Image:
    """The whole image, antialiased, its short side `short_side` pixels (enlarged where smaller)."""
    factor = short_side / min(image.size)
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return image.resize(size, filter)


def whole(picture: Picture, short_side: int | None = None) -> NDArray[np.uint8]:
    """All of a picture (H, W, 3), at full size or scaled down (never up) to a short side.

    Raises:
        DataError: the file is damaged; names it.
    """
    if short_side is None or short_side >= min(picture.size):
        return picture.pixels()
    image = picture.image(reduction(picture.size, short_side))
    return np.asarray(resize_short_side(image, short_side))
