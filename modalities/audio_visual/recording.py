"""What a sample of video and sound holds, and the stretches of it that clips show."""

# T frames of a clip, n samples of a stretch.

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.hashing import sha256_json
from ..files import Encoded
from ..fingerprints import content_digest
from ..video.files import VideoFile
from ..video.reading import Content
from .sound import SoundContent, is_video
from .timing import frame_times


@dataclass(frozen=True)
class Recording:
    """Video, sound, or both.

    Attributes:
        video: what the video's readers open; None = sound alone.
        audio: what `sound.open_sound` opens, often the same file; None = video alone.
        fps: of decoded frames, which have no times of their own.
    """

    video: Content | None
    audio: SoundContent | None
    fps: float = 25.0

    @property
    def name(self) -> str:
        """For messages: the file that it is."""
        return str(getattr(self.video if self.video is not None else self.audio, "name", "array"))

    def digest(self) -> str:
        """The sha256 of all that it holds.

        Raises:
            DataError: a file cannot be read.
        """
        parts = [
            None if part is None else content_digest(part) for part in (self.video, self.audio)
        ]
        return sha256_json({"video": parts[0], "audio": parts[1], "fps": self.fps})

    def times(self, n_frames: int) -> NDArray[np.float64]:
        """(n + 1,) seconds at which the frames are shown, and at which the last one ends.

        Raises:
            DataError: the file is damaged.
        """
        if isinstance(self.video, VideoFile | Encoded):
            return frame_times(self.video, n_frames)
        return np.arange(n_frames + 1) / self.fps

    @property
    def one_file(self) -> bool:
        """Whether video and sound are of one file, and go by its one clock."""
        return self.audio is self.video


def recording_of(content: object) -> Recording:
    """The recording that a sample's content means: itself, a video's file, or a sound's."""
    if isinstance(content, Recording):
        return content
    if isinstance(content, np.ndarray):
        return Recording(content, None) if content.ndim == 4 else Recording(None, content)
    return Recording(content if is_video(content) else None, content)  # type: ignore[arg-type]


def stretch(numbers: list[int], times: NDArray[np.float64], stride: int) -> tuple[float, float]:
    """The seconds that a clip's frames cover: from the first one to `stride` after the last.

    Beyond the video's end, time goes on at the pace of its last frame (Sun et al., 2024, official
    code).

    Args:
        numbers: of the frames, ascending.
        times: as `Recording.times`.
        stride: frames from one of the clip to the next.

    Example:
        >>> stretch([0, 4, 8, 12], np.arange(21) / 25, 4)
        (0.0, 0.64)
    """
    last = len(times) - 1
    stop = numbers[-1] + stride
    beyond = max(stop - last, 0) * (times[-1] - times[-2])
    return float(times[numbers[0]]), float(times[min(stop, last)] + beyond)
