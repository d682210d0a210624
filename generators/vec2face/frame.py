"""The embedding frame: the units in which a generator's vectors are sampled, moved and compared.

u = (E(x) - m) · s. Official ArcFace weights: m = 0, s = 1. Nets whose raw vectors all point one
way (strangers at cosine 0.8) get the mean of the training vectors as m, and s such that a vector's
values spread as ArcFace's do, so that σ, τ and norms mean the same everywhere.
"""

# B vectors, d width.

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import UsageError, ValidationError

logger = logging.getLogger(__name__)

ARCFACE_STD = 0.967  # per dimension, of ArcFace-R100 vectors of WebFace4M (official loader)
ARCFACE_NORM = 21.9  # their mean norm
_NORM_FACTOR = 2.0  # a mean norm further off than this is worth a word

Array = TypeVar("Array", Tensor, NDArray[np.floating])


@dataclass(frozen=True)
class Frame:
    """An affine change of a recognition net's raw vectors.

    Attributes:
        mean: (d,) float32, m.
        scale: s > 0.
        norm: the mean norm of real faces in the frame.

    Example:
        >>> frame = Frame(np.float32([1, 2]), scale=2.0, norm=1.0)
        >>> frame.to_frame(np.float32([[2, 2]])), frame.from_frame(np.float32([[2, 0]]))
        (array([[2., 0.]], dtype=float32), array([[2., 2.]], dtype=float32))
    """

    mean: NDArray[np.float32]
    scale: float
    norm: float

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or not np.isfinite(self.mean).all():
            raise ValidationError(
                f"embedding frame: expected a finite mean of shape (d,), got {self.mean.shape}"
            )
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValidationError(f"embedding frame: expected a scale > 0, got {self.scale}")

    @classmethod
    def official(cls, width: int = 512) -> "Frame":
        """The frame of the published weights: raw vectors."""
        return cls(np.zeros(width, dtype=np.float32), 1.0, ARCFACE_NORM)

    @classmethod
    def fit(cls, vectors: NDArray[np.floating], std: float = ARCFACE_STD) -> "Frame":
        """The frame in which raw vectors (n, d) have mean 0 and the root mean variance `std`².

        Raises:
            ValidationError: fewer than two vectors, all the same, or not finite.
        """
        wide = np.asarray(vectors, dtype=np.float64)
        spread = float(np.sqrt(wide.var(axis=0).mean())) if len(wide) > 1 else 0.0
        if not (np.isfinite(spread) and spread > 0):
            raise ValidationError(
                f"embedding frame: expected two or more different finite vectors, "
                f"got {len(wide)} with deviation {spread}",
                "give the raw vectors of the training faces",
            )
        mean = wide.mean(axis=0).astype(np.float32)
        scale = std / spread
        norm = float(np.linalg.norm((wide - mean) * scale, axis=1).mean())
        return cls(mean, scale, norm)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Frame":
        """The frame that `to_dict` wrote."""
        mean = np.asarray(values["mean"], dtype=np.float32)
        return cls(mean, float(values["scale"]), float(values["norm"]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; float32 numbers come back the same."""
        return {"mean": self.mean.tolist(), "scale": self.scale, "norm": self.norm}

    @property
    def width(self) -> int:
        """Values of a vector, d."""
        return len(self.mean)

    def to_frame(self, raw: Array) -> Array:
        """Raw vectors (B, d) in the frame's units; differentiable for tensors."""
        return (raw - _like(self.mean, raw)) * self.scale

    def from_frame(self, vectors: Array) -> Array:
        """The raw vectors (B, d) of vectors in the frame."""
        return vectors / self.scale + _like(self.mean, vectors)

    def check(self, vectors: NDArray[np.floating], name: str) -> None:
        """Refuse what cannot be vectors of this frame, warn of what hardly can.

        Args:
            vectors: (B, d) in the frame's units.
            name: what they are, for the message.

        Raises:
            UsageError: another width.
            ValidationError: NaN or infinity; names the row.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise UsageError(
                f"{name}: expected vectors of width {self.width}, got shape {vectors.shape}",
                "use vectors of the recognition net that the weights were trained with",
            )
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise ValidationError(
                f"{name} row {int(np.argmax(bad))}: expected finite numbers, got NaN or infinity",
                "look at what produced it",
            )
        norm = float(np.linalg.norm(np.asarray(vectors, np.float64), axis=1).mean())
        if len(vectors) and not self.norm / _NORM_FACTOR <= norm <= self.norm * _NORM_FACTOR:
            logger.warning(
                "%s: the mean norm is %.3g, the weights' own vectors have %.3g; pictures will be "
                "poor (are these normalized, or vectors of another net?)",
                name, norm, self.norm,
            )  # fmt: skip


def _like(mean: NDArray[np.float32], values: Array) -> Array:
    if isinstance(values, Tensor):
        return torch.as_tensor(mean, dtype=values.dtype, device=values.device)
    return mean.astype(values.dtype)
