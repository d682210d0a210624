"""Which part of its frames a clip shows: one box for all frames, then resized."""

# T frames, H rows, W columns, S side of the result.

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.draws import Draws
from ..image.cropping import central_part, resized
from ..image.decoding import Box

SCALES = (1.0, 0.875, 0.75, 0.66)
_SNAP = 3  # a side nearer than this to the input's is taken for it
_FURTHEST = 1  # steps of the scales between width and height
_STEPS = 4
# places in quarters of the free room: the 3 × 3 grid, and the four points between
_PLACES = (
    *((x, y) for y in (0, 2, 4) for x in (0, 2, 4)),
    *((x, y) for y in (1, 3) for x in (1, 3)),
)  # fmt: skip


def multi_scale_box(size: tuple[int, int], target: int, draws: Draws) -> Box:
    """The multi-scale crop of Wang et al. (2016, TSN §3.2), which VideoMAE is pre-trained with.

    Sides are the short side times 1, 0.875, 0.75 or 0.66; width and height are at most one step
    apart; the box lies at one of 13 fixed places.

    Args:
        size: (width, height) of the frames.
        target: S; a side within 3 pixels of it is made equal to it, so that nothing is resized.
        draws: one row.

    Returns:
        (left, top, right, bottom).
    """
    short = min(size)
    sides = [int(short * scale) for scale in SCALES]
    sides = [target if abs(side - target) < _SNAP and target <= short else side for side in sides]
    pairs = [
        (w, h)
        for i, h in enumerate(sides)
        for j, w in enumerate(sides)
        if abs(i - j) <= _FURTHEST
    ]  # fmt: skip
    width, height = pairs[int(draws.fork("scale").integers(len(pairs))[0])]
    across, down = _PLACES[int(draws.fork("place").integers(len(_PLACES))[0])]
    left = (size[0] - width) // _STEPS * across
    top = (size[1] - height) // _STEPS * down
    return (left, top, left + width, top + height)


def cut(frames: NDArray[np.uint8], box: Box, target: int, *, bilinear: bool = False) -> Tensor:
    """A box of frames (T, H, W, 3), resized: (T, 3, S, S) uint8."""
    left, top, right, bottom = box
    part = frames[:, top:bottom, left:right]
    return resized(part, (target, target), "bilinear" if bilinear else "bicubic")


def evaluation_crops(
    frames: NDArray[np.uint8], target: int, crop_share: float, crops: int
) -> list[Tensor]:
    """Squares along the longer side, spread evenly from end to end; one is the centre.

    Args:
        frames: (T, H, W, 3).
        target: S.
        crop_share: S / the short side after the resize.
        crops: how many squares.

    Returns:
        `crops` tensors (T, 3, S, S) uint8.
    """
    left, top, right, bottom = central_part(frames.shape[2], frames.shape[1])
    width, height = right - left, bottom - top
    short = int(target / crop_share)
    size = (
        (int(short * height / width), short)
        if width <= height
        else (short, int(short * width / height))
    )
    whole = resized(frames[:, top:bottom, left:right], size)
    free = [side - target for side in size]
    places = [crop / (crops - 1) for crop in range(crops)] if crops > 1 else [0.5]
    found = []
    for place in places:
        top, left = (
            round(room * (place if size[axis] > min(size) else 0.5))
            for axis, room in enumerate(free)
        )
        found.append(whole[..., top : top + target, left : left + target])
    return found
