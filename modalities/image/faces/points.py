"""The five points of aligned pictures: found once, remembered."""

# B pictures, S side.

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .detectors import Detector, main_face
from .templates import template

_SMALLEST = 0.4  # of the picture's side: an aligned picture is filled by its face
_REMEMBERED = 1 << 21  # pictures, some 300 bytes each


class PointsOf:
    """Finds the points in aligned pictures; each picture is looked at once.

    The points are a function of the picture's pixels alone, so a resumed run, another batch or
    another process finds the same ones. Looking costs 13 ms a picture on one CPU core, in a run's
    first epoch (all of 342 aligned faces were found).

    Args:
        template_name: of the pictures; the template's points stand in where no face is found.
        detector: None = MTCNN, the shipped one.
    """

    def __init__(self, template_name: str, detector: Detector | None = None) -> None:
        if detector is None:
            from .mtcnn import Mtcnn, MtcnnSettings

            detector = Mtcnn(MtcnnSettings(smallest=_SMALLEST))
        self._detector = detector
        self._usual = template(template_name).points.astype(np.float32)
        self._known: dict[bytes, NDArray[np.float32] | None] = {}

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The points of pictures (B, 3, S, S) in [-1, 1].

        Returns:
            (B, 5, 2) float32 pixels, and (B,) bool: whether a face was found, the points being
            the template's where not. Both on the pictures' device.
        """
        levels = (images.detach().float() + 1).mul(127.5).round().clamp(0, 255)
        pictures = levels.to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        seen = [self._points(picture) for picture in pictures]
        points = np.stack([self._usual if each is None else each for each in seen])
        found = torch.tensor([each is not None for each in seen])
        return torch.from_numpy(points).to(images.device), found.to(images.device)

    def _points(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        key = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
        if key in self._known:
            return self._known[key]
        with torch.autocast("cpu", enabled=False):  # a step's lower precision is not the detector's
            faces = self._detector.detect(picture)
        height, width = picture.shape[:2]
        points = main_face(faces, width, height).points.astype(np.float32) if faces else None
        if len(self._known) < _REMEMBERED:
            self._known[key] = points
        return points
