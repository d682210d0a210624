"""Frames of a video by decord; whatever it cannot do is for the caller to read otherwise."""

# K frames wanted, H rows, W columns.

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ...core.extras import require
from ..files import Encoded
from .files import VideoFile

_FAULTS = 1  # frames that decord may replace by a neighbour before it says so; 0 would mean any


class DecordFailedError(Exception):
    """Decord cannot read a file, or not these frames."""


class DecordReader:
    """An opened video.

    Attributes:
        n_frames: how many frames there are.
    """

    def __init__(self, content: VideoFile | Encoded) -> None:
        """Open the file.

        Raises:
            DecordFailedError: decord cannot, or would mistake frames for each other.
            MissingExtra: decord is not installed.
        """
        decord = require("decord")
        decord.logging.set_level(decord.logging.QUIET)
        self._errors = (decord.DECORDError, RuntimeError, IndexError, AssertionError)
        source = BytesIO(content.data) if isinstance(content, Encoded) else str(content.path)
        try:
            # one thread: workers share the cores, and the result is the same in every run
            self._video = decord.VideoReader(source, num_threads=1, fault_tol=_FAULTS)
        except self._errors as error:
            raise DecordFailedError(_reason(error)) from error
        self.n_frames = len(self._video)
        # decord finds a frame by its time; of those with the same time it gives any
        if (np.diff(self._video.get_frame_timestamp(range(self.n_frames))[:, 0]) <= 0).any():
            raise DecordFailedError("frames have the same time")

    def frames(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """The frames of ascending numbers: (K, H, W, 3) uint8 RGB.

        Raises:
            DecordFailedError: decord cannot decode them.
        """
        try:
            found: NDArray[np.uint8] = self._video.get_batch(list(numbers)).asnumpy()
        except self._errors as error:
            raise DecordFailedError(_reason(error)) from error
        if found.ndim != 4 or found.shape[-1] != 3:  # decord 0.6 of turned videos
            raise DecordFailedError(f"it gives frames of shape {found.shape[1:]}")
        return found


def _reason(error: Exception) -> str:
    """The message without decord's source lines and stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return said.rpartition("] ")[2].rpartition(".cc:")[2].partition(": ")[2] or said
