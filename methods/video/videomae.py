"""VideoMAE (Tong et al., NeurIPS 2022) and VideoMAE V2 (Wang et al., CVPR 2023), in one.

A ViT encodes only the tubelets that a *tube* mask leaves visible: one tenth of the places of a
frame, the same ones at all times, so that nothing hidden can be copied from a neighbouring frame.
A light ViT decoder regresses the pixels of hidden tubelets. V2 also masks the decoder: it predicts
only a running cell, half of all places, and its loss counts those that the encoder did not see.
V1 is V2 without that second mask: `masking = { kind = "tube" }`.

What differs from the masked autoencoder of images: tubelets of two frames, no class token, a
sinusoid over the flattened index that is not stored, keys without a bias, mask tokens at the
places to predict alone, and targets normalized per tubelet *and colour channel*.

Where paper and official code differ we follow the code (OpenGVLab/VideoMAEv2): the variance is
unbiased and 1e-6 is added to its root; the running cell moves on before the first slot.
"""

# B videos, V views of each, T frames, N tubelets, K predicted, P = t·p·p·3 values, D width.

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt, prod
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...core.classifier import ViTClassifier
from ...core.config import Config
from ...core.decoders import ViTDecoder
from ...core.draws import Draws
from ...core.encoders import ViTEncoder, pool
from ...core.keymap import Key, n_blocks
from ...core.masking import AnyMasker, Mask, RunningCellMasker, TubeMasker
from ...core.method import Method, StepOutput
from ...core.objectives import normalize_tubelets, tubelet_mse
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...modalities.pixels import by_value
from ...modalities.video import Video

_CHANNELS = 3
_TUBELET = 2  # frames, in all published weights
Triple = tuple[float, float, float]


class VideoMAEConfig(Config):
    """Settings of VideoMAE; the defaults are V2's ViT-B/16 on 16 frames of 224²."""

    image_size: int = Field(default=224, ge=1)
    frames: int = Field(default=16, ge=1)  # T
    tubelet: int = Field(default=_TUBELET, ge=1, le=2)  # frames of a token
    patch_size: int = Field(default=16, ge=1)  # p
    dim: int = Field(default=768, ge=2, multiple_of=2)  # D
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=12, ge=1)
    mlp_ratio: float = Field(default=4, gt=0)
    decoder_dim: int = Field(default=384, ge=2, multiple_of=2)
    decoder_depth: int = Field(default=4, ge=1)
    decoder_heads: int = Field(default=6, ge=1)
    # V1: { kind = "tube", ratio = 0.9 }
    masking: AnyMasker = RunningCellMasker(encoder=TubeMasker(ratio=0.9), decoder_ratio=0.5)
    norm_pix: bool = True
    pooling: Literal["mean", "mean_std"] = "mean"  # of the features
    mean: Triple = (0.485, 0.456, 0.406)  # of the pixels, as the data are normalized
    std: Triple = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _divides(self) -> "VideoMAEConfig":
        for name, whole, part in (
            ("image_size", self.image_size, "patch_size"),
            ("frames", self.frames, "tubelet"),
            ("dim", self.dim, "heads"),
            ("decoder_dim", self.decoder_dim, "decoder_heads"),
        ):
            if whole % getattr(self, part):
                raise ValueError(f"{name} {whole} is no multiple of {part} {getattr(self, part)}")
        # one mask on trial: a masker says itself which grids it cannot cut
        tokens = Tokens(torch.zeros(1, prod(self.grid), 1), grid=self.grid)
        scores = {getattr(self.masking, "scores", ""): tokens.values[..., 0]}
        draws = Draws(0, torch.zeros(1, dtype=torch.int64))
        self.masking(tokens, draws, StepContext(scores=scores))
        return self

    @property
    def grid(self) -> tuple[int, int, int]:
        """Slots, rows and columns of tubelets."""
        side = self.image_size // self.patch_size
        return self.frames // self.tubelet, side, side

    @property
    def tubelet_values(self) -> int:
        """P."""
        return _CHANNELS * self.tubelet * self.patch_size**2


