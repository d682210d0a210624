"""Sound of a stretch of time: from audio files by soundfile, from tracks of videos by PyAV.

Whatever a file holds comes as float32 mono at 16 kHz in −1…1. Time 0 is the file's own beginning;
of a video's track it is the beginning of the container's clock, by which its frames are shown too.
"""

# n samples, C channels.

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import ceil, gcd, inf
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.extras import require
from ...core.filterbank import RATE
from ...core.hashing import sha256_file
from ..files import Encoded
from ..video.files import VideoFile, unreadable
from ..video.reading import say_once
from .resampling import MARGIN_S, mono, resampled

SUFFIXES = frozenset({".flac", ".mp3", ".oga", ".ogg", ".wav"})
_PREROLL_S = 1.0  # decoders need some packets before they give what they gave without seeking
_JITTER_S = 0.05  # by which times of packets may be wrong; more is a gap
_CLIPPED_SHARE = 0.01  # of samples at full scale
_FULL_SCALE = 0.999
_LOUDEST = 16.0  # no decoder overshoots so far: samples of integers that were never scaled
_LARGEST = 1 << 31  # samples of a file


@dataclass(frozen=True)
class SoundFile:
    """An audio file.

    Attributes:
        name: as a user knows it, for messages.
        path: where it lies.
    """

    name: str
    path: Path

    def digest(self) -> str:
        """The sha256 of the file's bytes.

        Raises:
            DataError: it cannot be read.
        """
        try:
            return sha256_file(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error


SoundContent = SoundFile | VideoFile | Encoded | NDArray[np.float32]


class Sound(Protocol):
    """An opened sound."""

    name: str

    def native(self, start_s: float, stop_s: float) -> tuple[NDArray[np.float32], int, int]:
        """Samples (n, C) of at least the stretch, as far as there are any, the number of the first
        one, and the rate."""  # noqa: D205, D209


@contextmanager
def open_sound(content: SoundContent, name: str) -> Iterator[Sound | None]:
    """An opened sound, or None where a video has no audio track.

    Args:
        content: a file, its bytes, or samples (n,) at 16 kHz.
        name: for messages about arrays.

    Raises:
        DataError: it is no sound, or damaged.
        MissingExtra: the decoder is not installed.
    """
    if isinstance(content, np.ndarray):
        yield ArraySound(content, name)
        return
    reader = _Track if is_video(content) else _File
    sound = reader(content)
    try:
        yield sound if not isinstance(sound, _Track) or sound.exists else None
    finally:
        sound.close()


def samples_of(sound: Sound, start_s: float = 0.0, stop_s: float = inf) -> NDArray[np.float32]:
    """The samples (n,) of a stretch of time, float32 mono at 16 kHz; those that there are.

    Raises:
        DataError: damaged, or a sample is not a number or no sample of a scaled sound.
    """
    found, first, rate = sound.native(max(start_s - MARGIN_S, 0.0), stop_s + MARGIN_S)
    _check(sound.name, found)
    # begin where both rates have a sample: a stretch then has the very samples of the whole
    ahead = -first % (rate // gcd(RATE, rate)) if first else 0
    if ahead / rate < MARGIN_S / 2:
        found, first = found[ahead:], first + ahead
    samples = resampled(mono(found), rate)
    cut = round((start_s - first / rate) * RATE)  # the margin; < 0 where sound begins later
    samples = samples[max(cut, 0) :]
    if cut < 0 and len(samples):
        samples = np.concatenate([np.zeros(-cut, np.float32), samples])
    return samples if stop_s == inf else samples[: max(round((stop_s - start_s) * RATE), 0)]


def is_video(content: object) -> bool:
    """Whether a file is opened as a video: by its name, bytes by their beginning."""
    if isinstance(content, Encoded):
        return not _begins_as_sound(content.data)
    return isinstance(content, VideoFile)


def _begins_as_sound(data: bytes) -> bool:
    if data[:4] == b"OggS":
        return b"theora" not in data[:128]
    wave = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    mp3 = data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] >= b"\xe0")
    return wave or mp3 or data[:4] == b"fLaC"


def _check(name: str, samples: NDArray[np.float32]) -> None:
    """Refuse what is no sound; say once what is a bad one."""
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise DataError(
            f"{name}: {bad} of {samples.size} samples are not finite", "replace the file"
        )
    if not samples.size:
        return
    peak = float(np.abs(samples).max())
    if peak > _LOUDEST:
        raise DataError(
            f"{name}: samples go up to {peak:.4g}, expected −1…1",
            "store integers as integers, or divide by their full scale",
        )
    clipped = float((np.abs(samples) > _FULL_SCALE).mean())
    if clipped > _CLIPPED_SHARE:
        say_once(
            f"{name}: {100 * clipped:.0f} % of its samples are clipped: taken as they are",
            "clipped",
        )


