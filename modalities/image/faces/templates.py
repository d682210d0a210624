"""Face templates: which crop an aligned picture is, and how one crop maps to another.

A template names a square crop by its size and by the places of five landmarks in it. Pictures of
one template and a net of another must not meet: `between` knows the fixed similarity where there
is one, and refuses where there is none.

Pixel coordinates are (x, y) with whole numbers at pixel centres.
"""

# B images, S source side, T target side.

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ....core.errors import UsageError, nearest

# left and right eye, nose tip, left and right corner of the mouth, as seen in the picture
LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
ARCFACE_112 = "arcface-112"
DLIB_150 = "dlib-150"
# the 96 × 112 template of SphereFace with 8 added in x (Deng et al., 2019, official code)
_ARCFACE_POINTS = (
    (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
    (70.7299, 92.2041),
)  # fmt: skip
# point p of dlib's 150-pixel chip (margin 25 %) → 0.685 p + (5.4, 21.1) in the 112-pixel chip:
# fitted between the two crops of the same faces
_DLIB_SCALE = 0.685
_DLIB_SHIFT = (5.4, 21.1)


@dataclass(frozen=True, eq=False)
class Template:
    """A named square crop of a face.

    Attributes:
        name: what users and weights files call it.
        size: side in pixels.
        points: (5, 2) float64, where `LANDMARKS` lie in the crop.
    """

    name: str
    size: int
    points: NDArray[np.float64]


def _fixed(scale: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (2, 3) matrix that undoes a (2, 3) one."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def apply(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The images (N, 2) of points (N, 2) under a (2, 3) matrix."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


_TO_ARCFACE = _fixed(_DLIB_SCALE, _DLIB_SHIFT)
_BETWEEN = {(DLIB_150, ARCFACE_112): _TO_ARCFACE, (ARCFACE_112, DLIB_150): inverse(_TO_ARCFACE)}


def _templates() -> dict[str, Template]:
    arcface = np.array(_ARCFACE_POINTS)
    # dlib's own five landmarks are corners of the eyes and the base of the nose; ours are where
    # the fixed similarity puts them, so that aligning and converting agree
    dlib = apply(inverse(_TO_ARCFACE), arcface)
    known = (Template(ARCFACE_112, 112, arcface), Template(DLIB_150, 150, dlib))
    for each in known:
        each.points.setflags(write=False)
    return {each.name: each for each in known}


TEMPLATES: dict[str, Template] = _templates()


def template(name: str) -> Template:
    """The template of that name.

    Raises:
        UsageError: unknown; names the nearest one.

    Example:
        >>> template("arcface-112").size
        112
    """
    if name not in TEMPLATES:
        raise UsageError(f"unknown face template '{name}'", nearest(name, TEMPLATES))
    return TEMPLATES[name]


def between(source: str, target: str) -> NDArray[np.float64]:
    """The (2, 3) float64 similarity from pixels of one template to pixels of another.

    Raises:
        UsageError: a name is unknown, or no similarity between the two is known.

    Example:
        >>> apply(between("dlib-150", "arcface-112"), np.array([[100.0, 100.0]])).tolist()
        [[73.9, 89.6]]
    """
    if template(source) is template(target):
        return np.eye(2, 3)
    if (source, target) not in _BETWEEN:
        raise UsageError(
            f"pictures of the template '{source}' cannot be made into '{target}': no fixed "
            "similarity between the two is known",
            f"prepare them with `masquerade data prepare faces --template {target}`",
        )
    return _BETWEEN[source, target].copy()


def convert(images: Tensor, source: str, target: str) -> Tensor:
    """Pictures of one template as pictures of another: bilinear, differentiable.

    What lies outside a picture is taken from its border.

    Args:
        images: (B, C, S, S) floating point, S the side of `source`.
        source: their template.
        target: the wanted template.

    Returns:
        (B, C, T, T); the very images where the two templates are one.

    Raises:
        UsageError: the pictures are not of the source's size, or the pair is unknown.
    """
    side, new = template(source).size, template(target).size
    if images.ndim != 4 or tuple(images.shape[-2:]) != (side, side):
        raise UsageError(
            f"pictures of the template '{source}' have shape (B, C, {side}, {side}), "
            f"got {tuple(images.shape)}",
            "name the template that they were prepared with",
        )
    backward = between(target, source)
    if source == target:
        return images
    grid = functional.affine_grid(
        _unit_coordinates(backward, side, new).to(images)[None],
        [1, images.shape[1], new, new],
        align_corners=True,
    )
    return functional.grid_sample(
        images,
        grid.expand(len(images), -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )


def _unit_coordinates(backward: NDArray[np.float64], side: int, new: int) -> Tensor:
    """A (2, 3) matrix from pixels to pixels, restated from [-1, 1] to [-1, 1] of pixel centres."""
    linear = backward[:, :2] * ((new - 1) / (side - 1))
    centre = apply(backward, np.full((1, 2), (new - 1) / 2))[0]
    shift = 2 * centre / (side - 1) - 1
    return torch.from_numpy(np.concatenate([linear, shift[:, None]], axis=1))
