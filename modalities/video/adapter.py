"""The video adapter: a file becomes views of normalized clips; predictions become pictures.

Layout of a batch: "video" (B, V, 3, T, S, S) float32, RGB, (value / 255 − mean) / std. V views show
one video: in training, crops of one decoded clip (repeated augmentation: Hoffer et al., 2020); in
evaluation, clips × crops. A crop, a flip is the same for all frames of a clip.
"""

# B videos, V views, T frames, S side, N tubelets, P values of a tubelet.

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from ...core.config import Config as BaseConfig
from ...core.draws import Draws
from ...core.errors import DataError
from ...core.modality import Modality, Sample, Source
from ...core.tokens import Batch, Tokens
from ..image.cropping import random_box, resized
from ..image.decoding import Box
from ..pixels import denormalize, normalize
from .cropping import cut, evaluation_crops, multi_scale_box
from .reading import Decoder, Reader, open_video, say_once
from .sampling import Sampling, evaluation_frames, span, training_frames
from .tubelets import grid_of, patchify, unpatchify

_LARGEST_BYTES = 4 << 30  # of one decoded video in memory
_CHUNK = 16  # frames decoded at once
_SHOWN = 4  # clips of a picture
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Video(Modality):
    """RGB clips.

    Example:
        >>> import numpy as np
        >>> video = Video(Video.Config(size=8, frames=4, stride=2, augment="none"))
        >>> white = Sample("white", np.full((9, 20, 30, 3), 255, np.uint8))
        >>> video.prepare(white, None)["video"].shape
        torch.Size([1, 3, 4, 8, 8])
    """

    slug = "video"
    VIEWS = True

    class Config(BaseConfig):
        """Size, sampling in time, augmentation, and views.

        Attributes:
            size: side of the prepared square, in pixels.
            frames: of a clip.
            stride: frames from one to the next ("stride" sampling).
            sampling: "stride" or "segments" (`sampling`).
            short: of a video with fewer frames than a clip reaches over: "hold" its last one, or
                "refuse" it.
            augment: in training "multi_scale" (VideoMAE's pre-training crop, no flip), "crop_flip"
                (RandomResizedCrop and flip), "flip" (the centre crop, flipped at random), "none".
            train_crop_scale: share of the area that "crop_flip" takes.
            ratio: width / height of that crop.
            flip: whether "crop_flip" also flips.
            views: crops of each clip in training.
            test_clips: clips of each video in evaluation.
            test_crops: squares of each such clip, along the longer side.
            eval_crop: side of an evaluation crop / short side; 1 = all of it.
            mean: subtracted per channel, of values in 0…1 (ImageNet's by default).
            std: divided by per channel.
            decoder: "auto" (decord where it reads a file, else PyAV), "decord" or "pyav", which
                also finds damage that decord conceals.
        """

        size: int = Field(224, ge=1, le=8192)
        frames: int = Field(16, ge=1, le=4096)
        stride: int = Field(4, ge=1)
        sampling: Sampling = "stride"
        short: Literal["hold", "refuse"] = "hold"
        augment: Literal["multi_scale", "crop_flip", "flip", "none"] = "multi_scale"
        train_crop_scale: tuple[Share, Share] = (0.08, 1.0)
        ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
        flip: bool = True
        views: int = Field(1, ge=1)
        test_clips: int = Field(1, ge=1)
        test_crops: int = Field(1, ge=1)
        eval_crop: float = Field(1.0, gt=0, le=1)
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
        std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
        decoder: Decoder = "auto"

        @model_validator(mode="after")
        def _ordered(self) -> "Video.Config":
            for name in ("train_crop_scale", "ratio"):
                low, high = getattr(self, name)
                if low > high:
                    raise ValueError(f"{name} goes from {low} down to {high}")
            return self

    @classmethod
    def open(cls, path: Path) -> Source:
        """The videos at a path: folder, list file, tar shards, pack or one file.

        Raises:
            DataError: nothing there that can be read.
        """
        from .sources import open_source

        return open_source(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path holds videos, by the names of the first files there."""
        from .sources import holds_videos

        return holds_videos(path)

    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One video as {"video": (V, 3, T, S, S) float32 normalized}.

        Args:
            sample: content `VideoFile`, `Encoded` or a uint8 array (frames, H, W, 3).
            draws: one row for the place in time, crops and flips; None = the evaluation views.

        Raises:
            DataError: the file is damaged, or too short where `short` is "refuse"; names it.
        """
        with open_video(sample.content, sample.key, self.config.decoder) as video:
            return {"video": self.views(video, draws)[0]}

    def views(self, video: Reader, draws: Draws | None) -> tuple[Tensor, list[list[int]]]:
        """All views of an opened video, and which frames its clips show.

        Args:
            video: the frames.
            draws: as in `prepare`.

        Returns:
            (V, 3, T, S, S) float32 normalized, clip by clip, and T frame numbers of each clip.

        Raises:
            DataError: as `prepare`.
        """
        self._check_length(video)
        clips = self._clips(video.n_frames, draws)
        numbers = sorted({number for clip in clips for number in clip})
        crops = self._crops(video, numbers, draws)
        place = {number: i for i, number in enumerate(numbers)}
        views = [crop[[place[n] for n in clip]] for clip in clips for crop in crops]
        values = normalize(torch.stack(views), self.config.mean, self.config.std)
        return values.transpose(1, 2).contiguous(), clips

    @classmethod
    def whole(cls, sample: Sample, short_side: int | None = None) -> NDArray[np.uint8]:
        """All frames of a video, upright: (frames, H, W, 3) uint8.

        By PyAV, which also finds damage that decord conceals.

        Raises:
            DataError: the file is damaged, or too long to be held in memory; names it.
        """
        with open_video(sample.content, sample.key, "pyav") as video:
            size = _scaled(video.size, short_side)
            held = video.n_frames * size[0] * size[1] * 3
            if held > _LARGEST_BYTES:
                raise DataError(
                    f"{video.name}: its {video.n_frames} frames would take {held / 2**30:.1f} GiB",
                    "name parts of it in a list (path label start stop), or give a smaller --size",
                )
            return np.concatenate([
                resized(video.frames(chunk), size).permute(0, 2, 3, 1).numpy()
                for chunk in _chunks(range(video.n_frames))
            ])  # fmt: skip

    @classmethod
    def check(cls, sample: Sample) -> None:
        """Decode every frame, by PyAV, which also finds damage that decord conceals.

        Raises:
            DataError: the file is damaged; names it.
        """
        with open_video(sample.content, sample.key, "pyav") as video:
            for chunk in _chunks(range(video.n_frames)):
                video.frames(chunk)

    def _check_length(self, video: Reader) -> None:
        """Refuse a video that is too short, or say once what is done about such."""
        c: Video.Config = self.config
        needed = span(c.frames, c.stride) if c.sampling == "stride" else c.frames
        if video.n_frames >= needed:
            return
        found = f"{video.name} has {video.n_frames} frames, a clip reaches over {needed}"
        if c.short == "refuse":
            raise DataError(found, "lower data.stride or data.frames, or set data.short=hold")
        say_once(f"{found}: its last frame is held, as of all that are so short", "short")

    def _clips(self, n_frames: int, draws: Draws | None) -> list[list[int]]:
        """The frames of each clip: one in training, `test_clips` in evaluation."""
        c: Video.Config = self.config
        if draws is None:
            return evaluation_frames(n_frames, c.frames, c.stride, c.sampling, c.test_clips)
        return [training_frames(n_frames, c.frames, c.stride, c.sampling, draws.fork("time"))]

    def _crops(self, video: Reader, numbers: list[int], draws: Draws | None) -> list[Tensor]:
        """All crops of the frames of ascending numbers: V or `test_crops` of (K, 3, S, S) uint8.

        Never are more frames in memory at full size than a clip has.
        """
        step = self.config.frames
        cut_one = self._evaluation_crops if draws is None else self._training_crops(video, draws)
        parts = [cut_one(video.frames(numbers[i : i + step])) for i in range(0, len(numbers), step)]
        return [torch.cat(chunks) for chunks in zip(*parts, strict=True)]

    def _evaluation_crops(self, frames: NDArray[np.uint8]) -> list[Tensor]:
        c: Video.Config = self.config
        return evaluation_crops(frames, c.size, c.eval_crop, c.test_crops)

    def _training_crops(
        self, video: Reader, draws: Draws
    ) -> Callable[[NDArray[np.uint8]], list[Tensor]]:
        """A function that cuts all views out of frames: each view with a box and a flip its own."""
        c: Video.Config = self.config
        rows = draws.views(c.views)
        each = [replace(rows, ids=rows.ids[i : i + 1]) for i in range(c.views)]
        flips = [self._flips(one) for one in each]
        boxes = [self._box(video.size, one.fork("crop")) for one in each]

        def crops(frames: NDArray[np.uint8]) -> list[Tensor]:
            views = [
                evaluation_crops(frames, c.size, c.eval_crop, 1)[0]
                if box is None
                else cut(frames, box, c.size, bilinear=c.augment == "multi_scale")
                for box in boxes
            ]
            return [v.flip(-1) if flip else v for v, flip in zip(views, flips, strict=True)]

        return crops

    def _box(self, size: tuple[int, int], draws: Draws) -> Box | None:
        """The box of one view; None = the centre crop."""
        c: Video.Config = self.config
        if c.augment == "multi_scale":
            return multi_scale_box(size, c.size, draws)
        if c.augment == "crop_flip":
            return random_box(size, c.train_crop_scale, c.ratio, draws)
        return None

    def _flips(self, draws: Draws) -> bool:
        c: Video.Config = self.config
        wanted = c.augment == "flip" or (c.augment == "crop_flip" and c.flip)
        return wanted and bool(draws.fork("flip").uniform()[0] < 0.5)

    def denormalize(self, clips: Tensor) -> Tensor:
        """Normalized (…, 3, T, H, W) → float32 in 0…1, clipped."""
        frames = denormalize(clips.transpose(-4, -3), self.config.mean, self.config.std)
        return frames.transpose(-4, -3)

    @staticmethod
    def tokenize(clips: Tensor | Batch, tubelet: int, patch_size: int) -> Tokens:
        """The tubelets of clips (B, 3, T, H, W), or of all views of a batch: (B·V, N, P).

        Raises:
            UsageError: tubelet or patch size do not divide the clips.
        """
        pixels = clips["video"].flatten(0, 1) if isinstance(clips, Batch) else clips
        frames, height, width = pixels.shape[-3:]
        grid = grid_of((frames, height, width), tubelet, patch_size)
        return Tokens(patchify(pixels, tubelet, patch_size), grid=grid)

    @staticmethod
    def restore(tokens: Tokens, tubelet: int) -> Tensor:
        """The clips (B, 3, T, H, W) of tubelet tokens, in the tokens' units.

        Raises:
            UsageError: the tokens are no grid of RGB tubelets.
        """
        slots, rows, columns = tokens.grid if tokens.grid is not None else (1, 1, tokens.count)
        return unpatchify(tokens.values, (slots, rows, columns), tubelet)

    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a film strip (PNG) or, where the suffix asks for one, an animation.

        A strip has three rows for each clip: input, masked (hidden tubelets grey),
        reconstruction. An animation (.gif, .webp, .apng) shows the three side by side. Four clips
        are shown at most, of as many videos as there are.
        """
        from .drawing import ANIMATED, write_animation, write_strip

        few = _few(*batch["video"].shape[:2]).to(hidden.device)
        clips, hidden = batch["video"].flatten(0, 1)[few], hidden[few]
        tokens = Tokens(tokens.values[few], grid=tokens.grid)
        slots = tokens.grid[0] if tokens.grid is not None else 1
        tubelet = clips.shape[2] // slots
        side = round((tokens.values.shape[-1] / 3 / tubelet) ** 0.5)
        shown = self.denormalize(clips)
        plain = self.tokenize(shown, tubelet, side)
        masked = plain.values.masked_fill(hidden[:, :, None].to(shown.device), 0.5)
        rows = {
            "input": shown,
            "masked": self.restore(Tokens(masked, grid=plain.grid), tubelet),
            "reconstruction": self.denormalize(self.restore(tokens, tubelet)),
        }
        write = write_animation if path.suffix.lower() in ANIMATED else write_strip
        return write(rows, path)


def _few(videos: int, views: int) -> Tensor:
    """The rows of the clips that a picture shows: of as many videos as there are."""
    each = max(_SHOWN // videos, 1)
    return torch.arange(videos * views).view(videos, views)[:_SHOWN, :each].flatten()


def _chunks(numbers: range) -> list[range]:
    return [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)]


def _scaled(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """(height, width) of frames of (width, height) scaled down to a short side, never up."""
    scale = min(1.0, (short_side or min(size)) / min(size))
    return max(round(size[1] * scale), 1), max(round(size[0] * scale), 1)
