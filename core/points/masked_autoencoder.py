"""The body of the hierarchical masked autoencoders on points: Point-M2AE's, shared by its heirs."""

# B clouds, N points, G tokens of the coarsest level, T of the predicted one, D the decoder's width.

from dataclasses import dataclass

import torch
from torch import Tensor

from ..masking import Mask
from ..masking.multi_scale import visible_levels
from .config import PointConfig
from .decoder import HierarchicalDecoder
from .encoder import Encoded, HierarchicalEncoder
from .grouping import Groups, hierarchy


def encoder_of(config: PointConfig) -> HierarchicalEncoder:
    """The encoder of these settings."""
    return HierarchicalEncoder(
        dims=config.dims, depths=config.depths, heads=config.heads, mlp_ratio=config.mlp_ratio,
        drop_path=config.drop_path, radii=config.radii, padding_leak=config.padding_leak,
    )  # fmt: skip


def decoder_of(config: PointConfig) -> HierarchicalDecoder:
    """The decoder of these settings."""
    return HierarchicalDecoder(
        latent_dims=config.dims, dims=config.decoder_dims, depths=config.decoder_depths,
        up_units=config.up_units, heads=config.heads, mlp_ratio=config.mlp_ratio,
    )  # fmt: skip


def levels_of(points: Tensor, config: PointConfig) -> tuple[Groups, ...]:
    """The groups of clouds (B, N, 3), fine to coarse."""
    return hierarchy(points, config.groups, config.sizes, skip_near_origin=config.skip_near_origin)


def visible_of(top: Tensor, levels: tuple[Groups, ...], config: PointConfig) -> tuple[Tensor, ...]:
    """(B, ·) bool visible tokens of every level, of (B, G) those of the coarsest."""
    return visible_levels(
        top, [g.ids for g in levels[1:]], [g.count for g in levels[:-1]],
        first_token=config.first_token_quirk,
    )  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """What a pass of the body gives.

    Attributes:
        tokens: (B, T, D) of the predicted level.
        visible: (B, T) bool, of that level.
        groups: that level's.
    """

    tokens: Tensor
    visible: Tensor
    groups: Groups

    @property
    def union_mask(self) -> Mask:
        """The mask over the one union of all clouds' tokens, B T of them: clouds hide unequally."""
        return Mask.from_bool(~self.visible.reshape(1, -1))


def decoded(
    encoder: HierarchicalEncoder,
    decoder: HierarchicalDecoder,
    levels: tuple[Groups, ...],
    mask: Mask,
    config: PointConfig,
) -> Decoded:
    """Encode what a mask (B, G) leaves visible, and decode down to the predicted level."""
    visible = visible_of(~mask.as_bool(), levels, config)
    encoded = encoder.encode(levels, visible)
    level = config.target_level
    return Decoded(decoder(levels, encoded), visible[level], levels[level])


def whole_encoded(
    encoder: HierarchicalEncoder, points: Tensor, config: PointConfig
) -> tuple[Encoded, ...]:
    """The encoder's output of whole clouds.

    Nothing is hidden at the coarsest level. A token of a finer one that no group above is made of
    is still left out, as in the published feature extraction.
    """
    levels = levels_of(points, config)
    top = torch.ones(levels[-1].centres.shape[:2], dtype=torch.bool, device=points.device)
    return encoder.encode(levels, visible_of(top, levels, config))


def reconstructed(groups: Groups, mask: Mask, prediction: Tensor) -> Tensor:
    """(B, T, K 3) points of every group, predicted ones where hidden.

    Args:
        groups: of the predicted level.
        mask: over the union of all clouds' groups.
        prediction: (1, M, K 3) points from their centres.
    """
    n_points = prediction.shape[-1] // 3
    # a group with fewer true points than are predicted shows them again
    again = torch.arange(n_points, device=prediction.device) % groups.points.shape[2]
    true = groups.points[:, :, again].flatten(0, 1).flatten(1)[None]
    centres = mask.take_predict(groups.centres.reshape(1, -1, 3)).repeat(1, 1, n_points)
    return mask.put_predicted(true, prediction + centres)[0].unflatten(0, groups.centres.shape[:2])
