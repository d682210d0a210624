"""What AttrOP can steer: differentiable estimates of an attribute, one number per picture.

Any callable of the form of `Estimator` will do; the generator need not be trained for it.
"""

# B pictures of S x S pixels, d width.

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ...core.errors import UsageError

_YAW_LIMIT = 90.0  # degrees; the official code clips there
_FLIP = 1e-6  # below this the rotation's first column is no direction


class Estimator(Protocol):
    """An attribute of pictures."""

    def __call__(self, images: Tensor) -> Tensor:
        """The attribute (B,) of pictures (B, 3, S, S), RGB in [-1, 1]; differentiable."""


class FeatureNorm:
    """Quality as the norm of a recognition net's raw feature (MagFace: Meng et al., 2021).

    Args:
        features: pictures (B, 3, S, S) in [-1, 1] → raw features (B, d); differentiable. Only a net
            trained for it (MagFace) makes the norm a quality.

    Example:
        >>> FeatureNorm(lambda images: images.mean((2, 3)))(torch.ones(1, 3, 4, 4)).item()
        1.7320507764816284
    """

    def __init__(self, features: Callable[[Tensor], Tensor]) -> None:
        self._features = features

    def __call__(self, images: Tensor) -> Tensor:
        """The norms (B,)."""
        return self._features(images).float().norm(dim=1)


class Yaw:
    """The head's yaw in degrees, clipped to ±90, by a net that gives rotation matrices (6DRepNet).

    Args:
        rotations: pictures (B, 3, S, S) → rotation matrices (B, 3, 3); BGR in [0, 1], not
            normalised further, as the official code feeds 6DRepNet. Differentiable.

    Raises:
        UsageError: no net was given.
    """

    def __init__(self, rotations: Callable[[Tensor], Tensor] | None) -> None:
        if rotations is None:
            raise UsageError(
                "a yaw target needs a head-pose net, and none is shipped",
                "give Yaw a differentiable callable: BGR pictures (B, 3, S, S) in [0, 1] -> "
                "rotation matrices (B, 3, 3), such as 6DRepNet with its weights "
                "6DRepNet_300W_LP_AFLW2000, or leave the yaw target out",
            )
        self._rotations = rotations

    def __call__(self, images: Tensor) -> Tensor:
        """Yaw (B,) in degrees."""
        yaw = rotation_yaw(self._rotations((images.flip(1) + 1) / 2))
        return yaw.clamp(-_YAW_LIMIT, _YAW_LIMIT)


def rotation_yaw(rotations: Tensor) -> Tensor:
    """The angle about the vertical axis, in degrees, of R = Rz Ry Rx: (B, 3, 3) → (B,).

    Example:
        >>> rotation_yaw(torch.eye(3)[None]).item()
        -0.0
    """
    first = rotations[:, :, 0]  # the first column: cos y cos z, cos y sin z, -sin y
    length = (first[:, 0].square() + first[:, 1].square()).clamp_min(_FLIP**2).sqrt()
    return torch.atan2(-first[:, 2], length) * (180 / math.pi)
