"""The settings that the hierarchical point methods share."""

from typing import Annotated

from pydantic import Field, model_validator

from ..config import Config
from ..masking.multi_scale import MultiScaleMasker

MOST = 8  # levels, and units of a step down
Count = Annotated[int, Field(ge=1)]
Radius = Annotated[float, Field(ge=0)]
Levels = tuple[Count, ...]


class PointConfig(Config):
    """Settings of the trunk of Point-M2AE; levels go from fine to coarse.

    Attributes:
        groups: G, tokens of each level.
        sizes: k, neighbours in a group of each level.
        dims: D of each level.
        depths: blocks of each.
        heads: of the attention, at every level.
        mlp_ratio: hidden width of the MLPs over D.
        drop_path: rate at the last encoder block, growing linearly from 0.
        radii: of the encoder's levels; only `padding_leak` reads them in pre-training.
        decoder_dims: width of each stage, from coarse to fine; the first is the coarsest level's.
        decoder_depths: blocks of each.
        up_units: residual units of each step down.
        masking: which tokens of the coarsest level are hidden.
        skip_near_origin: the rule of the published farthest-point kernel (`farthest_points`).
        first_token_quirk: of the published masks (`visible_levels`); makes a cloud depend on its
            place in the batch, so it is off but for comparison.
        padding_leak: of the published attention (`attention_rule`); as that.
    """

    groups: Levels = (512, 256, 64)
    sizes: Levels = (16, 8, 8)
    dims: Levels = (96, 192, 384)
    depths: Levels = (5, 5, 5)
    heads: int = Field(default=6, ge=1)
    mlp_ratio: float = Field(default=4, gt=0)
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    radii: tuple[Radius, ...] = (0.0, 0.0, 0.0)
    decoder_dims: Levels = (384, 192)
    decoder_depths: Levels = (1, 1)
    up_units: Levels = (1,)
    masking: MultiScaleMasker = MultiScaleMasker()
    skip_near_origin: bool = True
    first_token_quirk: bool = False
    padding_leak: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "PointConfig":
        n_levels, n_stages = len(self.groups), len(self.decoder_dims)
        for name in ("sizes", "dims", "depths", "radii"):
            if len(getattr(self, name)) != n_levels:
                raise ValueError(f"{name} has {len(getattr(self, name))} of {n_levels} levels")
        if max(n_levels, *self.up_units) > MOST:
            raise ValueError(f"more than {MOST} levels or up_units")
        if list(self.groups) != sorted(self.groups, reverse=True):
            raise ValueError(f"groups {list(self.groups)} do not become fewer")
        if len(self.decoder_depths) != n_stages or len(self.up_units) != n_stages - 1:
            raise ValueError(f"decoder_depths and up_units do not fit {n_stages} decoder_dims")
        if not 2 <= n_stages <= n_levels or self.decoder_dims[0] != self.dims[-1]:
            raise ValueError(f"decoder_dims must begin with {self.dims[-1]} and be 2 to {n_levels}")
        for dim in (*self.dims, *self.decoder_dims):
            if dim % self.heads:
                raise ValueError(f"width {dim} does not divide into {self.heads} heads")
        hidden = int(self.masking.ratio * self.groups[-1])
        if not 0 < hidden < self.groups[-1]:
            raise ValueError(f"masking.ratio hides {hidden} of {self.groups[-1]} tokens")
        return self

    @property
    def target_level(self) -> int:
        """The level whose hidden tokens are predicted: the one the decoder ends at."""
        return len(self.groups) - len(self.decoder_dims)
