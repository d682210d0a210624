"""dlib's own face net (extra `faces`): 128-d, from the weights that face_recognition_models holds.

The shipped `face-api` is this net, quantized: neither judges the other.
"""

# B images.

import numpy as np
import torch
from torch import Tensor

from ....core.extras import path_inside, require
from ....core.hashing import sha256_file
from .embedders import Embedder
from .templates import DLIB_150

_PACKAGE = "face_recognition_models"
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
WIDTH = 128


class DlibNet(Embedder):
    """The extractor through dlib; pictures become uint8 chips, so it gives no gradients.

    Raises:
        MissingExtra: dlib or the package with the weights is absent.
        DataError: that package lacks the file.
    """

    def __init__(self) -> None:
        path = path_inside(_PACKAGE, _FILE)
        net = require("dlib").face_recognition_model_v1(str(path))
        super().__init__(
            "dlib", sha256_file(path), WIDTH, DLIB_150,
            differentiable=False, training_data=("dlib-faces-3M",),
        )  # fmt: skip
        self._net = net

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, 128) of chips (B, 3, 150, 150) in [-1, 1], rounded to whole pixel values."""
        pixels = (chips.detach() * 127.5 + 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
        faces = [np.ascontiguousarray(face) for face in pixels.permute(0, 2, 3, 1).numpy()]
        vectors = self._net.compute_face_descriptor(faces) if faces else []
        found = np.array([list(vector) for vector in vectors], dtype=np.float32)
        return torch.from_numpy(found.reshape(-1, WIDTH)).to(chips.device)
