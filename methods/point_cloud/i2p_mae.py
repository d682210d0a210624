"""I2P-MAE (Zhang et al., CVPR 2023, arXiv 2212.06785).

Point-M2AE's pyramid taught by a frozen image model. The cloud is drawn as three depth maps; where
the image model's class token looks decides which tokens are likelier to stay visible (2D-guided
masking), and the visible tokens have to predict its features at their points (2D-semantic
reconstruction), beside the coordinates that the hidden ones predict.

What differs from Point-M2AE: the guided mask, the second head and objective, 8 points predicted
for groups of 8, and features by the maximum alone.

Where paper and official code differ we follow the code (ZrrSkywalker/I2P-MAE): a pixel's depth is
the sum of those that fall there; saliencies are attention weights (they add up to one over 196
patches), so that their softmax over 64 tokens is nearly uniform.
"""

# B clouds, N points, G coarsest tokens, T tokens of the predicted level, V views, C teacher width.

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.draws import Draws
from ...core.errors import UsageError
from ...core.geometry import VIEWS, Projection, chamfer, project, take_points
from ...core.keymap import Key
from ...core.masking import Mask
from ...core.masking.multi_scale import SCORES, MultiScaleMasker
from ...core.method import Method, StepOutput
from ...core.modality import Source
from ...core.points.config import PointConfig
from ...core.points.grouping import Groups
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
from ...modalities.image.teacher import RANDOM, ImageTeacher, open_teacher

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, not CLIP's (as official)
_FOREIGN = "clip_model."


class I2PMAEConfig(PointConfig):
    """Settings of I2P-MAE; the defaults are the published ones.

    Attributes:
        teacher: weights or run folder of the image teacher (`modalities.image.teacher`); "random",
            an untrained one, is a control and says so.
        teacher_width: C, of its features.
        image_weight: of the 2D objective beside the 3D one.
    """

    masking: MultiScaleMasker = MultiScaleMasker(guide="saliency")
    teacher: str = RANDOM
    teacher_width: int = Field(default=512, ge=1)
    image_weight: float = Field(default=1.0, ge=0)


