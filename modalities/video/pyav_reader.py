"""Frames of a video by PyAV: exact numbers, upright, no more seeking than a clip needs.

Frames are numbered in the order of presentation. One pass over the packets (nothing decoded)
gives the time of each frame and of the key frames; a wanted frame is then reached from the frame
decoded last, or from the nearest key frame before it where that is less work.
"""

# K frames wanted, H rows, W columns.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.extras import require
from ..files import Encoded
from .files import VideoFile
from .orientation import orientation_of

_LARGEST = 1 << 26  # pixels of a frame, 8192²: more is no video but a bomb
_LOST = 2  # frames that a file without times may count at its end and not hold
_CUT_SHARE = 0.98  # of the frames promised that must be there


@dataclass(frozen=True)
class _Times:
    """When frames are shown, in units of the stream.

    Attributes:
        all: (n,) int64, ascending.
        keys: numbers of the key frames, ascending.
    """

    all: NDArray[np.int64]
    keys: NDArray[np.int64]


class PyavReader:
    """An opened video.

    Attributes:
        name: for messages.
        size: (width, height), upright.
        orientation: how the stored frames must be turned.
        form: names of container and codec.
        promised: how many frames the file says it has; 0 where it does not.
    """

    def __init__(self, content: VideoFile | Encoded) -> None:
        """Open the file and decode its first frame.

        Raises:
            DataError: it is no video, damaged, or has no picture.
            MissingExtra: PyAV is not installed.
        """
        av = require("av")
        av.logging.set_level(av.logging.PANIC)  # errors are raised, and we name the file
        self._errors = (av.FFmpegError, OSError, ValueError, EOFError, RuntimeError)
        self._reformatter = av.video.reformatter.VideoReformatter()
        # from 17 on it starts a thread per core for each frame: 84 ms where one takes 2 (17 frames)
        self._how = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
        self.name = content.name
        if content.n_bytes == 0:
            raise DataError(f"{self.name} is empty (0 bytes)", "replace the file")
        source = BytesIO(content.data) if isinstance(content, Encoded) else str(content.path)
        try:
            # names of files and titles may be in any encoding
            self._container = av.open(source, metadata_errors="ignore")
        except self._errors as error:
            raise self._damaged(error) from error
        self._frames: Iterator[tuple[int, Any]] | None = None
        self._next = 0  # the number of the frame that `_frames` gives next
        self._last: Any = None
        try:
            self._stream = self._pick_stream()
            first = next(self._decoded(), None)
            if first is None:
                raise self._damaged("no frame can be decoded")
            self._shape = (first.height, first.width)
            self.orientation = orientation_of(first)
        except BaseException:
            self.close()
            raise
        turned = self.orientation.swaps
        self.size = (first.height, first.width) if turned else (first.width, first.height)
        self.form = (self._container.format.name, self._stream.codec_context.name)
        self.promised = int(self._stream.frames)
        self._times: _Times | None = None
        self._count = 0

    def close(self) -> None:
        """Give the file handle and the decoder back, now and not when garbage is collected."""
        self._frames = self._last = self._stream = None
        self._container.close()

    @property
    def n_frames(self) -> int:
        """How many frames there are.

        Raises:
            DataError: the file was cut off.
        """
        if self._count == 0:
            self._index()
        check_whole(self.name, self._count, self.promised)
        return self._count

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The frames of ascending numbers: (K, H, W, 3) uint8 RGB, upright.

        Raises:
            DataError: one of them is damaged.
        """
        _ = self.n_frames
        made = [self._frame(number) for number in numbers]
        return np.stack(made)

    def _pick_stream(self) -> Any:  # noqa: ANN401 - PyAV is optional
        stream = self._container.streams.best("video")
        if stream is None:
            raise DataError(f"{self.name} has no video stream (sound alone)", "remove the file")
        if stream.codec_context is None:
            raise self._damaged("its codec is unknown")
        width, height = stream.width, stream.height
        if not 0 < width * height <= _LARGEST:
            raise self._damaged(f"frames of {width}×{height} pixels")
        stream.thread_type = "NONE"  # workers share the cores; equal in every run
        stream.codec_context.thread_count = 1
        return stream

    def _index(self) -> None:
        """Count the frames and note their times."""
        times: list[int | None] = []
        keys: list[int | None] = []
        try:
            self._container.seek(0)
            for packet in self._container.demux(self._stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        except self._errors as error:
            raise self._damaged(error) from error
        self._count = len(times)
        known = [time for time in times if time is not None]
        # AVI stores no times; PyAV's are then guesses in the order of decoding
        exact = self._container.format.name != "avi" and len(set(known)) == len(times)
        if exact:
            ordered = np.array(sorted(known), dtype=np.int64)
            at = np.array(sorted(k for k in keys if k is not None), dtype=np.int64)
            self._times = _Times(ordered, np.searchsorted(ordered, at))
        self._rewind()

    def _frame(self, number: int) -> NDArray[np.uint8]:
        self._approach(number)
        for found, frame in self._frames or ():
            self._next, self._last = found + 1, frame
            if found == number:
                return self._pixels(frame)
            if found > number:
                break
        else:
            if self._times is None and number >= self._count - _LOST and self._last is not None:
                return self._pixels(self._last)
        raise self._damaged(f"frame {number} of {self._count} cannot be decoded")

    def _approach(self, number: int) -> None:
        """Seek where that is less work than decoding on to `number`."""
        if self._times is None:
            if self._frames is None or number < self._next:
                self._rewind()
            return
        place = int(np.searchsorted(self._times.keys, number, side="right")) - 1
        key = int(self._times.keys[place]) if place >= 0 else 0
        if self._frames is not None and self._next <= number and key <= self._next:
            return
        if key == 0:
            self._rewind()
            return
        try:
            self._container.seek(int(self._times.all[key]), stream=self._stream)
        except self._errors as error:
            raise self._damaged(error) from error
        self._frames, self._next = self._numbered(), key

    def _rewind(self) -> None:
        try:
            self._container.seek(0)
        except self._errors as error:
            raise self._damaged(error) from error
        self._frames, self._next = self._numbered(), 0

    def _numbered(self) -> Iterator[tuple[int, Any]]:
        """The decoded frames with their numbers, from where the file stands."""
        if self._times is None:
            yield from enumerate(self._decoded())
            return
        for frame in self._decoded():
            place = int(np.searchsorted(self._times.all, frame.pts))
            if place < self._count and self._times.all[place] == frame.pts:
                yield place, frame

    def _decoded(self) -> Iterator[Any]:
        try:
            yield from self._container.decode(self._stream)
        except self._errors as error:
            raise self._damaged(error) from error

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - PyAV is optional
        if frame.is_corrupt:
            raise self._damaged("a frame's data are corrupt")
        height, width = self._shape
        made = self._reformatter.reformat(frame, width, height, "rgb24", **self._how)
        return self.orientation.apply(made.to_ndarray())

    def _damaged(self, reason: object) -> DataError:
        said = getattr(reason, "strerror", None) or str(reason)
        return DataError(f"{self.name} is damaged or no video: {said}", "replace the file")


def check_whole(name: str, found: int, promised: int) -> None:
    """Refuse a file that was cut off.

    Raises:
        DataError: it holds no frame, or clearly fewer than it says.
    """
    if found < 1:
        raise DataError(f"{name} is damaged or no video: it holds no frame", "replace the file")
    if found < _CUT_SHARE * promised - _LOST:
        raise DataError(
            f"{name} is cut off: it holds {found} of the {promised} frames that it says it has",
            "replace the file",
        )
