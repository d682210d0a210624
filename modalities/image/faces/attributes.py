"""What can be measured of an aligned face without a face net: light, sharpness, pose.

Pose is told by the five landmarks alone, as ratios of distances in the picture: no camera and no
model of a head is assumed, so there are no degrees but for roll.
"""

# N pictures, S side of their template.

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

SMALL_SIDE = 32  # of the grey picture that hashes and pixel differences are made of
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class Look:
    """What one picture looks like.

    Attributes:
        brightness: mean luma, in grey levels 0 … 255, as the two others.
        contrast: standard deviation of luma.
        sharpness: standard deviation of luma's discrete Laplacian (4 neighbours); 0 where blurred.
        small: (32, 32) uint8 grey picture, area means.
    """

    brightness: float
    contrast: float
    sharpness: float
    small: NDArray[np.uint8]


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """The looks of a picture (S, S, 3) uint8."""
    luma = pixels @ _LUMA
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    return Look(
        float(luma.mean()), float(luma.std()), float(laplacian.std()), small_grey(pixels)
    )  # fmt: skip


def small_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The (32, 32) uint8 area means of a picture's luma."""
    grey = Pillow.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((SMALL_SIDE, SMALL_SIDE), Pillow.Resampling.BOX))


def poses(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Yaw, pitch and roll (N, 3) of faces, from where their landmarks lie.

    Distances are taken along the line of the eyes and across it.

    - yaw: of the distances nose – left eye and nose – right eye along the eyes, (left - right) /
      (left + right): 0 frontal, about ±1 where the nose covers an eye.
    - pitch: how far down from the eyes' middle to the mouth's the nose lies: about 0.5 frontal,
      smaller looking up, larger looking down.
    - roll: the angle of the eyes' line in degrees; aligned pictures have nearly none.

    Args:
        points: (N, 5, 2) in the order of `templates.LANDMARKS`.

    Example:
        >>> face = np.array([[[0, 0], [4, 0], [3, 2], [1, 4], [3, 4]]])
        >>> poses(face).tolist()
        [[0.5, 0.5, 0.0]]
    """
    left, right, nose, *_ = (places := np.moveaxis(np.asarray(points, np.float64), 1, 0))
    mouth = places[3:].mean(axis=0)
    along = (right - left) / np.linalg.norm(right - left, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    middle = (left + right) / 2
    from_left, to_right = _dot(nose - left, along), _dot(right - nose, along)
    return np.stack([
        (from_left - to_right) / (from_left + to_right),
        _dot(nose - middle, across) / _dot(mouth - middle, across),
        np.degrees(np.arctan2(along[:, 1], along[:, 0])),
    ], axis=1)  # fmt: skip


def _dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("nd,nd->n", first, second)