class VideoMAE(Method):
    """The masked autoencoder on clips.

    Args:
        config: the settings.
        decoder: False leaves the decoder out (encoder-only weights, features alone).

    Example:
        >>> model = VideoMAE(VideoMAE.Config(image_size=16, frames=4, patch_size=4, dim=8, depth=1,
        ...     heads=2, decoder_dim=8, decoder_depth=1, decoder_heads=2))
        >>> batch = Batch({"video": torch.rand(2, 1, 3, 4, 16, 16)}, ids=torch.arange(2))
        >>> model(batch, Draws(0, batch.ids), StepContext()).prediction.shape
        torch.Size([2, 16, 96])
    """

    slug = "videomae"
    modality = "video"
    Config = VideoMAEConfig
    NO_DECAY = ("decoder.mask_token",)

    def __init__(self, config: VideoMAEConfig, *, decoder: bool = True) -> None:
        super().__init__(config)
        self.encoder = ViTEncoder(
            patch_values=config.tubelet_values, grid=config.grid, dim=config.dim,
            depth=config.depth, heads=config.heads, mlp_ratio=config.mlp_ratio,
            class_token=False, positions="sequence", key_bias=False,
        )  # fmt: skip
        # the official embedding keeps a convolution's own initialisation, which is a linear layer's
        self.encoder.embed.reset_parameters()
        self.decoder = decoder_of(config) if decoder else None

    @classmethod
    def data_defaults(cls, config: VideoMAEConfig) -> dict[str, Any]:  # type: ignore[override]
        """Clips of the trunk's size, normalized as its targets are un-normalized."""
        return {
            "size": config.image_size, "frames": config.frames,
            "mean": config.mean, "std": config.std,
        }  # fmt: skip

    def tokenize(self, batch: Batch) -> Tokens:
        """The tubelets of all views of the batch's clips: values (B·V, N, P)."""
        return Video.tokenize(batch, self.config.tubelet, self.config.patch_size)

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """The mean squared error of the predicted tubelets that the encoder did not see (V2 §3.2).

        Each view of a video (repeated augmentation) has masks of its own. In evaluation all hidden
        tubelets are predicted, so that pictures and errors leave out nothing.

        Raises:
            ValueError: the weights hold no decoder.
        """
        if self.decoder is None:
            raise ValueError("these weights are an encoder without its decoder")
        tokens = self.tokenize(batch)
        if mask is None:
            views = draws.views(len(tokens) // len(batch))
            mask = self.config.masking(tokens, views.fork("mask"), step)
            mask = mask if self.training else replace(mask, predicted=None)
        prediction = self.decoder(self.encoder.encode(tokens, mask), mask)
        target = self._plain(tokens.values)
        loss = tubelet_mse(prediction, target, mask, normalize=self.config.norm_pix)
        return StepOutput(loss=loss, prediction=prediction, mask=mask)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) or (B, 2 D): the normed tokens of whole clips, pooled; the mean over the views."""
        latents = self.encoder.encode(self.tokenize(batch))
        pooled = pool(latents, self.config.pooling, self.encoder.n_prefix).float()
        return pooled.unflatten(0, (len(batch), -1)).mean(1)

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The clips' tubelets (B·V, N, P) with the predicted ones in their place.

        Predictions of normalized tubelets are given the target's own means and deviations.
        """
        tokens = self.tokenize(batch)
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        predicted = output.prediction.float()
        if self.config.norm_pix:
            target = self._plain(output.mask.take_predict(tokens.values))
            _, mean, deviation = normalize_tubelets(target)
            predicted = predicted * deviation + mean
        mean, std = by_value(self.config.mean, self.config.std, predicted)
        values = output.mask.put_predicted(tokens.values, (predicted - mean) / std)
        return Tokens(values, grid=tokens.grid)

    def _plain(self, tubelets: Tensor) -> Tensor:
        """Normalized tubelets as values in 0…1."""
        mean, std = by_value(self.config.mean, self.config.std, tubelets)
        return tubelets.float() * std + mean

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        Key(
            "encoder.patch_embed.proj.weight",
            "encoder.embed.weight",
            to_ours=lambda w: w.permute(0, 2, 3, 4, 1).flatten(1),
            to_official=lambda w: w.unflatten(1, (*_tubelet_of(w.shape[1]), _CHANNELS)).permute(
                0, 4, 1, 2, 3
            ),
        ),
        Key("encoder.patch_embed.proj.bias", "encoder.embed.bias"),
        Key("encoder.blocks.*", "encoder.blocks.*"),
        Key("encoder.norm.*", "encoder.norm.*"),
        Key("encoder_to_decoder.weight", "decoder.embed.weight"),
        Key("mask_token", "decoder.mask_token"),
        Key("decoder.blocks.*", "decoder.blocks.*"),
        Key("decoder.norm.*", "decoder.norm.*"),
        Key("decoder.head.*", "decoder.head.*"),
        Key("fc_norm.*", "fc_norm.*"),
        Key("head.*", "head.*"),
    )

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The state under the names of the pre-training files.

        Compiled models put `_orig_mod.` before each name; fine-tuned and distilled classifiers
        name their trunk's parameters without `encoder.`, some with `backbone.`.
        """
        plain = {name.removeprefix("_orig_mod."): value for name, value in state.items()}
        return {_with_prefix(name): value for name, value in plain.items()}, ()

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """{"model": state}; a classifier's trunk without `encoder.`, as it is published."""
        if "head.weight" in state:
            state = {name.removeprefix("encoder."): value for name, value in state.items()}
        return {"model": dict(state)}

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Which published container official names belong to.

        "pretrain" holds encoder and decoder, "encoder" no decoder, "classifier-mean" a fine-tuned
        or distilled head.
        """
        if "head.weight" in names:
            return "classifier-mean"
        decoder = any(name.startswith(("decoder.", "mask_token")) for name in names)
        return "pretrain" if decoder else "encoder"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix; heads only for known widths.

        Frames and image size are not among them: the position table is not stored.
        """
        found: dict[str, Any] = {}
        patch = shapes.get("encoder.patch_embed.proj.weight")
        if patch is not None:
            found |= {"dim": patch[0], "tubelet": patch[2], "patch_size": patch[-1]}
            found["heads"] = _HEADS.get(patch[0])
        if "encoder.blocks.0.mlp.fc1.weight" in shapes:
            hidden, dim = shapes["encoder.blocks.0.mlp.fc1.weight"]
            found["mlp_ratio"] = hidden / dim
        found["depth"] = n_blocks(shapes, "encoder.blocks.")
        if "encoder_to_decoder.weight" in shapes:
            width = shapes["encoder_to_decoder.weight"][0]
            found |= {
                "decoder_dim": width,
                "decoder_depth": n_blocks(shapes, "decoder.blocks."),
                "decoder_heads": _DECODER_HEADS.get(width),
            }
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def from_container(
        cls, container: str, config: VideoMAEConfig, shapes: Mapping[str, tuple[int, ...]]
    ) -> nn.Module:
        """The module that a container's weights fill; `shapes` are those of its weights."""
        if container in ("pretrain", "encoder"):
            return cls(config, decoder=container == "pretrain")
        encoder = cls(config, decoder=False).encoder
        return ViTClassifier(encoder, shapes["head.weight"][0], container.split("-")[1])


