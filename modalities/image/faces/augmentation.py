"""The augmentation of recognition training: crops on black, low resolution, light, erasing.

The augmenter of AdaFace (Kim et al., 2022) with random erasing after it, as Vec2Face's recognisers
are trained; its horizontal flip is the image adapter's. Two small differences: of the five
interpolations of the low resolution, Lanczos is left out, and values are not rounded to 8 bits
between the operations.
"""

# B pictures, S side, k of them chosen.

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from ....core.config import Config
from ....core.draws import Draws
from ..augmentation import erase
from ..cropping import random_box

Probability = Annotated[float, Field(ge=0, le=1)]

_CROP_SCALE, _CROP_RATIO = (0.2, 1.0), (3 / 4, 4 / 3)
_SMALLEST = 0.2  # of the side, in low resolution
_INTERPOLATIONS = ("nearest-exact", "bilinear", "area", "bicubic")
_STRENGTH = 0.5  # factors of light lie in 1 ± this
_LUMA = (0.299, 0.587, 0.114)
_BLACK = -1.0


class FaceAugment(Config):
    """How likely each operation is, picture by picture; the defaults are the published recipe.

    Attributes:
        crop: all but a random rectangle (20 … 100 % of the area) becomes black; nothing is resized.
        low_res: scaled down to 20 … 100 % of the side and up again.
        light: brightness, contrast and saturation by factors 0.5 … 1.5, in random order.
        erase: a random rectangle becomes mid-grey.

    Example:
        >>> faces = torch.rand(2, 3, 112, 112) * 2 - 1
        >>> FaceAugment()(faces, Draws(seed=0, ids=torch.arange(2))).shape
        torch.Size([2, 3, 112, 112])
    """

    crop: Probability = 0.3
    low_res: Probability = 0.3
    light: Probability = 0.3
    erase: Probability = 0.5

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The changed pictures (B, 3, S, S) in [-1, 1], by each one's own draws."""
        draws = replace(draws, ids=draws.ids.cpu())  # the host decides which picture gets what
        changed = images.clone()
        operations = {"crop": _on_black, "low-res": _low_resolution, "light": _lit}
        for (name, operation), share in zip(
            operations.items(), (self.crop, self.low_res, self.light), strict=True
        ):
            own = draws.fork(name)
            chosen = torch.nonzero(own.fork("use").uniform() < share)[:, 0].tolist()
            if chosen:
                rows = replace(own, ids=own.ids[chosen])
                changed[chosen] = operation(changed[chosen], rows)
        return erase(changed, draws.fork("erase"), self.erase, value=0.0) if self.erase else changed


def _on_black(images: Tensor, draws: Draws) -> Tensor:
    """Each picture's random rectangle in its place on black."""
    height, width = images.shape[-2:]
    result = torch.full_like(images, _BLACK)
    for row in range(len(images)):
        own = replace(draws, ids=draws.ids[row : row + 1])
        left, top, right, bottom = random_box((width, height), _CROP_SCALE, _CROP_RATIO, own)
        window = (row, slice(None), slice(top, bottom), slice(left, right))
        result[window] = images[window]
    return result


def _low_resolution(images: Tensor, draws: Draws) -> Tensor:
    """Each picture smaller and back, by two interpolations of its own."""
    side = images.shape[-1]
    shares = _SMALLEST + (1 - _SMALLEST) * draws.fork("side").uniform()
    modes = draws.fork("mode").integers(len(_INTERPOLATIONS), 2).tolist()
    result = torch.empty_like(images)
    for row, (share, (down, up)) in enumerate(zip(shares.tolist(), modes, strict=True)):
        small = max(1, int(share * side))
        less = interpolate(images[row : row + 1], size=small, mode=_INTERPOLATIONS[down])
        result[row] = interpolate(less, size=side, mode=_INTERPOLATIONS[up])[0]
    return result.clamp_(-1, 1)


def _lit(images: Tensor, draws: Draws) -> Tensor:
    """Each picture under other light, the three changes in an order of its own."""
    factors = 1 + _STRENGTH * (2 * draws.fork("factor").uniform(len(_LIGHTS)) - 1)
    orders = draws.fork("order").permutation(len(_LIGHTS)).tolist()
    lit = images.add(1).div_(2)
    for place in range(len(_LIGHTS)):
        for kind, other in enumerate(_LIGHTS):
            rows = [row for row, order in enumerate(orders) if order[place] == kind]
            if rows:
                mine, factor = lit[rows], factors[rows, kind].to(lit)[:, None, None, None]
                lit[rows] = torch.lerp(other(mine), mine, factor).clamp_(0, 1)
    return lit.mul_(2).sub_(1)


def _grey(images: Tensor) -> Tensor:
    weights = images.new_tensor(_LUMA)[:, None, None]
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def _mean_grey(images: Tensor) -> Tensor:
    return _grey(images).mean((-2, -1), keepdim=True).expand_as(images)


# what a picture in 0…1 is at factor 0: black, its mean grey, itself without colour
_LIGHTS: tuple[Callable[[Tensor], Tensor], ...] = (torch.zeros_like, _mean_grey, _grey)