class ArraySound:
    """Samples that are decoded already, mono at 16 kHz."""

    def __init__(self, samples: NDArray[np.float32], name: str) -> None:
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise DataError(
                f"{name}: samples of shape {samples.shape} and type {samples.dtype}, expected (n,) "
                "float32",
                "prepare the data again",
            )
        self.name, self._samples = name, samples

    def native(self, start_s: float, stop_s: float) -> tuple[NDArray[np.float32], int, int]:
        """See `Sound`."""
        first, stop = _numbers(start_s, stop_s, RATE, len(self._samples))
        return self._samples[first:stop, None], first, RATE


class _File:
    """An audio file, by soundfile (libsndfile)."""

    def __init__(self, content: "SoundFile | VideoFile | Encoded") -> None:
        soundfile = require("soundfile")
        self.name = content.name
        self._errors = (soundfile.LibsndfileError, OSError, RuntimeError, ValueError)
        source = BytesIO(content.data) if isinstance(content, Encoded) else str(content.path)
        if not isinstance(content, Encoded) and not content.path.is_file():
            raise DataError(f"{self.name} does not exist", "restore the file")
        try:
            self._file = soundfile.SoundFile(source)
        except self._errors as error:
            raise _damaged(self.name, error) from error
        if not 0 < self._file.samplerate <= 1_000_000 or self._file.frames > _LARGEST:
            self.close()
            raise _damaged(self.name, "its header is absurd")

    def close(self) -> None:
        self._file.close()

    def native(self, start_s: float, stop_s: float) -> tuple[NDArray[np.float32], int, int]:
        """See `Sound`."""
        rate, n = int(self._file.samplerate), int(self._file.frames)
        first, stop = _numbers(start_s, stop_s, rate, n)
        try:
            self._file.seek(first)
            found = self._file.read(stop - first, dtype="float32", always_2d=True)
        except self._errors as error:
            raise _damaged(self.name, error) from error
        if len(found) < stop - first:
            raise _damaged(self.name, f"it ends after {first + len(found)} of {n} samples")
        return found, first, rate


class _Track:
    """The best audio track of a video, by PyAV.

    Attributes:
        exists: whether the file has one.
    """

    def __init__(self, content: "SoundFile | VideoFile | Encoded") -> None:
        av = require("av")
        av.logging.set_level(av.logging.PANIC)  # errors are raised, and we name the file
        self.name = content.name
        self._errors = (av.FFmpegError, OSError, ValueError, EOFError, RuntimeError)
        self._resampler: Callable[..., Any] = av.AudioResampler
        source = BytesIO(content.data) if isinstance(content, Encoded) else str(content.path)
        try:
            self._container = av.open(source, metadata_errors="ignore")
        except self._errors as error:
            raise _damaged(self.name, error) from error
        self._stream = self._container.streams.best("audio")
        self.exists = self._stream is not None

    def close(self) -> None:
        self._container.close()

    def native(self, start_s: float, stop_s: float) -> tuple[NDArray[np.float32], int, int]:
        """See `Sound`; gaps between packets are silent."""
        rate = int(self._stream.rate or 0)
        if rate <= 0:
            raise _damaged(self.name, "its audio track has no rate")
        parts: list[NDArray[np.float32]] = []
        first = end = 0  # numbers of the first sample, and of the one after the last
        for time_s, samples in self._frames(start_s):
            if time_s + len(samples) / rate <= start_s:
                continue
            if time_s >= stop_s:
                break
            at = round(time_s * rate)
            if not parts:
                first = end = at
            if at - end > _JITTER_S * rate:
                parts.append(np.zeros((at - end, samples.shape[1]), np.float32))
                end = at
            parts.append(samples)
            end += len(samples)
        if len({part.shape[1] for part in parts}) > 1:
            parts = [mono(part)[:, None] for part in parts]
        found = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
        return found, first, rate

    def _frames(self, start_s: float) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """Time and samples (n, C) of each frame from shortly before `start_s` on."""
        stream, resampler = self._stream, self._resampler(format="fltp")
        try:
            target = max(start_s - _PREROLL_S, 0.0)
            self._container.seek(int(target / stream.time_base), stream=stream)
            for frame in self._container.decode(stream):
                time_s = frame.time
                for made in resampler.resample(frame):
                    yield (time_s or 0.0), made.to_ndarray().T.astype(np.float32, copy=False)
        except self._errors as error:
            raise _damaged(self.name, error) from error


def _numbers(start_s: float, stop_s: float, rate: int, n: int) -> tuple[int, int]:
    """The first sample and the one after the last of a stretch, within n."""
    stop = n if stop_s == inf else min(ceil(stop_s * rate), n)
    return min(int(start_s * rate), max(stop, 0)), max(stop, 0)


def _damaged(name: str, reason: object) -> DataError:
    said = getattr(reason, "strerror", None) or str(reason)
    return DataError(f"{name} is damaged or no sound: {said}", "replace the file")
