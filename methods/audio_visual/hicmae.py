"""HiCMAE (Sun et al., Information Fusion 2024): masked video and sound, guided at several depths.

Two ViTs encode what a tube mask leaves of the video and a random mask of the log-mel spectrogram; a
fusion encoder lets the two look at each other; two decoders restore what was hidden. What the
encoders make *half-way* is used three times: decoders attend to it (skip connections), each depth
contrasts the clip's video with its own sound against those of other clips, and fine-tuning pools
over all depths.

What differs from the masked autoencoder of videos: the second stream; fusion before the decoders;
the second frame of a tubelet is predicted as its change; and the contrast, weighted λ.

Where paper and official code (sunlicai/HiCMAE) differ we follow the code: half-way features pass
the encoder's last norm; negatives are those of the local batch; λ is that of the published run.
Ours: a sample without video or without sound counts only for what it has.
"""

# B samples, V views of each, N video tokens, A audio tokens, K predicted, P = t·p·p·3, D width.

from collections.abc import Mapping
from math import isqrt
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...core.config import Config
from ...core.decoders import ViTDecoder
from ...core.draws import Draws
from ...core.filterbank import BANDS
from ...core.keymap import Key, n_blocks
from ...core.masking import Mask, TubeMasker
from ...core.masking.masker import Ratio
from ...core.method import Method, StepOutput
from ...core.objectives import frame_differences, info_nce, normalize_tubelets
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...core.two_streams import StreamTokens, TwoStreamClassifier, TwoStreams
from ...modalities.audio_visual.spectrograms import (
    Spectrogram,
    audio_tokens,
    joined,
    joined_mask,
    parted_mask,
    present,
)
from ...modalities.pixels import Triple, by_value
from ...modalities.video import Video

_CHANNELS = 3
_TUBELET = 2  # frames


