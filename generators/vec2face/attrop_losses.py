"""Settings and loss terms of AttrOP: targets, weights, gates (Wu et al., 2025; Vec2Face+)."""

# B rows.

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Config


class AttrOpSettings(Config):
    """Targets, weights and gates; the defaults are Vec2Face's, with the cap of Vec2Face+."""

    quality_target: float | None = 27.0  # q*, in units of the estimator; None = no such term
    pose_target: float | None = Field(default=None, ge=0, le=90)  # p*, degrees of |yaw|
    id_weight: float = Field(default=100.0, ge=0)
    quality_weight: float = Field(default=1.0, ge=0)
    pose_weight: float = Field(default=1.0, ge=0)
    id_slack: float = Field(default=0.0, ge=0)  # target_sim: smaller distances do not count
    id_gate: float = Field(default=0.3, ge=0)
    quality_gate: float = Field(default=1.0, ge=0)
    pose_gate: float = Field(default=5.0, ge=0)
    lr: float = Field(default=0.1, gt=0)
    passes: int = Field(default=1, ge=1)  # num_iter: measurements that must pass
    cap: int = Field(default=30, ge=0)  # steps
    gate: Literal["sample", "batch"] = "sample"


PLUS = AttrOpSettings(
    quality_target=24.0, id_weight=1.0, quality_weight=1 / 30, pose_weight=1 / 90, id_slack=0.3
)


@dataclass(frozen=True)
class AttrLosses:
    """Unweighted losses of rows.

    Attributes:
        identity: (B,) 1 - cosine with the wanted identity.
        quality: (B,) how much quality is missing; 0 without a target.
        pose: (B,) degrees off the wanted |yaw|; 0 without a target.
    """

    identity: Tensor
    quality: Tensor
    pose: Tensor

    def total(self, settings: AttrOpSettings) -> Tensor:
        """The weighted sum (B,)."""
        counted = torch.where(self.identity > settings.id_slack, self.identity, 0.0)
        return settings.id_weight * counted + self.attributes(settings)

    def attributes(self, settings: AttrOpSettings) -> Tensor:
        """The weighted sum (B,) without the identity."""
        return settings.quality_weight * self.quality + settings.pose_weight * self.pose

    def holds_identity(self, settings: AttrOpSettings) -> Tensor:
        """(B,) bool."""
        return self.identity <= settings.id_gate

    def passes(self, settings: AttrOpSettings) -> Tensor:
        """Whether all gates hold: (B,) bool."""
        attributes = (self.quality <= settings.quality_gate) & (self.pose <= settings.pose_gate)
        return self.holds_identity(settings) & attributes

    def mean(self) -> "AttrLosses":
        """The batch's means, as one row."""
        return AttrLosses(*(part.mean().reshape(1) for part in self.parts()))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Identity, quality, pose."""
        return self.identity, self.quality, self.pose
