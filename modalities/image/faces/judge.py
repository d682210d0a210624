"""The weak independent judge: principal components and linear discriminants of grey inner faces.

It shares nothing with the deep nets (no weights, no training data, no colour, no hair), so what
pleases one of them by accident does not please it. Turk and Pentland, 1991; Belhumeur et al., 1997.
"""

# N and B images, P pixels of the small grey face, D width.

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ....core.config import Config, build
from ....core.errors import DataError, WeightsError
from ....core.hashing import sha256_bytes
from ....core.weights import WeightsFile, read_weights, save_module
from .embedders import Embedder
from .templates import ARCFACE_112, template

SLUG = "pca-lda"
WEIGHTS = Path(__file__).parent / "weights" / "pca-lda.safetensors"
_ROWS, _COLUMNS = slice(30, 106), slice(20, 92)  # brows to chin, cheek to cheek
_SIZE = (38, 36)  # half of that
_GREY = (0.299, 0.587, 0.114)
_QUIET = 0.05  # added to the contrast, so that an even picture is not blown up
_CHUNK = 256  # images at once while fitting


class JudgeSettings(Config):
    """How the judge is fitted; chosen on the validation part of the train identities."""

    components: int = Field(default=200, ge=2)  # principal components kept
    dim: int = Field(default=64, ge=1)  # D, discriminants kept
    shrinkage: float = Field(default=0.05, ge=0, le=1)  # of the scatter towards a sphere


class Judge(Embedder):
    """A fitted judge: unit vectors, to be compared by cosine.

    Args:
        mean: (P,) of the small grey faces.
        axes: (P, D) discriminants.
        settings: of the fit.
        training_data: what it was fitted on, as declared.
    """

    mean: Tensor
    axes: Tensor

    def __init__(
        self,
        mean: Tensor,
        axes: Tensor,
        settings: JudgeSettings,
        training_data: tuple[str, ...] = (),
    ) -> None:
        parts = (mean.contiguous().float(), axes.contiguous().float())
        content = sha256_bytes(b"".join(part.cpu().numpy().tobytes() for part in parts))
        super().__init__(
            SLUG, content, axes.shape[1], ARCFACE_112,
            differentiable=True, training_data=training_data,
        )  # fmt: skip
        self.settings = settings
        self.register_buffer("mean", parts[0])
        self.register_buffer("axes", parts[1])

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, D) of faces (B, 3, 112, 112) in [-1, 1], each of length 1."""
        return functional.normalize((small_faces(chips) - self.mean) @ self.axes, dim=1)

    def save(self, path: Path) -> None:
        """Write it as one of our weights files."""
        save_module(
            self, path, method=SLUG, container="judge", config=self.settings.to_dict(),
            training_data=" ".join(self.training_data),
        )  # fmt: skip

    @classmethod
    def of_file(cls, file: WeightsFile) -> "Judge":
        """The judge that a weights file holds.

        Raises:
            WeightsError: it holds other arrays than a judge's.
        """
        mean, axes = file.state.get("mean"), file.state.get("axes")
        n_pixels = _SIZE[0] * _SIZE[1]
        if mean is None or axes is None or axes.ndim != 2 or len(axes) != n_pixels:
            raise WeightsError(
                f"{file.path}: expected the arrays mean ({n_pixels},) and axes ({n_pixels}, D), "
                f"got {file.shapes}",
                "fit the judge again",
            )
        settings = build(JudgeSettings, file.header.get("config", {}), "judge")
        facts = file.header.get("facts", {})
        return cls(mean, axes, settings, tuple(facts.get("training_data", "").split()))

    @classmethod
    def shipped(cls) -> "Judge":
        """The judge fitted on the train identities of `recipes/faces-split.toml`."""
        return cls.of_file(_shipped_file())


@lru_cache(maxsize=1)
def _shipped_file() -> WeightsFile:
    return read_weights(WEIGHTS)


def small_faces(chips: Tensor) -> Tensor:
    """Inner faces, grey, halved, of mean 0 and contrast near 1: (B, P) float32.

    Args:
        chips: (B, 3, 112, 112) in [-1, 1].
    """
    inner = chips[:, :, _ROWS, _COLUMNS].float()
    grey = torch.einsum("bchw,c->bhw", inner, inner.new_tensor(_GREY))[:, None]
    small = functional.avg_pool2d(grey, 2).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    return small / (small.std(dim=1, keepdim=True) + _QUIET)


def fit_judge(
    images: Tensor,
    labels: NDArray[np.int64],
    settings: JudgeSettings | None = None,
    training_data: tuple[str, ...] = (),
) -> Judge:
    """A judge fitted on faces and their mirror images.

    Args:
        images: (N, 3, 112, 112) in [-1, 1].
        labels: (N,) identities.
        settings: of the fit.
        training_data: what the faces are, to be declared by the judge.

    Raises:
        DataError: fewer than two identities, no identity with two pictures, another number of
            labels than pictures, or pictures of another size.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    chosen = settings or JudgeSettings()
    _check(images, labels)
    faces = np.concatenate([_all_small(images), _all_small(images.flip(-1))])
    twice = np.concatenate([labels, labels])
    n_components = min(chosen.components, len(labels) - 1, faces.shape[1])
    pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(faces)
    scores = pca.transform(faces)
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=chosen.shrinkage)
    discriminants = lda.fit(scores, twice).scalings_[:, : chosen.dim]
    axes = (pca.components_.T @ discriminants).astype(np.float32)
    mean = faces.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Judge(torch.from_numpy(mean), torch.from_numpy(axes), chosen, training_data)


def _all_small(images: Tensor) -> NDArray[np.float32]:
    """`small_faces` of many pictures."""
    return torch.cat([small_faces(part) for part in images.split(_CHUNK)]).cpu().numpy()


def _check(images: Tensor, labels: NDArray[np.int64]) -> None:
    side = template(ARCFACE_112).size
    if images.shape[1:] != (3, side, side) or len(images) != len(labels):
        raise DataError(
            f"the judge is fitted on pictures (N, 3, {side}, {side}) with N labels, got "
            f"{tuple(images.shape)} and {len(labels)}"
        )
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise DataError(
            "the judge needs two identities, and one of them with two pictures, got "
            f"{len(counts)} with at most {counts.max(initial=0)}"
        )