# heads are not to be read from weights: those of the published widths
_HEADS = {384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16}
_DECODER_HEADS = {192: 3, 384: 6, 512: 8, 640: 8}
_OUTSIDE_TRUNK = ("encoder.", "decoder.", "encoder_to_decoder.", "mask_token", "fc_norm.", "head.")


def _with_prefix(name: str) -> str:
    name = name.replace("backbone.", "encoder.", 1) if name.startswith("backbone.") else name
    return name if name.startswith(_OUTSIDE_TRUNK) else f"encoder.{name}"


def _tubelet_of(values: int) -> tuple[int, int, int]:
    """(frames, rows, columns) of a tubelet: P / 3 is a square for one frame, twice one for two."""
    side = isqrt(values // _CHANNELS)
    if _CHANNELS * side**2 == values:
        return 1, side, side
    side = isqrt(values // _CHANNELS // _TUBELET)
    return _TUBELET, side, side


def decoder_of(config: VideoMAEConfig) -> ViTDecoder:
    """The decoder of these settings: visible latents first, then queries, never un-shuffled."""
    decoder = ViTDecoder(
        latent_dim=config.dim, grid=config.grid, dim=config.decoder_dim,
        depth=config.decoder_depth, heads=config.decoder_heads, n_out=config.tubelet_values,
        mlp_ratio=config.mlp_ratio, class_token=False, positions="sequence", key_bias=False,
        embed_bias=False, queries="predicted",
    )  # fmt: skip
    nn.init.trunc_normal_(decoder.mask_token, std=0.02, a=-0.02, b=0.02)
    return decoder