class I2PMAE(Method):
    """The image-to-point masked autoencoder.

    Args:
        config: the settings. The teacher is opened at the first training step, not for features.

    Example:
        >>> import torch
        >>> model = I2PMAE(I2PMAE.Config(groups=(16, 8, 4), sizes=(4, 2, 2), dims=(4, 4, 8),
        ...     depths=(1, 1, 1), heads=2, decoder_dims=(8, 4), teacher_width=64,
        ...     masking={"ratio": 0.5, "guide": "saliency"}))
        >>> batch = Batch({"points": torch.rand(2, 32, 3)}, ids=torch.arange(2))
        >>> sorted(model(batch, Draws(0, batch.ids), StepContext()).parts)
        ['loss_2d', 'loss_3d']
    """

    slug = "i2p-mae"
    modality = "point-cloud"
    NO_DECAY = NO_DECAY
    Config = I2PMAEConfig

    def __init__(self, config: I2PMAEConfig) -> None:
        super().__init__(config)
        self.encoder = encoder_of(config)
        self.decoder = decoder_of(config)
        size = config.sizes[config.target_level]
        width = config.decoder_dims[-1]
        self.head_3d = nn.Linear(width, 3 * size)
        self.head_2d = nn.Linear(width, size * len(VIEWS) * config.teacher_width)
        self._teacher: ImageTeacher | None = None

    @property
    def teacher(self) -> ImageTeacher:
        """The frozen image model.

        Raises:
            WeightsError: its weights are not there, or no image trunk's.
            UsageError: its features are not as wide as the settings say.
        """
        if self._teacher is None:
            found = open_teacher(self.config.teacher)
            if found.width != self.config.teacher_width:
                raise UsageError(
                    f"the teacher's features have {found.width} values, the settings say "
                    f"{self.config.teacher_width}",
                    f"give --set method.teacher_width={found.width}",
                )
            self._teacher = found
        return self._teacher

    def check_source(self, source: Source) -> None:  # noqa: ARG002 - of any clouds
        """Open the teacher: that it is absent shall be said before a run begins.

        Raises:
            WeightsError: its weights are not there, or no image trunk's.
            UsageError: its features are not as wide as the settings say.
        """
        self.teacher  # noqa: B018 - the property opens it

    def look(self, points: Tensor) -> tuple[Projection, Tensor, Tensor]:
        """How clouds are drawn, and what the teacher sees: (B, V, C, h, w) and (B, V, 1, h, w)."""
        frame = project(points, self.teacher.side)
        n_views = frame.depth.shape[1]
        features, attention = self.teacher.read(pictures(frame).transpose(0, 1).flatten(0, 1))
        shape = (n_views, len(points))
        features, attention = (m.unflatten(0, shape).transpose(0, 1) for m in (features, attention))
        return frame, features, attention

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """Chamfer distance of hidden groups plus squared error of visible ones' features (§3.3).

        Args:
            batch: clouds "points" (B, N, 3).
            draws: of the mask.
            step: where training stands.
            mask: of the coarsest level (B, G), in the place of the drawn one.
        """
        levels = levels_of(batch["points"], self.config)
        frame, features, attention = self.look(batch["points"])
        if mask is None:
            scores = {**step.scores, SCORES: saliency(frame, attention, levels[-1].centres)}
            tokens = Tokens(levels[-1].centres)
            mask = self.config.masking(tokens, draws.fork("mask"), replace(step, scores=scores))
        found = decoded(self.encoder, self.decoder, levels, mask, self.config)
        prediction = self.head_3d(found.tokens[~found.visible]).float()
        target = found.groups.relative[~found.visible]
        loss_3d = chamfer(prediction.unflatten(-1, (-1, 3)), target)
        wanted = image_targets(frame, features, levels, found.groups)
        loss_2d = self._image_loss(found, wanted)
        return StepOutput(
            loss=loss_3d + self.config.image_weight * loss_2d,
            parts={"loss_3d": loss_3d.detach(), "loss_2d": loss_2d.detach()},
            prediction=prediction[None], mask=found.union_mask,
        )  # fmt: skip

    def _image_loss(self, found: Decoded, target: Tensor) -> Tensor:
        """The mean squared error of the visible tokens' (B, T, k, V C) features."""
        prediction = self.head_2d(found.tokens[found.visible]).float()
        return F.mse_loss(prediction, target[found.visible].flatten(1))

    def features(self, batch: Batch) -> Tensor:
        """(B, D) the maximum of the normed coarsest tokens of whole clouds."""
        top = whole_encoded(self.encoder, batch["points"], self.config)[-1].tokens
        return top.amax(1).float()

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The points of each group (B, T, k 3), predicted where hidden; positions their centres."""
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        groups = levels_of(batch["points"], self.config)[self.config.target_level]
        values = reconstructed(groups, output.mask, output.prediction.detach())
        return Tokens(values, positions=groups.centres)

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        *TRUNK_KEYS,
        *convolution("rec_head_3d", "head_3d"),
        *convolution("rec_head_2d", "head_2d"),
    )

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The state under the names of the net, without the teacher's copy (`clip_model.`).

        That copy is read by `weights import clip-visual` from the same file.
        """
        return unwrapped(state, _FOREIGN)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """{"base_model": state}."""
        return wrapped(state)

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""
        found = derived(shapes)
        if {"rec_head_3d.bias", "rec_head_2d.bias"} <= shapes.keys():
            size = shapes["rec_head_3d.bias"][0] // 3
            found["teacher_width"] = shapes["rec_head_2d.bias"][0] // size // len(VIEWS)
        return found


def pictures(frame: Projection) -> Tensor:
    """(B, V, 3, S, S) what the teacher is shown: σ(depth) as grey, normalized."""
    mean, std = (frame.depth.new_tensor(v)[:, None, None] for v in (_MEAN, _STD))
    return (frame.depth.sigmoid()[:, :, None] - mean) / std


def saliency(frame: Projection, attention: Tensor, centres: Tensor) -> Tensor:
    """(B, G) the mean over views of the attention (B, V, 1, h, w) at centres (B, G, 3)."""
    return frame.back(attention, centres)[..., 0].mean(2)


def image_targets(
    frame: Projection, features: Tensor, levels: tuple[Groups, ...], groups: Groups
) -> Tensor:
    """(B, T, k, V C) the features (B, V, C, h, w) at the points of each group, views side by side.

    The points are centres of the level below (or of the cloud), so each is looked up once.
    """
    level = next(i for i, each in enumerate(levels) if each is groups)
    if level == 0:
        points = groups.points.flatten(1, 2)
        return frame.back(features, points).flatten(2).unflatten(1, groups.points.shape[1:3])
    values = frame.back(features, levels[level - 1].centres).flatten(2)
    return take_points(values, groups.ids)
