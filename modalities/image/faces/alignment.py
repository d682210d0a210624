"""Alignment: the least-squares similarity of five landmarks to a template, and the bilinear warp.

Pixel coordinates are (x, y) with whole numbers at pixel centres, as everywhere in this package.
"""

# H rows, W columns, S side of the aligned picture.

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from .templates import Template, apply, inverse

_LANDMARKS = (5, 2)


def similarity(points: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The (2, 3) float64 matrix of the similarity that maps points best onto target points.

    Least squares over rotation, scale and shift, never a reflection (Umeyama, 1991, eq. 40–43).
    In the plane that has a closed form: with points as complex numbers, the factor is the
    projection of the centred targets onto the centred points.

    Args:
        points: (5, 2) landmarks in a picture.
        target: (5, 2) their places in the template.

    Raises:
        DataError: a landmark is not finite, or all of them coincide.
    """
    source = _complex(points, "landmarks")
    wanted = _complex(target, "template points")
    centred = source - source.mean()
    spread = float(np.vdot(centred, centred).real)
    if spread <= 0:
        raise DataError("the five landmarks coincide", "leave the picture out")
    factor = np.vdot(centred, wanted - wanted.mean()) / spread
    shift = wanted.mean() - factor * source.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def _complex(points: NDArray[np.floating], what: str) -> NDArray[np.complex128]:
    values = np.asarray(points, dtype=np.float64)
    if values.shape != _LANDMARKS or not np.isfinite(values).all():
        raise DataError(
            f"{what}: expected five finite (x, y) points, got shape {values.shape}",
            "detect the face again",
        )
    return values[:, 0] + 1j * values[:, 1]


def warp(picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """The square picture that a similarity makes: bilinear, zero outside, rounded half up.

    Without a low-pass filter, as the recognition nets of the field were trained (card §6.1).

    Args:
        picture: (H, W, 3).
        matrix: (2, 3), from the picture's pixels to the result's.
        size: side S of the result.

    Returns:
        (S, S, 3).
    """
    rows, columns = np.mgrid[0:size, 0:size]
    places = apply(inverse(matrix), np.stack([columns.ravel(), rows.ravel()], axis=1))
    corner = np.floor(places).astype(np.int64)
    right, below = (places - corner).T
    total = np.zeros((size * size, picture.shape[2]))
    for dx, across in ((0, 1 - right), (1, right)):
        for dy, down in ((0, 1 - below), (1, below)):
            pixels = _pixels_or_zero(picture, corner[:, 0] + dx, corner[:, 1] + dy)
            total += (across * down)[:, None] * pixels
    return np.floor(total + 0.5).astype(np.uint8).reshape(size, size, -1)


def _pixels_or_zero(
    picture: NDArray[np.uint8], x: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.float64]:
    height, width = picture.shape[:2]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = picture[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float64)
    return pixels * inside[:, None]


def align(
    picture: NDArray[np.uint8], points: NDArray[np.floating], template: Template
) -> NDArray[np.uint8]:
    """The face as the template has it.

    Args:
        picture: (H, W, 3) RGB.
        points: (5, 2) landmarks in the order of `templates.LANDMARKS`.
        template: the wanted crop.

    Returns:
        (size, size, 3) RGB.

    Raises:
        DataError: the landmarks are not finite or coincide.
    """
    return warp(picture, similarity(points, template.points), template.size)
