"""The trunk of audio-visual methods: an encoder for each stream, and one that fuses them."""

# B samples, N video tokens, A audio tokens, D width, L blocks of an encoder, C classes.

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .cross_blocks import FusionEncoder
from .encoders import ViTEncoder
from .layers import LN_EPS
from .tokens import Tokens


class StreamTokens(NamedTuple):
    """What a trunk of two streams reads.

    Attributes:
        video: (B, N, ·).
        audio: (B, A, ·).
        has_video: (B,) bool, False where there is no video: its tokens then count for nothing.
        has_audio: (B,) bool.
    """

    video: Tokens
    audio: Tokens
    has_video: Tensor
    has_audio: Tensor


class TwoStreams(nn.Module):
    """Video and audio encoders of one width and depth, and the fusion encoder on top of them.

    Args:
        video_values: values of a video token before embedding.
        video_grid: its token grid.
        audio_values: values of an audio token.
        audio_grid: its token grid.
        dim: D.
        depth: L.
        heads: attention heads.
        fusion_depth: layers of the fusion.
        mlp_ratio: hidden width of the MLPs over D.
    """

    def __init__(
        self,
        *,
        video_values: int,
        video_grid: Sequence[int],
        audio_values: int,
        audio_grid: Sequence[int],
        dim: int,
        depth: int,
        heads: int,
        fusion_depth: int,
        mlp_ratio: float = 4,
    ) -> None:
        super().__init__()
        self.dim, self.depth = dim, depth

        def encoder(values: int, grid: Sequence[int]) -> ViTEncoder:
            made = ViTEncoder(
                patch_values=values, grid=grid, dim=dim, depth=depth, heads=heads,
                mlp_ratio=mlp_ratio, class_token=False, positions="sequence", key_bias=False,
            )  # fmt: skip
            # the official embedding keeps a convolution's own initialisation, a linear layer's
            made.embed.reset_parameters()
            return made

        self.video = encoder(video_values, video_grid)
        self.audio = encoder(audio_values, audio_grid)
        self.fusion = FusionEncoder(dim, heads, fusion_depth, mlp_ratio)

    def set_drop_path(self, rate: float) -> None:
        """Drop residual branches, as `ViTEncoder`; the fusion's at `rate` in all layers."""
        self.video.set_drop_path(rate)
        self.audio.set_drop_path(rate)
        for block in (*self.fusion.blocks, *self.fusion.blocks_audio):
            block.get_submodule("drop_path").rate = rate  # type: ignore[assignment]

    def features(
        self, tokens: StreamTokens, weights: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Video, audio, fused video and fused audio features side by side (Sun et al., 2024, §3.4).

        A stream's own feature is the weighted sum over its L blocks of the mean normed token.

        Args:
            tokens: nothing hidden; features of an absent stream are zero.
            weights: (L,) of the video's and the audio's blocks, before softmax; None = all alike.

        Returns:
            (B, 4 D) float32.
        """
        has_video, has_audio = tokens.has_video, tokens.has_audio
        of_both = (None, None) if weights is None else weights
        of_video, of_audio = self.video.taps(tokens.video), self.audio.taps(tokens.audio)
        fused = self.fusion(of_video[-1], of_audio[-1], has_video, has_audio)
        seen, heard = has_video[:, None].float(), has_audio[:, None].float()
        return torch.cat([
            _weighted(of_video, of_both[0]) * seen,
            _weighted(of_audio, of_both[1]) * heard,
            fused[0].float().mean(1) * seen,
            fused[1].float().mean(1) * heard,
        ], dim=1)  # fmt: skip

    def layer_id(self, name: str) -> int:
        """The layer of a parameter, for layer-wise decay.

        0 embeddings, i + 1 block i of either encoder, L + j + 1 layer j of the fusion, and
        L + fusion layers + 1 the norms.
        """
        stream, _, rest = name.partition(".")
        last = self.depth + len(self.fusion.blocks) + 1
        if stream == "fusion":
            block = rest.split(".")
            return self.depth + int(block[1]) + 1 if block[0].startswith("blocks") else last
        layer = (self.video if stream == "video" else self.audio).layer_id(rest)
        return last if layer == self.depth + 1 else layer


class TwoStreamClassifier(nn.Module):
    """A linear head on the four features, the weights of the layers learned with it.

    Args:
        streams: the (pre-trained) trunk; it is used, not copied.
        n_classes: C, or dimensions of a regression.
    """

    no_decay: tuple[str, ...] = ()

    def __init__(self, streams: TwoStreams, n_classes: int) -> None:
        super().__init__()
        self.streams = streams
        start = torch.full((streams.depth,), 1 / streams.depth)
        self.video_layer_weights = nn.Parameter(start.clone())
        self.audio_layer_weights = nn.Parameter(start.clone())
        self.fc_norm = nn.LayerNorm(4 * streams.dim, eps=LN_EPS)
        self.head = nn.Linear(4 * streams.dim, n_classes)

    def features(self, tokens: StreamTokens) -> Tensor:
        """(B, 4 D) normed features under the head."""
        weights = self.video_layer_weights, self.audio_layer_weights
        return self.fc_norm(self.streams.features(tokens, weights))

    def forward(self, tokens: StreamTokens) -> Tensor:
        """(B, C) logits."""
        return self.head(self.features(tokens))

    def layer_id(self, name: str) -> int:
        """The layer of a parameter; norm, head and layer weights are the last one."""
        inner = name.removeprefix("streams.")
        if inner != name:
            return self.streams.layer_id(inner)
        return self.streams.depth + len(self.streams.fusion.blocks) + 1


def _weighted(layers: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """(B, D) float32: the mean token of each of L (B, N, D), summed with softmaxed weights."""
    means = torch.stack([layer.float().mean(1) for layer in layers])
    if weights is None:
        return means.mean(0)
    return (means * weights.float().softmax(0)[:, None, None]).sum(0)
