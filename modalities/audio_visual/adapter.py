"""The audio-visual adapter: clips of a video with the very stretch of sound that belongs to them.

Layout of a batch: "video" (B, V, 3, T, S, S) as the video adapter makes it, zeros where there is
none; "has_video" (B, V) bool; "waveform" (B, V, n) float32 mono at 16 kHz in −1…1 without its mean,
zeros at its end; "samples" (B, V) int64, how many of them are sound (0 = none). Spectrograms are
made of waveforms in whole batches, on their device (`spectrograms.Spectrogram`).
"""

# B samples, V views, T frames, S side, n samples of sound, F frames of 10 ms.

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ...core.config import Config as BaseConfig
from ...core.draws import Draws
from ...core.errors import DataError
from ...core.filterbank import RATE, n_frames, n_samples
from ...core.modality import Modality, Sample, Source
from ...core.tokens import Batch, Tokens
from ..video.adapter import Video
from ..video.reading import open_video, say_once
from .recording import Recording, recording_of, stretch
from .sound import open_sound, samples_of
from .spectrograms import Spectrogram

_GAIN_ORDER, _GAIN_OF = 9, 19  # the tenth of 19 uniform numbers is Beta(10, 10)
Stretch = tuple[float, float]


class AudioVisual(Modality):
    """Videos with sound, videos alone, sound alone.

    Example:
        >>> import numpy as np
        >>> adapter = AudioVisual(AudioVisual.Config(
        ...     video=Video.Config(size=8, frames=4, stride=2, augment="none")))
        >>> hum = Recording(np.zeros((9, 20, 30, 3), np.uint8), np.ones(16000, np.float32))
        >>> made = adapter.prepare(Sample("hum", hum), None)
        >>> made["video"].shape, made["samples"].tolist()
        (torch.Size([1, 3, 4, 8, 8]), [5120])
    """

    slug = "audio-visual"
    VIEWS = True

    class Config(BaseConfig):
        """How video and sound are sampled.

        Attributes:
            video: settings of the video adapter.
            spectrogram: how sound becomes a picture; here it fixes how many samples are kept.
            seconds: of a clip of sound that has no video.
            gain: in training, whether each clip's sound is scaled by Beta(10, 10) + ½.
            roll: in training, whether it is rotated in time. The official code means to and never
                does, so the published settings do not.
        """

        video: Video.Config = Video.Config()
        spectrogram: Spectrogram = Spectrogram()
        seconds: float = Field(2.56, gt=0)
        gain: bool = True
        roll: bool = False

    def __init__(self, config: "AudioVisual.Config") -> None:
        super().__init__(config)
        self.video = Video(config.video)

    @classmethod
    def open(cls, path: Path) -> Source:
        """The recordings at a path: a folder, a list, tar shards or one file, of video or sound.

        Raises:
            DataError: nothing there that can be read.
        """
        from .sources import open_source

        return open_source(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a path holds sound files; videos are left to the video adapter."""
        from .sources import holds_sounds

        return holds_sounds(path)

    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One recording's clips, each with its own stretch of sound; see the module's text.

        Args:
            sample: content `Recording`, a video's or a sound's file, or an array of either.
            draws: one row for the place in time, crops, gain; None = the evaluation views.

        Raises:
            DataError: damaged, without video and sound, or as the video adapter; names the file.
        """
        recording = recording_of(sample.content)
        if recording.video is None:
            video, sounds = self._sounds_alone(recording, sample.key, draws)
        else:
            video, sounds = self._clips(recording, sample.key, draws)
        waveforms = self._waveforms(sounds, draws)
        return {
            "video": video,
            "has_video": torch.full((len(video),), recording.video is not None),
            "waveform": torch.stack([self._filled(each) for each in waveforms]),
            "samples": torch.tensor([min(len(each), self._longest) for each in waveforms]),
        }

    @classmethod
    def check(cls, sample: Sample) -> None:
        """Decode all frames and all sound.

        Raises:
            DataError: damaged; names the file.
        """
        recording = recording_of(sample.content)
        if recording.video is not None:
            Video.check(Sample(sample.key, recording.video))
        if recording.audio is not None:
            with open_sound(recording.audio, sample.key) as sound:
                if sound is not None:
                    samples_of(sound)

    def raw(self, batch: Batch) -> Mapping[str, Tensor]:
        """Pixels, and the spectrogram in the place of the waveform."""
        return {"video": batch["video"], "audio": self.config.spectrogram(batch)}

    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a film strip above spectrograms (PNG), or the reconstructed sound (.wav).

        Args:
            batch: the inputs.
            tokens: joined ones (`spectrograms.joined`).
            hidden: (B·V, N + A) bool.
            path: where to.
        """
        from .drawing import draw

        return draw(self, batch, tokens, hidden, path)

    @property
    def _longest(self) -> int:
        """Samples that a spectrogram can hold."""
        return n_samples(self.config.spectrogram.frames)

    def _clips(
        self, recording: Recording, key: str, draws: Draws | None
    ) -> tuple[Tensor, list[NDArray[np.float32]]]:
        """(V, 3, T, S, S), and the sound of each of the V views."""
        c: Video.Config = self.config.video
        with open_video(recording.video, key, c.decoder) as video:  # type: ignore[arg-type]
            views, clips = self.video.views(video, draws)
            times = recording.times(video.n_frames)
        # a separate file begins with the video's first frame, wherever its own clock stands
        times = times if recording.one_file else times - times[0]
        step = c.stride if c.sampling == "stride" else 1
        found = self._sounds(recording, key, [stretch(clip, times, step) for clip in clips])
        repeats = len(views) // len(clips)
        return views, [sound for sound in found for _ in range(repeats)]

    def _sounds(
        self, recording: Recording, key: str, stretches: list[Stretch]
    ) -> list[NDArray[np.float32]]:
        """The sound of each stretch; empty where there is none."""
        nothing = [np.zeros(0, np.float32) for _ in stretches]
        if recording.audio is None:
            return nothing
        with open_sound(recording.audio, key) as sound:
            if sound is None:
                say_once(f"{recording.name} has no sound: only its pictures count", "no sound")
                return nothing
            found = [samples_of(sound, *each) for each in stretches]
        for samples, (start, stop) in zip(found, stretches, strict=True):
            if n_frames(len(samples)) == 0:
                say_once(
                    f"{recording.name} has no sound from {start:.2f} to {stop:.2f} s: there only "
                    "pictures count", "no sound there",
                )  # fmt: skip
        return found

    def _sounds_alone(
        self, recording: Recording, key: str, draws: Draws | None
    ) -> tuple[Tensor, list[NDArray[np.float32]]]:
        """No pictures (V, 3, T, S, S), and V stretches of sound."""
        c: Video.Config = self.config.video
        if recording.audio is None:
            raise DataError(f"{key} has neither video nor sound", "leave it out")
        with open_sound(recording.audio, key) as sound:
            if sound is None:
                raise DataError(f"{recording.name} has neither video nor sound", "leave it out")
            whole = samples_of(sound)
        if n_frames(len(whole)) == 0:
            raise DataError(f"{recording.name} has {len(whole)} samples of sound", "leave it out")
        wanted = round(self.config.seconds * RATE)
        free = max(len(whole) - wanted, 0)
        if draws is None:
            clips = range(c.test_clips)
            places = [i / (c.test_clips - 1) if c.test_clips > 1 else 0.5 for i in clips]
            repeats = c.test_crops
        else:
            places, repeats = [float(draws.fork("time").uniform()[0])], c.views
        starts = [round(free * place) for place in places for _ in range(repeats)]
        pictures = torch.zeros(len(starts), 3, c.frames, c.size, c.size)
        return pictures, [whole[start : start + wanted] for start in starts]

    def _waveforms(
        self, sounds: list[NDArray[np.float32]], draws: Draws | None
    ) -> list[NDArray[np.float32]]:
        """Each without its mean, and in training with a gain, and perhaps rotated."""
        plain = [sound - sound.mean(dtype=np.float64) if len(sound) else sound for sound in sounds]
        if draws is None:
            return [sound.astype(np.float32) for sound in plain]
        views = draws.views(len(sounds))
        uniform = views.fork("gain").uniform(_GAIN_OF).sort(dim=1).values
        gains = uniform[:, _GAIN_ORDER] + 0.5 if self.config.gain else torch.ones(len(sounds))
        turns = views.fork("roll").uniform() if self.config.roll else torch.zeros(len(sounds))
        return [
            np.roll(sound * float(gain), int(float(turn) * len(sound))).astype(np.float32)
            for sound, gain, turn in zip(plain, gains, turns, strict=True)
        ]

    def _filled(self, samples: NDArray[np.float32]) -> Tensor:
        """Cut, or filled with zeros, to the samples of a spectrogram."""
        kept = torch.from_numpy(np.ascontiguousarray(samples[: self._longest]))
        return torch.nn.functional.pad(kept, (0, self._longest - len(kept)))
