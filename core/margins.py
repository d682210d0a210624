"""Margins of face recognition: how the logit of a face's own class is made harder to reach.

A margin changes the cosine between a face and the weights of its own class; all other logits stay
s·cos θ. The published codes give ArcFace and CosFace the gradient of the plain cosine
(straight-through), AdaFace and MagFace that of their formula; so do we.
"""

# N faces.

import math
from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from .config import Config

STATISTICS = (20.0, 100.0)  # mean and deviation of the norms before the first batch (AdaFace)
_ROUNDING = 1e-7  # keeps the angle's gradient finite
_ADA_EPS = 1e-3
_ADA_NORMS = (1e-3, 100.0)

Angle = Annotated[float, Field(ge=0, le=math.pi)]


class Margin(Config):
    """Base of the margins.

    Attributes:
        scale: s, what all cosines are multiplied by.
    """

    scale: float = Field(default=64.0, gt=0)

    @abstractmethod
    def __call__(self, cosines: Tensor, norms: Tensor, statistics: Tensor) -> Tensor:
        """The changed cosines (N,), not yet scaled.

        Args:
            cosines: (N,) of the faces with their own classes.
            norms: (N,) of the raw embeddings.
            statistics: (2,) running mean and deviation of the norms, see `updated`.
        """

    def updated(self, statistics: Tensor, norms: Tensor) -> Tensor:  # noqa: ARG002
        """The running statistics (2,) after one more batch; only AdaFace keeps any."""
        return statistics

    def penalty(self, norms: Tensor) -> Tensor:
        """What is added to each face's loss: (N,); zero but for MagFace."""
        return torch.zeros_like(norms)


class ArcMargin(Margin):
    """cos(θ + m) (Deng et al., 2019, ArcFace, eq. 3).

    Example:
        >>> right_angle, unused = torch.zeros(1), torch.zeros(2)
        >>> round(ArcMargin(m=0.5)(right_angle, right_angle, unused).item(), 4)  # −sin 0.5
        -0.4794
    """

    kind: Literal["arcface"] = "arcface"
    m: Angle = 0.5

    def __call__(self, cosines: Tensor, norms: Tensor, statistics: Tensor) -> Tensor:  # noqa: ARG002
        """As the base says."""
        angle = cosines.detach().clamp(_ROUNDING - 1, 1 - _ROUNDING).acos()
        return cosines + ((angle + self.m).cos() - cosines.detach())


class CosMargin(Margin):
    """cos θ − m (Wang et al., 2018, CosFace, eq. 4); m 0.35 there, 0.4 in the trainers in use."""

    kind: Literal["cosface"] = "cosface"
    m: float = Field(default=0.4, ge=0, le=2)

    def __call__(self, cosines: Tensor, norms: Tensor, statistics: Tensor) -> Tensor:  # noqa: ARG002
        """As the base says."""
        return cosines - self.m


class AdaMargin(Margin):
    """cos(θ − m·z) − (m + m·z), z the norm's clipped place among others (Kim et al., 2022).

    z = clip(h·(‖f‖ − μ) / (σ + ε), −1, 1): hard margins for pictures of high norm, which are good
    ones. No gradient goes through z (eq. 13–17). The angle's margin is added, as in the paper; the
    trainer of Vec2Face's recognisers multiplies instead.

    Attributes:
        m: the margin.
        h: how much of the norms' range lies inside the clip.
        momentum: the weight of a batch in the running statistics: 0.01 in the official script,
            1 = that batch alone, as that trainer has it.
    """

    kind: Literal["adaface"] = "adaface"
    m: Angle = 0.4
    h: float = Field(default=0.333, ge=0)
    momentum: float = Field(default=0.01, gt=0, le=1)

    def __call__(self, cosines: Tensor, norms: Tensor, statistics: Tensor) -> Tensor:
        """As the base says."""
        mean, deviation = statistics.unbind()
        z = self.h * (norms.detach().clamp(*_ADA_NORMS) - mean) / (deviation + _ADA_EPS)
        z = z.clamp(-1, 1)
        angle = cosines.clamp(_ADA_EPS - 1, 1 - _ADA_EPS).acos() - self.m * z
        return angle.clamp(_ADA_EPS, math.pi - _ADA_EPS).cos() - (self.m + self.m * z)

    def updated(self, statistics: Tensor, norms: Tensor) -> Tensor:
        """The running statistics (2,) after one more batch, where that is finite."""
        seen = norms.detach().clamp(*_ADA_NORMS)
        now = torch.stack([seen.mean(), seen.std()])
        return torch.where(now.isfinite().all(), statistics.lerp(now, self.momentum), statistics)


class MagMargin(Margin):
    """cos(θ + m(a)), m linear in the norm a, the face's quality (Meng et al., 2021, MagFace).

    Attributes:
        norms: the range that a = ‖f‖ is clipped to.
        m: the margin at both ends of it.
        weight: of the term a / a_high² + 1 / a, which pulls norms up (MagFace, eq. 6): 20 in the
            trainer of Vec2Face's recognisers, 35 in the paper.
    """

    kind: Literal["magface"] = "magface"
    norms: tuple[float, float] = (10.0, 110.0)
    m: tuple[Angle, Angle] = (0.45, 0.8)
    weight: float = Field(default=20.0, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> "MagMargin":
        if not 0 < self.norms[0] < self.norms[1]:
            raise ValueError(
                f"norms go from {self.norms[0]} to {self.norms[1]}, expected 0 < a < b"
            )
        return self

    def __call__(self, cosines: Tensor, norms: Tensor, statistics: Tensor) -> Tensor:  # noqa: ARG002
        """As the base says."""
        low, high = self.norms
        slope = (self.m[1] - self.m[0]) / (high - low)
        margins = self.m[0] + slope * (norms.clamp(low, high) - low)
        inside = cosines.clamp(_ROUNDING - 1, 1 - _ROUNDING)
        sines = (1 - inside.square()).sqrt()
        return cosines * margins.cos() - sines * margins.sin()

    def penalty(self, norms: Tensor) -> Tensor:
        """The weighted term that rewards large norms: (N,)."""
        clipped = norms.clamp(*self.norms)
        return self.weight * (clipped / self.norms[1] ** 2 + 1 / clipped)


AnyMargin = Annotated[ArcMargin | CosMargin | AdaMargin | MagMargin, Field(discriminator="kind")]
