"""When the frames of a video are shown, on the clock that its audio track goes by, too."""

# n frames.

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.extras import require
from ..files import Encoded
from ..video.files import VideoFile

_MOST_FPS = 1000


def frame_times(content: VideoFile | Encoded, n_frames: int) -> NDArray[np.float64]:
    """(n + 1,) seconds at which frames are shown, and at which the last one ends.

    Frames are numbered in the order of presentation, as the video's readers do. Where packets have
    no times of their own (AVI), frames follow each other at the stream's mean rate.

    Args:
        content: the file or its bytes; of a part of a file, the times of that part's frames.
        n_frames: n, of the part.

    Raises:
        DataError: the file is damaged, or says no rate.
    """
    av = require("av")
    errors = (av.FFmpegError, OSError, ValueError, EOFError, RuntimeError)
    source = BytesIO(content.data) if isinstance(content, Encoded) else str(content.path)
    start = content.start if isinstance(content, VideoFile) else 0
    try:
        with av.open(source, metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            packets = [
                float(packet.pts * packet.time_base)
                for packet in container.demux(stream)
                if packet.size and not packet.is_discard and packet.pts is not None
            ]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            exact = container.format.name != "avi"
    except errors as error:
        raise DataError(f"{content.name} is damaged: {error}", "replace the file") from error
    if not 0 < rate <= _MOST_FPS:
        raise DataError(
            f"{content.name}: {rate:g} frames per second", "store the video with its frame rate"
        )
    times = np.array(sorted(set(packets)))
    if not exact or len(times) < start + n_frames:
        times = np.arange(start + n_frames) / rate
    times = np.append(times, times[-1] + 1 / rate)
    return times[start : start + n_frames + 1]
