"""Detectors of insightface (extra `faces`), with a model that the user has: nothing is fetched."""

# H rows, W columns.

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....core.errors import WeightsError
from ....core.extras import require
from ....core.hashing import sha256_file
from .detectors import Face
from .model_packs import MEND, located

_PREFIXES = ("det_", "scrfd", "retinaface")  # how its detectors are called
_SIDES = (640, 128)  # a face that fills the picture is found at the smaller size only
_THRESHOLD = 0.5
_MEND = f"{MEND}, or use --detector mtcnn, which is shipped"


def find_model(text: str) -> Path:
    """The ONNX file that a user names.

    Args:
        text: the file, a folder that holds one detector, or the name of a pack.

    Raises:
        WeightsError: there is none, or a folder holds several.
    """
    path = located(text, _MEND)
    if path.is_file():
        return path
    found = sorted(p for p in path.glob("*.onnx") if p.name.startswith(_PREFIXES))
    if len(found) == 1:
        return found[0]
    raise WeightsError(
        f"{path} holds {len(found)} detectors ({', '.join(_PREFIXES)}…), expected one",
        "name the ONNX file: --detector insightface:FILE",
    )


class InsightFaceDetector:
    """An SCRFD or RetinaFace model with five landmarks.

    Raises:
        MissingExtra: insightface is absent.
        WeightsError: the file is no such model.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        zoo = require("insightface").model_zoo
        gpu = device.startswith("cuda")
        providers = [*(["CUDAExecutionProvider"] if gpu else []), "CPUExecutionProvider"]
        try:
            model = zoo.get_model(str(path), providers=providers)
        except Exception as error:  # a foreign file can fail in any way inside the reader
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"{path} is no readable ONNX model: {reason}", _MEND) from error
        if getattr(model, "taskname", None) != "detection" or not getattr(model, "use_kps", True):
            raise WeightsError(f"{path} is no face detector with five landmarks", _MEND)
        model.prepare(0 if gpu else -1, input_size=(_SIDES[0], _SIDES[0]), det_thresh=_THRESHOLD)
        self.name = f"insightface:{path.name}"
        self.hash = sha256_file(path)
        self._model = model
        self._sides = _fixed_side(model) or _SIDES

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces of an (H, W, 3) RGB picture, best score first."""
        blue_first = np.ascontiguousarray(picture[..., ::-1])
        for side in self._sides:
            boxes, points = self._model.detect(blue_first, input_size=(side, side))
            if len(boxes):
                break
        return [
            Face(box[:4].astype(np.float64), float(box[4]), five.astype(np.float64))
            for box, five in sorted(zip(boxes, points, strict=True), key=lambda f: -f[0][4])
        ]


def _fixed_side(model: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - insightface's own class
    """The side of a model that takes one size only; None where it takes any."""
    height, width = model.session.get_inputs()[0].shape[2:]
    return (height,) if isinstance(height, int) and height == width else None
