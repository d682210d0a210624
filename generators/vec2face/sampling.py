"""Where new identities come from: candidates, each a pure function of (seed, its number).

The paper fits a Gaussian to the class centres of a real data set (through a full PCA, which
changes nothing: a Gaussian with the centres' mean and covariance) and gives N(0, 1) as the simple
alternative (Wu et al., 2025). Vectors are in the units of the embedding frame, not normalised.
"""

# n candidates or centres, d width.

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ...core.config import Config
from ...core.draws import Draws
from ...core.errors import DataError, ValidationError
from ...core.hashing import sha256_bytes

_NORMAL_BITS = 20  # of a normal number's fraction; three more hold its whole part (below 6.7)
_WHOLE_BITS = 3
_FLOAT64_BITS = 53


class Sampler(Protocol):
    """Candidates by number."""

    @property
    def width(self) -> int:
        """Values of a vector, d."""

    def draw(self, seed: int, start: int, stop: int) -> NDArray[np.float32]:
        """Candidates start … stop - 1: (n, d), the same numbers in whatever block they come."""

    def facts(self) -> dict[str, Any]:
        """What the certificate says of it: JSON-ready."""


def _normals(seed: int, start: int, stop: int, width: int) -> NDArray[np.float32]:
    draws = Draws(seed, torch.arange(start, stop), stream="identity-candidates")
    return draws.normal(width).numpy()


class GaussianSampler(Config):
    """Independent normal values of one deviation.

    Example:
        >>> sampler = GaussianSampler(width=4)
        >>> bool((sampler.draw(0, 0, 9)[7] == sampler.draw(0, 7, 8)[0]).all())
        True
    """

    kind: Literal["gaussian"] = "gaussian"
    width: int = Field(default=512, ge=1)
    std: float = Field(default=1.0, gt=0)

    def draw(self, seed: int, start: int, stop: int) -> NDArray[np.float32]:
        """Candidates start … stop - 1: (n, d)."""
        return _normals(seed, start, stop, self.width) * np.float32(self.std)

    def facts(self) -> dict[str, Any]:
        """Kind, width and deviation."""
        return self.to_dict()


