"""What a face detector finds, which of several faces a picture is of, and detectors by name."""

# H rows, W columns.

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ....core.errors import UsageError, nearest

_NAMED = ("mtcnn", "dlib-hog", "insightface:MODEL")


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face.

    Attributes:
        box: (4,) float64 left, top, right, bottom in pixels; may reach over the picture's border.
        score: of the detector; comparable inside one detector only.
        points: (5, 2) float64 landmarks (x, y) in the order of `templates.LANDMARKS`, whole
            numbers at pixel centres.
    """

    box: NDArray[np.float64]
    score: float
    points: NDArray[np.float64]

    @property
    def side(self) -> float:
        """The shorter side of the box in pixels."""
        return float((self.box[2:] - self.box[:2]).min())


class Detector(Protocol):
    """Anything that finds faces.

    Attributes:
        name: as faces.json keeps it.
        hash: the sha256 of its weights, and of its settings where they can be changed.
    """

    name: str
    hash: str

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces of an (H, W, 3) RGB picture, best score first."""
        ...


def main_face(faces: Sequence[Face], width: int, height: int) -> Face:
    """The face that a picture is of: large and central.

    The largest value of area − 2 · (distance of the box's centre from the picture's centre)²
    wins, in pixels, the rule of insightface's alignment; of equal ones the first.

    Args:
        faces: at least one.
        width: of the picture.
        height: of the picture.
    """
    centre = np.array([width, height]) / 2

    def weight(face: Face) -> float:
        offset = (face.box[:2] + face.box[2:]) / 2 - centre
        return float((face.box[2:] - face.box[:2]).prod() - 2 * (offset @ offset))

    return max(faces, key=weight)


def open_detector(text: str, device: str = "cpu") -> Detector:
    """The detector that a user names.

    Args:
        text: "mtcnn" (shipped), "dlib-hog" (extra `faces`), or "insightface:MODEL" (extra
            `faces`) with MODEL an ONNX file, a folder of them, or an installed pack's name.
        device: where it computes; dlib's always on the CPU.

    Raises:
        UsageError: no such detector; names the nearest.
        WeightsError: the model is absent or no detector.
        MissingExtra: an optional package is absent.
    """
    name, _, model = text.partition(":")
    if text == "mtcnn":
        from .mtcnn import Mtcnn

        return Mtcnn(device=device)
    if text == "dlib-hog":
        from .dlib_hog import DlibHog

        return DlibHog()
    if name == "insightface" and model:
        from .insightface_detector import InsightFaceDetector, find_model

        return InsightFaceDetector(find_model(model), device)
    raise UsageError(f"unknown face detector '{text}'", nearest(text, _NAMED))
