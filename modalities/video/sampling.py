"""Which frames of a video make a clip.

"stride" takes every s-th frame from a place drawn at random (Tong et al., 2022, VideoMAE);
"segments" takes one frame of each of T equal parts (Wang et al., 2016, TSN). A video that is too
short holds its last frame to the end, as the official code does.
"""

# n frames of the video, T frames of the clip, s stride, C clips.

from typing import Literal

from ...core.draws import Draws

Sampling = Literal["stride", "segments"]


def span(frames: int, stride: int) -> int:
    """How many frames of the video a clip of T frames at stride s reaches over.

    Example:
        >>> span(16, 4)
        61
    """
    return (frames - 1) * stride + 1


def training_frames(
    n: int, frames: int, stride: int, sampling: Sampling, draws: Draws
) -> list[int]:
    """The numbers of a clip's frames at a place drawn at random: T ascending ones.

    Args:
        n: frames of the video.
        frames: T.
        stride: s.
        sampling: how.
        draws: one row.

    Example:
        >>> import torch
        >>> training_frames(5, 4, 2, "stride", Draws(0, torch.tensor([1])))
        [0, 2, 4, 4]
    """
    if sampling == "segments":
        places = draws.uniform(frames)[0].tolist()
        return [_in_segment(n, frames, i, place) for i, place in enumerate(places)]
    free = max(n - span(frames, stride) + 1, 1)
    return _strided(n, int(float(draws.uniform()[0]) * free), frames, stride)


def evaluation_frames(
    n: int, frames: int, stride: int, sampling: Sampling, clips: int
) -> list[list[int]]:
    """The numbers of the frames of C clips spread evenly over the video; one is in the middle.

    Args:
        n: frames of the video.
        frames: T.
        stride: s.
        sampling: how; "segments" takes clip c's frames at (c + 1/2) / C of each part.
        clips: C.

    Example:
        >>> evaluation_frames(20, 2, 4, "stride", 3)
        [[0, 4], [8, 12], [15, 19]]
    """
    if sampling == "segments":
        places = [(clip + 0.5) / clips for clip in range(clips)]
        return [[_in_segment(n, frames, i, place) for i in range(frames)] for place in places]
    free = max(n - span(frames, stride), 0)
    starts = [free * clip / (clips - 1) for clip in range(clips)] if clips > 1 else [free / 2]
    return [_strided(n, int(start + 0.5), frames, stride) for start in starts]


def _strided(n: int, start: int, frames: int, stride: int) -> list[int]:
    return [min(start + i * stride, n - 1) for i in range(frames)]


def _in_segment(n: int, segments: int, number: int, place: float) -> int:
    """The frame at a share `place` of one of equal parts."""
    return min(int((number + place) * n / segments), n - 1)
