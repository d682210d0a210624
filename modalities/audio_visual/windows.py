"""Windows cut out of longer recordings, split by time with a gap between the parts."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, UsageError
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint
from ..video.files import VideoFile
from ..video.reading import open_video
from .recording import Recording, recording_of

PARTS: Mapping[str, tuple[float, float]] = {"train": (0.0, 0.6), "test": (0.65, 1.0)}  # of time


class WindowSource(Source):
    """Windows of a number of frames of video files with sound; the label is the recording.

    No frame of one part is in another: a window lies whole within its part, and 5 % of each
    recording's time lie between them.
    """

    modality = "audio-visual"

    def __init__(
        self, name: str, recordings: Sequence[tuple[str, Recording]], part: str, *,
        window: int, step: int,
    ) -> None:  # fmt: skip
        """Count the recordings' frames; nothing else is read.

        Args:
            name: how a user calls it.
            recordings: key and files of each; video files all.
            part: "train" or "test".
            window: frames.
            step: frames from one window's beginning to the next one's.

        Raises:
            UsageError: there is no such part.
            DataError: a recording is no video file, is damaged, or none is long enough.
        """
        if part not in PARTS:
            raise UsageError(f"no part {part!r}", f"choose one: {', '.join(PARTS)}")
        self.name, self.classes = name, tuple(key for key, _ in recordings)
        keys, labels, contents = [], [], []
        for label, (key, recording) in enumerate(recordings):
            video = recording.video
            if not isinstance(video, VideoFile):
                raise DataError(f"{key} is no video file on disk", "give a folder of videos")
            with open_video(video, key) as opened:
                n = opened.n_frames
            begin, end = (round(share * n) for share in PARTS[part])
            for start in range(begin, end - window + 1, step):
                first = video.start + start
                piece = VideoFile(video.name, video.path, first, first + window)
                sound = piece if recording.one_file else recording.audio
                keys.append(f"{part}/{key}-{start:05d}")
                labels.append(label)
                contents.append(Recording(piece, sound))
        if not keys:
            raise DataError(
                f"{name}: no {part} part is as long as {window} frames", "choose shorter windows"
            )
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys = [keys[i] for i in order]
        self._label_of: NDArray[np.int64] = np.array(labels, dtype=np.int64)[order]
        self.labels = self._label_of
        self._contents = [contents[i] for i in order]

    @classmethod
    def of(cls, source: Source, part: str, *, window: int, step: int) -> "WindowSource":
        """The windows of a source's recordings; see `__init__`."""
        found = [source.read(i) for i in range(len(source))]
        named = [(sample.key, recording_of(sample.content)) for sample in found]
        return cls(f"{source.name}:{part}", named, part, window=window, step=step)

    def read(self, index: int) -> Sample:
        """The window, not yet opened."""
        return Sample(self.keys[index], self._contents[index], int(self._label_of[index]))

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and windows."""
        return fingerprint(self)
