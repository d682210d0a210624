"""dlib's own face net (extra `faces`): 128-d, from the weights that face_recognition_models holds.

The shipped `face-api` is this net, quantized: neither judges the other.
"""

# B images.

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ....core.errors import MissingExtra, WeightsError
from ....core.extras import OPTIONAL, require
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
    """

    def __init__(self) -> None:
        path = weights_path()
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


def weights_path() -> Path:
    """The weights inside the installed package, found without importing it.

    Raises:
        MissingExtra: the package is absent.
        WeightsError: it lacks the file.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(*OPTIONAL[_PACKAGE])
    path = Path(spec.submodule_search_locations[0]) / _FILE
    if not path.is_file():
        raise WeightsError(f"{path} is missing from the installed package", "install it again")
    return path
