"""Masked Autoencoders Are Scalable Vision Learners (He et al., CVPR 2022, arXiv 2111.06377).

A ViT encodes only the visible quarter of the patches; a light ViT decoder gets their latents and
a shared mask token and regresses the pixels of the hidden patches. This is the plain masked
autoencoder that the other methods differ from.

Paper and official code (PyTorch) agree but for two things, where we follow the code: the visible
tokens keep their shuffled order, and the position table puts the column's half first. The
patches are channel-last vectors, so the patch embedding is a linear layer of the official
convolution's weights in another order (`KEYMAP`).
"""

# B samples, N patches, K predicted, P = p·p·3 values of a patch, D width.

from collections.abc import Mapping
from math import isqrt
from typing import Any, ClassVar

from pydantic import Field, model_validator
from torch import Tensor, nn

from ...core.classifier import ViTClassifier
from ...core.config import Config
from ...core.decoders import ViTDecoder
from ...core.draws import Draws
from ...core.encoders import Pooling, ViTEncoder, pool
from ...core.keymap import Key
from ...core.masking import AnyMasker, Mask, RandomMasker
from ...core.method import Method, StepOutput
from ...core.objectives import normalize_patches, patch_mse
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...modalities.image import Image

_CHANNELS = 3


class MAEConfig(Config):
    """Settings of MAE; the defaults are ViT-B/16."""

    image_size: int = Field(default=224, ge=1)
    patch_size: int = Field(default=16, ge=1)  # p
    dim: int = Field(default=768, ge=4, multiple_of=4)  # D
    depth: int = Field(default=12, ge=1)
    heads: int = Field(default=12, ge=1)
    mlp_ratio: float = Field(default=4, gt=0)
    decoder_dim: int = Field(default=512, ge=4, multiple_of=4)
    decoder_depth: int = Field(default=8, ge=1)
    decoder_heads: int = Field(default=16, ge=1)
    masking: AnyMasker = RandomMasker(ratio=0.75)
    norm_pix: bool = True
    pooling: Pooling = "mean"  # of the features; the paper's linear probe: cls

    @model_validator(mode="after")
    def _divides(self) -> "MAEConfig":
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}"
            )
        for name, width, heads in (
            ("dim", self.dim, self.heads),
            ("decoder_dim", self.decoder_dim, self.decoder_heads),
        ):
            if width % heads:
                raise ValueError(f"{name} {width} does not divide into {heads} heads")
        if hasattr(self.masking, "ratio") and int(self.n_patches * (1 - self.masking.ratio)) < 1:
            raise ValueError(f"mask ratio {self.masking.ratio} hides all {self.n_patches} patches")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = self.image_size // self.patch_size
        return side, side

    @property
    def n_patches(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    @property
    def patch_values(self) -> int:
        """P."""
        return _CHANNELS * self.patch_size**2


class MAE(Method):
    """The masked autoencoder on images.

    Args:
        config: the settings.
        decoder: False leaves the decoder out (encoder-only weights, features alone).

    Example:
        >>> import torch
        >>> model = MAE(MAE.Config(image_size=8, patch_size=4, dim=8, depth=1, heads=2,
        ...     decoder_dim=8, decoder_depth=1, decoder_heads=2))
        >>> batch = Batch({"image": torch.rand(2, 3, 8, 8)}, ids=torch.arange(2))
        >>> model(batch, Draws(0, batch.ids), StepContext()).prediction.shape
        torch.Size([2, 3, 48])
    """

    slug = "mae"
    modality = "image"
    Config = MAEConfig

    def __init__(self, config: MAEConfig, *, decoder: bool = True) -> None:
        super().__init__(config)
        self.encoder = ViTEncoder(
            patch_values=config.patch_values,
            grid=config.grid,
            dim=config.dim,
            depth=config.depth,
            heads=config.heads,
            mlp_ratio=config.mlp_ratio,
        )
        self.decoder = decoder_of(config) if decoder else None

    @classmethod
    def data_defaults(cls, config: MAEConfig) -> dict[str, Any]:  # type: ignore[override]
        """Images of the trunk's size."""
        return {"size": config.image_size}

    def tokenize(self, batch: Batch) -> Tokens:
        """The patches of the batch's images: values (B, N, P)."""
        return Image.tokenize(batch, self.config.patch_size)

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """The mean squared error of the hidden (normalized) patches (§3, Reconstruction target).

        Raises:
            ValueError: the weights hold no decoder.
        """
        if self.decoder is None:
            raise ValueError("these weights are an encoder without its decoder")
        tokens = self.tokenize(batch)
        if mask is None:
            mask = self.config.masking(tokens, draws.fork("mask"), step)
        prediction = self.decoder(self.encoder.encode(tokens, mask), mask)
        loss = patch_mse(prediction, tokens.values, mask, normalize=self.config.norm_pix)
        return StepOutput(loss=loss, prediction=prediction, mask=mask)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) or (B, 2 D): the normed tokens of the whole image, pooled."""
        return pool(self.encoder.encode(self.tokenize(batch)), self.config.pooling).float()

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The image's patches with the predicted ones in their place.

        Predictions of normalized patches are given the target patch's own mean and deviation.
        """
        tokens = self.tokenize(batch)
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        predicted = output.prediction.float()
        if self.config.norm_pix:
            _, mean, deviation = normalize_patches(output.mask.take_predict(tokens.values))
            predicted = predicted * deviation + mean
        return Tokens(output.mask.put_predicted(tokens.values, predicted), grid=tokens.grid)

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        Key("cls_token", "encoder.cls_token"),
        Key("pos_embed", "encoder.positions"),
        Key(
            "patch_embed.proj.weight",
            "encoder.embed.weight",
            to_ours=lambda w: w.permute(0, 2, 3, 1).flatten(1),
            to_official=lambda w: w.unflatten(1, (*[isqrt(w.shape[1] // 3)] * 2, 3)).permute(
                0, 3, 1, 2
            ),
        ),
        Key("patch_embed.proj.bias", "encoder.embed.bias"),
        Key("blocks.*", "encoder.blocks.*"),
        Key("norm.*", "encoder.norm.*"),
        Key("decoder_embed.*", "decoder.embed.*"),
        Key("mask_token", "decoder.mask_token"),
        Key("decoder_pos_embed", "decoder.positions"),
        Key("decoder_blocks.*", "decoder.blocks.*"),
        Key("decoder_norm.*", "decoder.norm.*"),
        Key("decoder_pred.*", "decoder.head.*"),
        Key("fc_norm.*", "fc_norm.*"),
        Key("head.*", "head.*"),
    )

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Which published container official names belong to.

        "pretrain" holds encoder and decoder, "encoder" no decoder, "classifier-mean" and
        "classifier-cls" a fine-tuned head.
        """
        if any(name.startswith("head.") for name in names):
            return "classifier-mean" if "fc_norm.weight" in names else "classifier-cls"
        decoder = any(name.startswith(("decoder_", "mask_token")) for name in names)
        return "pretrain" if decoder else "encoder"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix; heads only for known widths."""
        found: dict[str, Any] = {}
        patch = shapes.get("patch_embed.proj.weight")
        if patch is not None:
            found |= {"dim": patch[0], "patch_size": patch[-1], "heads": _HEADS.get(patch[0])}
            if "pos_embed" in shapes:
                found["image_size"] = isqrt(shapes["pos_embed"][1] - 1) * patch[-1]
        if "blocks.0.mlp.fc1.weight" in shapes:
            hidden, dim = shapes["blocks.0.mlp.fc1.weight"]
            found["mlp_ratio"] = hidden / dim
        found["depth"] = _depth(shapes, "blocks")
        if "decoder_embed.weight" in shapes:
            width = shapes["decoder_embed.weight"][0]
            found |= {
                "decoder_dim": width,
                "decoder_depth": _depth(shapes, "decoder_blocks"),
                "decoder_heads": _HEADS.get(width),
            }
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def from_container(
        cls, container: str, config: MAEConfig, shapes: Mapping[str, tuple[int, ...]]
    ) -> nn.Module:
        """The module that a container's weights fill; `shapes` are those of its weights."""
        if container in ("pretrain", "encoder"):
            return cls(config, decoder=container == "pretrain")
        encoder = cls(config, decoder=False).encoder
        return ViTClassifier(encoder, shapes["head.weight"][0], container.split("-")[1])


# heads are not to be read from weights: those of the published widths, encoder and decoder
_HEADS = {384: 6, 512: 16, 768: 12, 1024: 16, 1280: 16}


def _depth(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int | None:
    numbers = {int(name.split(".")[1]) for name in shapes if name.startswith(f"{prefix}.")}
    return len(numbers) or None


def decoder_of(config: MAEConfig) -> ViTDecoder:
    """The decoder of these settings."""
    return ViTDecoder(
        latent_dim=config.dim,
        grid=config.grid,
        dim=config.decoder_dim,
        depth=config.decoder_depth,
        heads=config.decoder_heads,
        n_out=config.patch_values,
        mlp_ratio=config.mlp_ratio,
    )