class HiCMAEConfig(Config):
    """Settings of HiCMAE; the defaults are HiCMAE-B on 16 frames of 160² and 2.56 s of sound."""

    image_size: int = Field(default=160, ge=1)
    frames: int = Field(default=16, ge=_TUBELET, multiple_of=_TUBELET)
    patch_size: int = Field(default=16, ge=1)  # p, of frames
    spectrogram: Spectrogram = Spectrogram()
    audio_patch: int = Field(default=16, ge=1)  # p, of spectrograms
    dim: int = Field(default=512, ge=2, multiple_of=2)  # D
    depth: int = Field(default=10, ge=1)  # of either encoder
    heads: int = Field(default=8, ge=1)
    mlp_ratio: float = Field(default=4, gt=0)
    fusion_depth: int = Field(default=2, ge=1)
    decoder_dim: int = Field(default=384, ge=2, multiple_of=2)
    decoder_depth: int = Field(default=4, ge=1)
    decoder_heads: int = Field(default=6, ge=1)
    # encoder blocks, from 0, that decoders attend to and that are contrasted
    taps: tuple[Annotated[int, Field(ge=0)], ...] = (3, 6, 9)
    video_ratio: Ratio = 0.9
    audio_ratio: Ratio = 0.8
    contrast: float = Field(default=0.0025, ge=0)  # λ
    temperature: float = Field(default=0.07, gt=0)  # τ
    frame_differences: bool = True
    mean: Triple = (0.485, 0.456, 0.406)  # of the pixels, as the data are normalized
    std: Triple = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _fits(self) -> "HiCMAEConfig":
        for name, whole, part in (
            ("image_size", self.image_size, "patch_size"),
            ("spectrogram.frames", self.spectrogram.frames, "audio_patch"),
            ("the number of mel bands", BANDS, "audio_patch"),
            ("dim", self.dim, "heads"),
            ("decoder_dim", self.decoder_dim, "decoder_heads"),
        ):
            if whole % getattr(self, part):
                raise ValueError(f"{name} {whole} is no multiple of {part} {getattr(self, part)}")
        if self.audio_patch**2 > self.tubelet_values:
            raise ValueError(f"a patch of sound ({self.audio_patch}²) is larger than a tubelet")
        if list(self.taps) != sorted(set(self.taps)) or max(self.taps, default=0) >= self.depth:
            raise ValueError(f"taps {self.taps} are no ascending blocks of {self.depth} (from 0)")
        if len(self.taps) != self.decoder_depth - 1:
            raise ValueError(
                f"{len(self.taps)} taps for a decoder of depth {self.decoder_depth}: every block "
                "but the first attends to one"
            )
        return self

    @property
    def grid(self) -> tuple[int, int, int]:
        """Slots, rows and columns of tubelets."""
        return (self.frames // _TUBELET, *(self.image_size // self.patch_size,) * 2)

    @property
    def audio_grid(self) -> tuple[int, int]:
        """Patches along time and along mel."""
        return self.spectrogram.frames // self.audio_patch, BANDS // self.audio_patch

    @property
    def tubelet_values(self) -> int:
        """P."""
        return _CHANNELS * _TUBELET * self.patch_size**2


class HiCMAE(Method):
    """The hierarchical contrastive masked autoencoder.

    Args:
        config: the settings.
        decoder: False leaves the decoders out (features alone).

    Example:
        >>> model = HiCMAE(HiCMAE.Config(image_size=16, frames=2, patch_size=8, dim=8, depth=2,
        ...     heads=2, decoder_dim=8, decoder_depth=2, decoder_heads=2, taps=(1,),
        ...     spectrogram={"frames": 32}, video_ratio=0.5))
        >>> batch = Batch({
        ...     "video": torch.rand(2, 1, 3, 2, 16, 16), "has_video": torch.ones(2, 1).bool(),
        ...     "waveform": torch.rand(2, 1, 6000), "samples": torch.full((2, 1), 6000),
        ... }, ids=torch.arange(2))
        >>> output = model(batch, Draws(0, batch.ids), StepContext())
        >>> sorted(output.parts)
        ['audio', 'contrast', 'video']
    """

    slug = "hicmae"
    modality = "audio-visual"
    Config = HiCMAEConfig
    NO_DECAY = ("decoder.mask_token", "audio_decoder.mask_token")

    def __init__(self, config: HiCMAEConfig, *, decoder: bool = True) -> None:
        super().__init__(config)
        self.streams = TwoStreams(
            video_values=config.tubelet_values, video_grid=config.grid,
            audio_values=config.audio_patch**2, audio_grid=config.audio_grid,
            dim=config.dim, depth=config.depth, heads=config.heads,
            fusion_depth=config.fusion_depth, mlp_ratio=config.mlp_ratio,
        )  # fmt: skip
        self.decoder: ViTDecoder | None = None
        self.audio_decoder: ViTDecoder | None = None
        if decoder:
            self.decoder = _decoder(config, config.grid, config.tubelet_values)
            self.audio_decoder = _decoder(config, config.audio_grid, config.audio_patch**2)

    @classmethod
    def data_defaults(cls, config: HiCMAEConfig) -> dict[str, Any]:  # type: ignore[override]
        """Clips and sound of the trunk's size, normalized as its targets are un-normalized."""
        return {
            "video": {
                "size": config.image_size, "frames": config.frames,
                "mean": config.mean, "std": config.std,
            },
            "spectrogram": config.spectrogram.to_dict(),
        }  # fmt: skip

    def tokenize(self, batch: Batch) -> StreamTokens:
        """Tubelets (B·V, N, P) and spectrogram patches (B·V, A, p p) of all views."""
        c: HiCMAEConfig = self.config
        video = Video.tokenize(batch, _TUBELET, c.patch_size)
        audio = audio_tokens(c.spectrogram(batch), c.audio_patch)
        return StreamTokens(video, audio, *present(batch))

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """L = MSE of video + MSE of sound + λ Σ over depths of the contrast (§3.3).

        Args:
            batch: see `modalities.audio_visual`.
            draws: of the masks.
            step: not looked at.
            mask: of the joined tokens, video first; None = draw both.

        Raises:
            ValueError: the weights hold no decoder.
        """
        if self.decoder is None or self.audio_decoder is None:
            raise ValueError("these weights are an encoder without its decoder")
        video, audio, has_video, has_audio = self.tokenize(batch)
        masks = self._masks(video, audio, draws, len(batch)) if mask is None else parted_mask(
            mask, video.count
        )  # fmt: skip
        taps = self.config.taps
        # the last block too: what is fused is the encoders' end, tapped or not
        blocks = sorted({*taps, self.config.depth - 1})
        *_, video_end = seen = self.streams.video.taps(video, masks[0], blocks=blocks)
        *_, audio_end = heard = self.streams.audio.taps(audio, masks[1], blocks=blocks)
        seen, heard = seen[: len(taps)], heard[: len(taps)]
        fused = self.streams.fusion(video_end, audio_end, has_video, has_audio)
        predicted = self.decoder(fused[0], masks[0], seen)
        predicted_audio = self.audio_decoder(fused[1], masks[1], heard)
        parts = {
            "video": _mse(predicted, masks[0].take_predict(self._video_target(video)), has_video),
            "audio": _mse(predicted_audio, _normalized(audio, masks[1])[0], has_audio),
            "contrast": self._contrasts(seen, heard, has_video & has_audio).sum(),
        }
        return StepOutput(
            loss=parts["video"] + parts["audio"] + self.config.contrast * parts["contrast"],
            parts=parts,
            prediction=joined(predicted.float(), predicted_audio.float()),
            mask=joined_mask(*masks),
        )

    def features(self, batch: Batch) -> Tensor:
        """(B, 4 D): video, sound, and both fused, the blocks of an encoder weighted alike."""
        return self.streams.features(self.tokenize(batch)).unflatten(0, (len(batch), -1)).mean(1)

    def embeddings(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, depths · D) unit vectors of video and of sound, each without the other.

        Their cosine is the mean over the contrasted depths of the cosines that training contrasts;
        over several views vectors are averaged first.
        """
        video, audio, *_ = self.tokenize(batch)
        both = (self.streams.video, video), (self.streams.audio, audio)
        return tuple(_unit(e.taps(t, blocks=self.config.taps), len(batch)) for e, t in both)  # type: ignore[return-value]

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The joined tokens (B·V, N + A, P) with predictions in their places, in input units.

        Predictions are given the targets' own means and deviations; changes are added up.
        """
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        video, audio, *_ = self.tokenize(batch)
        both = joined(video.values.float(), audio.values)
        truth, predicted = output.mask.take_predict(both), output.prediction.float()
        heard = audio.values.shape[-1]
        _, centre, deviation = normalize_tubelets(truth[..., :heard], channels=1)
        as_audio = nn.functional.pad(
            predicted[..., :heard] * deviation + centre, (0, both.shape[-1] - heard)
        )
        if self.config.frame_differences:
            predicted = predicted.unflatten(-1, (_TUBELET, -1)).cumsum(-2).flatten(-2)
        mean, std = by_value(self.config.mean, self.config.std, truth)
        _, centre, deviation = normalize_tubelets(truth * std + mean)
        as_video = (predicted * deviation + centre - mean) / std
        is_audio = output.mask.predict[:, :, None] >= video.count
        return Tokens(output.mask.put_predicted(both, torch.where(is_audio, as_audio, as_video)))

    def _masks(self, video: Tokens, audio: Tokens, draws: Draws, n: int) -> tuple[Mask, Mask]:
        """Independent masks of both streams; each view of a sample has its own."""
        views = draws.views(len(video) // n)
        slots, rows, columns = self.config.grid
        frame = views.fork("video mask").uniform(rows * columns)
        # a tube of one slot: int(0.8 · 128) patches are hidden, as in the official code
        patches = views.fork("audio mask").uniform(audio.count)
        return (
            TubeMasker(ratio=self.config.video_ratio).from_noise(frame, slots),
            TubeMasker(ratio=self.config.audio_ratio).from_noise(patches, 1),
        )

    def _contrasts(self, seen: list[Tensor], heard: list[Tensor], paired: Tensor) -> Tensor:
        """(depths,) ½ (video → sound + sound → video) at each tap, of visible tokens' means."""
        t = self.config.temperature
        each = []
        for video, audio in zip(seen, heard, strict=True):
            v, a = video.float().mean(1), audio.float().mean(1)
            forth = info_nce(v, a, temperature=t, valid=paired)
            back = info_nce(a, v, temperature=t, valid=paired)
            each.append((forth + back) / 2)
        return torch.stack(each) if each else paired.new_zeros(1, dtype=torch.float32)

    def _video_target(self, video: Tokens) -> Tensor:
        """(B, N, P) normalized tubelets, their second frames as changes where so set."""
        mean, std = by_value(self.config.mean, self.config.std, video.values)
        target = normalize_tubelets(video.values.float() * std + mean)[0]
        return frame_differences(target, _TUBELET) if self.config.frame_differences else target

    # official containers -----------------------------------------------------------------------

    KEYMAP: ClassVar[tuple[Key, ...]] = (
        Key(
            "encoder.patch_embed.proj.weight",
            "streams.video.embed.weight",
            to_ours=lambda w: w.permute(0, 2, 3, 4, 1).flatten(1),
            to_official=lambda w: w.unflatten(1, _tubelet_shape(w.shape[1])).permute(0, 4, 1, 2, 3),
        ),
        Key("encoder.patch_embed.proj.bias", "streams.video.embed.bias"),
        Key("encoder.blocks.*", "streams.video.blocks.*"),
        Key("encoder.norm.*", "streams.video.norm.*"),
        Key(
            "encoder_audio.patch_embed.proj.weight",
            "streams.audio.embed.weight",
            to_ours=lambda w: w.flatten(1),
            to_official=lambda w: w.unflatten(1, (1, isqrt(w.shape[1]), isqrt(w.shape[1]))),
        ),
        Key("encoder_audio.patch_embed.proj.bias", "streams.audio.embed.bias"),
        Key("encoder_audio.blocks.*", "streams.audio.blocks.*"),
        Key("encoder_audio.norm.*", "streams.audio.norm.*"),
        Key("encoder_fusion.*", "streams.fusion.*"),
        Key("encoder_to_decoder.weight", "decoder.embed.weight"),
        Key("encoder_to_decoder_audio.weight", "audio_decoder.embed.weight"),
        Key("mask_token", "decoder.mask_token"),
        Key("mask_token_audio", "audio_decoder.mask_token"),
        Key("decoder.*", "decoder.*"),
        Key("decoder_audio.*", "audio_decoder.*"),
        Key("fc_norm.*", "fc_norm.*"),
        Key("head.*", "head.*"),
        Key("video_layer_weights", "video_layer_weights"),
        Key("audio_layer_weights", "audio_layer_weights"),
    )

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Which published container official names belong to.

        "pretrain" holds encoders and decoders, "encoder" no decoders, "classifier-mean" a head.
        """
        if "head.weight" in names:
            return "classifier-mean"
        return "pretrain" if "mask_token" in names else "encoder"

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix; heads only for known widths.

        Sizes of clips and spectrograms and the taps are not among them.
        """
        found: dict[str, Any] = {}
        patch = shapes.get("encoder.patch_embed.proj.weight")
        if patch is not None:
            found |= {"dim": patch[0], "patch_size": patch[-1], "heads": _HEADS.get(patch[0])}
        if "encoder_audio.patch_embed.proj.weight" in shapes:
            found["audio_patch"] = shapes["encoder_audio.patch_embed.proj.weight"][-1]
        if "encoder.blocks.0.mlp.fc1.weight" in shapes:
            hidden, dim = shapes["encoder.blocks.0.mlp.fc1.weight"]
            found["mlp_ratio"] = hidden / dim
        found["depth"] = n_blocks(shapes, "encoder.blocks.")
        found["fusion_depth"] = n_blocks(shapes, "encoder_fusion.blocks.")
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
        cls, container: str, config: HiCMAEConfig, shapes: Mapping[str, tuple[int, ...]]
    ) -> nn.Module:
        """The module that a container's weights fill; `shapes` are those of its weights."""
        if container in ("pretrain", "encoder"):
            return cls(config, decoder=container == "pretrain")
        return TwoStreamClassifier(cls(config, decoder=False).streams, shapes["head.weight"][0])


# heads are not to be read from weights: those of the published widths
_HEADS = {256: 4, 384: 6, 512: 8}
_DECODER_HEADS = {128: 2, 192: 3, 384: 6}


def _tubelet_shape(values: int) -> tuple[int, int, int, int]:
    side = isqrt(values // _CHANNELS // _TUBELET)
    return _TUBELET, side, side, _CHANNELS


def _decoder(config: HiCMAEConfig, grid: tuple[int, ...], n_out: int) -> ViTDecoder:
    """A decoder with skips: visible latents first, then mask tokens, never un-shuffled."""
    decoder = ViTDecoder(
        latent_dim=config.dim, grid=grid, dim=config.decoder_dim, depth=config.decoder_depth,
        heads=config.decoder_heads, n_out=n_out, mlp_ratio=config.mlp_ratio, class_token=False,
        positions="sequence", key_bias=False, embed_bias=False, queries="predicted", skips=True,
    )  # fmt: skip
    nn.init.trunc_normal_(decoder.mask_token, std=0.02, a=-0.02, b=0.02)
    return decoder


def _normalized(audio: Tokens, mask: Mask) -> tuple[Tensor, Tensor, Tensor]:
    """The patches to predict, normalized as tubelets of one channel are, mean and deviation."""
    return normalize_tubelets(mask.take_predict(audio.values), channels=1)


def _mse(prediction: Tensor, target: Tensor, rows: Tensor) -> Tensor:
    """The mean squared error of (B, K, P) over the rows (B,) that there are; 0 without any."""
    each = (prediction.float() - target).square().mean(dim=(1, 2))
    return (each * rows).sum() / rows.sum().clamp_min(1)


def _unit(taps: list[Tensor], n: int) -> Tensor:
    """(n, depths · D): mean tokens of each depth as unit vectors, views averaged, side by side."""
    means = [tap.float().mean(1).unflatten(0, (n, -1)) for tap in taps]
    units = [nn.functional.normalize(mean, dim=-1).mean(1) for mean in means]
    scaled = [nn.functional.normalize(unit, dim=-1) / len(taps) ** 0.5 for unit in units]
    return torch.cat(scaled, dim=1)
