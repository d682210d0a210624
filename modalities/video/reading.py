"""Opening a video: by decord where it reads the file, by PyAV where it does not, said in a line."""

# K frames wanted, H rows, W columns, F frames of an array.

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.extras import installed
from ..files import Encoded
from .decord_reader import DecordFailedError, DecordReader
from .files import VideoFile
from .orientation import UPRIGHT
from .pyav_reader import PyavReader, check_whole

logger = logging.getLogger(__name__)

# in which decord 0.6 was seen to number frames as PyAV does
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_CODECS = ("h264", "mpeg4", "vp8", "vp9", "ffv1")

Decoder = Literal["auto", "decord", "pyav"]
Content = VideoFile | Encoded | NDArray[np.uint8]


class Reader(Protocol):
    """Frames by number, in the order of presentation.

    Attributes:
        name: for messages.
        size: (width, height), upright.
        n_frames: how many there are.
    """

    name: str
    size: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """How many frames there are."""

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The frames of ascending numbers: (K, H, W, 3) uint8 RGB, upright.

        Raises:
            DataError: one of them is damaged; names the file.
        """


@contextmanager
def open_video(content: Content, name: str, decoder: Decoder = "auto") -> Iterator[Reader]:
    """An opened video; its handles are given back at the end.

    Args:
        content: a file, its bytes, or decoded frames (F, H, W, 3).
        name: for messages about arrays.
        decoder: "auto" takes decord where it is installed and reads the file, else PyAV.

    Raises:
        DataError: it is no video, or damaged.
        MissingExtra: the decoder is not installed.
    """
    if isinstance(content, np.ndarray):
        yield ArrayReader(content, name)
        return
    reader = FileReader(content, decoder)
    try:
        yield reader if not isinstance(content, VideoFile) else Part(reader, content)
    finally:
        reader.close()


class ArrayReader:
    """Frames that are decoded already."""

    def __init__(self, frames: NDArray[np.uint8], name: str) -> None:
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise DataError(
                f"{name}: frames of shape {frames.shape}, expected (frames, height, width, 3)",
                "prepare the data again",
            )
        self.name, self._frames = name, frames
        self.size = (frames.shape[2], frames.shape[1])
        self.n_frames = len(frames)

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Copies of the frames: (K, H, W, 3) uint8."""
        return self._frames[list(numbers)]


class FileReader:
    """A file, read by decord where it numbers frames rightly and as long as it works, then by PyAV.

    PyAV looks at every file first, since decord does not know that a file was cut. Decord 0.6 was
    seen to give the frame before the one asked for in AVI files, one four frames later in HEVC,
    any of several frames with one time, and mirrored or turned frames wrongly
    (tests/modalities/video/test_reading.py).
    """

    def __init__(self, content: VideoFile | Encoded, decoder: Decoder) -> None:
        self.name = content.name
        self._pyav = PyavReader(content)
        self.size = self._pyav.size
        self._decord: DecordReader | None = None
        if decoder == "pyav" or (decoder == "auto" and not _has_decord()):
            return
        if not self._suits_decord():
            return
        try:
            self._decord = DecordReader(content)
        except DecordFailedError as error:
            self._without_decord(error)

    @property
    def n_frames(self) -> int:
        """How many frames there are.

        Raises:
            DataError: the file was cut off.
        """
        if self._decord is None:
            return self._pyav.n_frames
        check_whole(self.name, self._decord.n_frames, self._pyav.promised)
        return self._decord.n_frames

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The frames of ascending numbers: (K, H, W, 3) uint8 RGB, upright.

        Raises:
            DataError: one of them is damaged; names the file.
        """
        if self._decord is not None:
            try:
                return self._decord.frames(numbers)
            except DecordFailedError as error:
                self._without_decord(error)
        return self._pyav.frames(numbers)

    def close(self) -> None:
        """Give handles and decoders back."""
        self._decord = None
        self._pyav.close()

    def _suits_decord(self) -> bool:
        """Whether decord gives the right frames of this form; says once for each form if not."""
        container, codec = self._pyav.form
        if self._pyav.orientation != UPRIGHT:
            form = "videos stored turned"
        elif container not in _CONTAINERS or codec not in _CODECS:
            form = f"{codec} in {container.partition(',')[0]}"
        else:
            return True
        say_once(f"{self.name} and other {form}: read by PyAV, decord gives wrong frames", form)
        return False

    def _without_decord(self, error: DecordFailedError) -> None:
        self._decord = None
        say_once(f"{self.name}: decord cannot read it ({error}): read by PyAV")


class Part:
    """The frames `start` … `stop` − 1 of a file."""

    def __init__(self, reader: FileReader, content: VideoFile) -> None:
        self.name, self.size, self._reader = reader.name, reader.size, reader
        self._start, self._stop = content.start, content.stop

    @property
    def n_frames(self) -> int:
        """How many frames the part has.

        Raises:
            DataError: the file ends before the part, or was cut off.
        """
        n = self._reader.n_frames
        stop = n if self._stop is None else self._stop
        if not 0 <= self._start < stop <= n:
            raise DataError(
                f"{self.name} has {n} frames, asked for {self._start} to {stop}",
                "mend the list, or replace the file",
            )
        return stop - self._start

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The part's frames of ascending numbers: (K, H, W, 3) uint8.

        Raises:
            DataError: the file ends before the part, or a frame is damaged.
        """
        _ = self.n_frames
        return self._reader.frames([self._start + number for number in numbers])


def _has_decord() -> bool:
    if installed("decord"):
        return True
    say_once("decord is not installed: videos are read by PyAV")
    return False


def say_once(sentence: str, about: str | None = None) -> None:
    """Warn, once a process for the same words, or for all about the same matter."""
    if _is_new(about or sentence):
        logger.warning(sentence)


_SAID: set[str] = set()


def _is_new(matter: str) -> bool:
    new = matter not in _SAID
    _SAID.add(matter)
    return new