@dataclass(frozen=True)
class PcaGaussianSampler:
    """A Gaussian with the mean and the full covariance of real class centres.

    A candidate is m + z Σ^½ with normal z. The symmetric root is the one that depends on no
    eigenvector's sign or order. A BLAS product's last bits depend on how many rows are multiplied
    at once, on threads and on the machine; so both factors are rounded to whole numbers so short
    that every sum of their products is exact in float64, in any order. Candidates can thus be drawn
    in any blocks. The rounding moves a value by about 1e-6 of its column's deviation.

    Attributes:
        mean: (d,) float64.
        root: (d, d) float64 whole numbers; column j of Σ^½ in units of step[j].
        step: (d,) float64 powers of two.
        sources: facts of the centres.
    """

    mean: NDArray[np.float64]
    root: NDArray[np.float64]
    step: NDArray[np.float64]
    sources: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(cls, centres: NDArray[np.floating]) -> "PcaGaussianSampler":
        """The sampler of class centres (n, d), in the frame's units.

        Raises:
            ValidationError: fewer than two, all the same, or not finite.
        """
        wide = np.asarray(centres, dtype=np.float64)
        if wide.ndim != 2 or len(wide) < 2 or not np.isfinite(wide).all():
            raise ValidationError(
                f"class centres: expected two or more finite rows, got shape {wide.shape}",
                "give one mean vector per real identity",
            )
        covariance = np.cov(wide, rowvar=False).reshape(wide.shape[1], -1)
        values, vectors = np.linalg.eigh(covariance)
        if values[-1] <= 0:
            raise ValidationError("class centres: all are the same", "give different identities")
        kept = values > values[-1] * wide.shape[1] * np.finfo(np.float64).eps
        root = (vectors * np.sqrt(np.where(kept, values, 0.0))) @ vectors.T
        whole, step = _rounded(root)
        sources = {
            "n_centres": len(wide),
            "rank": int(kept.sum()),
            "centres_sha256": sha256_bytes(np.ascontiguousarray(centres, "<f4").tobytes()),
        }
        return cls(wide.mean(axis=0), whole, step, sources)

    @property
    def width(self) -> int:
        """Values of a vector, d."""
        return len(self.mean)

    def draw(self, seed: int, start: int, stop: int) -> NDArray[np.float32]:
        """Candidates start … stop - 1: (n, d)."""
        return (self.mean + self.spread(_normals(seed, start, stop, self.width))).astype(np.float32)

    def spread(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """Normal numbers (n, d) with the centres' covariance, each row the same bits alone."""
        whole = np.rint(normals.astype(np.float64) * 2.0**_NORMAL_BITS)
        return (whole @ self.root) * (self.step * 2.0**-_NORMAL_BITS)

    def facts(self) -> dict[str, Any]:
        """Kind, width, and which centres it was fitted to."""
        return {"kind": "pca-gaussian", "width": self.width, **self.sources}


def _rounded(root: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whole numbers and the unit of each column, so that no sum of d products needs 54 bits."""
    bits = _FLOAT64_BITS - _NORMAL_BITS - _WHOLE_BITS - math.ceil(math.log2(len(root)))
    _, exponent = np.frexp(np.abs(root).max(axis=0))
    step = np.ldexp(1.0, exponent - bits)
    return np.rint(root / step), step


def read_centres(path: Path) -> NDArray[np.float32]:
    """Raw vectors (n, d), of identities or classes: an .npy file, or what `masquerade embed` wrote.

    In a Parquet file the folder of a picture's key is its identity; a centre is the mean of the
    raw features, and centres come in the order of the sorted keys.

    Raises:
        DataError: no such file, another kind, or not a table of finite numbers.
    """
    path = Path(path)
    if path.suffix == ".npy":
        try:
            centres = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is no readable .npy file: {error}") from error
    elif path.suffix == ".parquet":
        centres = _centres_of_features(path)
    else:
        raise DataError(
            f"{path}: expected a .npy or .parquet file",
            "`masquerade embed SUBJECT --data FACES --out FILE.parquet` makes one",
        )
    if centres.ndim != 2 or centres.dtype.kind != "f":
        raise DataError(
            f"{path}: expected a table (identities, width) of floating point, "
            f"got {centres.dtype} of shape {centres.shape}"
        )
    finite = np.isfinite(centres).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise DataError(
            f"{path}: row {row} holds {_not_finite(centres[row])}, expected finite "
            f"numbers ({int((~finite).sum())} such rows of {len(centres)})",
            "leave these identities out",
        )
    return centres.astype(np.float32)


def _not_finite(row: NDArray[np.floating]) -> float:
    """The first value of a row that is NaN or infinite."""
    return float(row[~np.isfinite(row)][0])


def _centres_of_features(path: Path) -> NDArray[np.float32]:
    from ...core.frames import read_frame

    table = read_frame(path)
    if not {"key", "feature"} <= set(table.columns):
        raise DataError(
            f"{path}: expected the columns key and feature, "
            f"got {', '.join(map(str, table.columns))}"
        )
    table = table.sort_values("key", kind="stable")
    widths = {len(value) for value in table["feature"]}
    if len(widths) != 1:
        raise DataError(f"{path}: expected features of one width, got {len(widths)}")
    return folder_centres(table["key"].tolist(), np.stack(table["feature"].tolist()))


def folder_centres(keys: Sequence[str], features: NDArray[np.floating]) -> NDArray[np.float32]:
    """The mean feature of each folder (K, d), in the order in which the keys name them.

    Raises:
        DataError: a key without a folder.

    Example:
        >>> folder_centres(["a/1", "b/1", "a/2"], np.float32([[1], [5], [3]])).tolist()
        [[2.0], [5.0]]
    """
    from ...core.metrics.faces import identity_centres

    folders = [str(PurePosixPath(key).parent) for key in keys]
    if "." in folders:
        raise DataError(
            f"'{keys[folders.index('.')]}' lies in no folder, and a folder is an identity",
            "put the pictures of each person into a folder of its own",
        )
    numbers = {name: number for number, name in enumerate(dict.fromkeys(folders))}
    return identity_centres(features, [numbers[name] for name in folders])[1]
