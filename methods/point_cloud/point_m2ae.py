"""Point-M2AE (Zhang et al., NeurIPS 2022, arXiv 2205.14401).

A pyramid of point tokens: groups of points, groups of those groups' centres, and again. Most of
the coarsest tokens are hidden, and with them whatever they are made of below. Transformers of
growing width see what is visible; a decoder brings mask tokens in at the top, carries features
one level down, and predicts the points of every hidden group there, from its centre.

What differs from the masked autoencoder of images: three levels, one mask carried through them,
batch norm in the token embeddings (over hidden tokens too), positions added before every block,
clouds that show unequal numbers of tokens, and the Chamfer distance as the objective.

Where paper and official code differ we follow the code (ZrrSkywalker/Point-M2AE): a learning rate
of 1e-3, and 16 points predicted for groups of 8. Two of its habits make a cloud depend on its
batch, so they are switches that are off: `first_token_quirk`, `padding_leak`.
"""

# B clouds, N points, G tokens of the coarsest level, M hidden groups of all clouds, K their points.

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator
from torch import Tensor, nn

from ...core.draws import Draws
from ...core.geometry import chamfer
from ...core.keymap import Key
from ...core.masking import Mask
from ...core.method import Method, StepOutput
from ...core.points.config import PointConfig
from ...core.points.masked_autoencoder import (
    Decoded,
    decoded,
    decoder_of,
    encoder_of,
    levels_of,
    reconstructed,
    whole_encoded,
)
from ...core.points.official import NO_DECAY, TRUNK_KEYS, convolution, derived, unwrapped, wrapped
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens


class PointM2AEConfig(PointConfig):
    """Settings of Point-M2AE; the defaults are the published ones."""

    radii: tuple[float, ...] = (0.32, 0.64, 1.28)

    @model_validator(mode="after")
    def _unguided(self) -> "PointM2AEConfig":
        if self.masking.guide != "none":
            raise ValueError("masking.guide needs an image teacher, which i2p-mae has")
        return self


class PointM2AE(Method):
    """The hierarchical masked autoencoder on point clouds.

    Args:
        config: the settings.

    Example:
        >>> import torch
        >>> model = PointM2AE(PointM2AE.Config(groups=(16, 8, 4), sizes=(4, 2, 2), dims=(4, 4, 8),
        ...     depths=(1, 1, 1), heads=2, decoder_dims=(8, 4), masking={"ratio": 0.5}))
        >>> batch = Batch({"points": torch.rand(2, 32, 3)}, ids=torch.arange(2))
        >>> model(batch, Draws(0, batch.ids), StepContext()).prediction.shape[-1]
        12
    """

    slug = "point-m2ae"
    modality = "point-cloud"
    NO_DECAY = NO_DECAY
    Config = PointM2AEConfig

    def __init__(self, config: PointM2AEConfig) -> None:
        super().__init__(config)
        self.encoder = encoder_of(config)
        self.decoder = decoder_of(config)
        # as many points as a finest group has, whatever the predicted groups have (official code)
        self.head = nn.Linear(config.decoder_dims[-1], 3 * config.sizes[0])

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """The Chamfer distance of the points of hidden groups (§3.2).

        Args:
            batch: clouds "points" (B, N, 3).
            draws: of the mask.
            step: where training stands.
            mask: of the coarsest level (B, G), in the place of the drawn one.
        """
        levels = levels_of(batch["points"], self.config)
        if mask is None:
            mask = self.config.masking(Tokens(levels[-1].centres), draws.fork("mask"), step)
        found = decoded(self.encoder, self.decoder, levels, mask, self.config)
        prediction = self.head(found.tokens[~found.visible]).float()
        loss = self._distance(prediction, found)
        return StepOutput(loss=loss, prediction=prediction[None], mask=found.union_mask)

    @staticmethod
    def _distance(prediction: Tensor, found: Decoded) -> Tensor:
        """The mean Chamfer distance of (M, K 3) predicted points."""
        target = found.groups.relative[~found.visible]
        return chamfer(prediction.unflatten(-1, (-1, 3)), target)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) the normed coarsest tokens of whole clouds: their mean plus their maximum."""
        top = whole_encoded(self.encoder, batch["points"], self.config)[-1].tokens
        return (top.mean(1) + top.amax(1)).float()

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The points of each group (B, T, K 3), predicted where hidden; positions their centres."""
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        groups = levels_of(batch["points"], self.config)[self.config.target_level]
        values = reconstructed(groups, output.mask, output.prediction.detach())
        return Tokens(values, positions=groups.centres)

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (*TRUNK_KEYS, *convolution("rec_head", "head"))

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The state under the names of the net."""
        return unwrapped(state)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """{"base_model": state}."""
        return wrapped(state)

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""
        return derived(shapes)
