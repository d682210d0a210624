"""dlib's HOG face detector with its 68-point predictor (extra `faces`): the cross-check of MTCNN.

The predictor's file was trained on pictures licensed for research only (iBUG 300-W); it lies in
the package face_recognition_models, which is read by path because its import needs what newer
Pythons no longer carry.
"""

# H rows, W columns.

from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from ....core.extras import path_inside, require
from ....core.hashing import sha256_file
from .detectors import Face

_PACKAGE = "face_recognition_models"
_FILE = "models/shape_predictor_68_face_landmarks.dat"
_WINDOW = 80  # pixels of the smallest face that the detector sees
_SMALLEST = 0.3  # share of the picture's shorter side that a face must have to be found
# landmarks among the 68: the mean of each eye's outline, the tip of the nose, the mouth's corners
_GROUPS = (range(36, 42), range(42, 48), (30,), (48,), (54,))


class DlibHog:
    """Sees near-frontal faces only; landmarks are whole pixels.

    Raises:
        MissingExtra: dlib or the package with the predictor is absent.
        DataError: the package lacks the file.
    """

    name = "dlib-hog"

    def __init__(self) -> None:
        path = path_inside(_PACKAGE, _FILE)
        dlib = require("dlib")
        self.hash = sha256_file(path)
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(path))

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces of an (H, W, 3) RGB picture, best score first."""
        picture = np.ascontiguousarray(picture)
        doublings = max(0, ceil(log2(_WINDOW / (_SMALLEST * min(picture.shape[:2])))))
        boxes, scores, _ = self._detector.run(picture, doublings, 0.0)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            shape = self._landmarks(picture, box)
            places = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
            points = np.stack([places[list(group)].mean(axis=0) for group in _GROUPS])
            corners = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
            faces.append(Face(np.array(corners, dtype=np.float64), float(score), points))
        return sorted(faces, key=lambda face: -face.score)
