"""The separation certificate: what is claimed of a data set's identity vectors, and its proof.

`identities.npy` holds the vectors; `certificate.json` the bound τ, the largest cosine of all pairs
and which pair has it, what was tried, by which sampler and seed, and the vectors' hash. Neither
holds a time or a path: the same request writes the same bytes.
"""

# n identities, d width.

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core.atomic_io import canonical_json, write_file, write_text
from ...core.config import Config, build
from ...core.errors import DataError, MasqueradeError, ValidationError
from ...core.metrics.cosines import max_cosine
from .sampling import Sampler
from .separation import Separated, SeparationSettings

IDENTITIES = "identities.npy"
CERTIFICATE = "certificate.json"
_ROWS = 8192


class Certificate(Config):
    """The claim: no two of n vectors have a cosine of τ or more.

    Attributes:
        settings: τ and the limits of the search.
        n: vectors kept.
        width: d.
        tried: candidates looked at.
        max_cosine: the largest of all pairs, in float64; None where n is 1.
        pair: the rows that have it.
        sampler: facts of the sampler.
        seed: of the candidates.
        sha256: of the vectors' bytes (float32, little-endian, row by row).
    """

    format: Literal["masquerade-separation/1"] = "masquerade-separation/1"
    settings: SeparationSettings
    n: int = Field(ge=1)
    width: int = Field(ge=1)
    tried: int = Field(ge=1)
    max_cosine: float | None
    pair: tuple[int, int] | None
    sampler: dict[str, Any]
    seed: int
    sha256: str

    @property
    def accepted_share(self) -> float:
        """Kept of tried."""
        return self.n / self.tried

    def __str__(self) -> str:
        nearest = (
            f"largest cosine {self.max_cosine:.6f} (rows {self.pair[0]} and {self.pair[1]})"
            if self.pair is not None
            else "a single vector"
        )
        return (
            f"{self.n} identities of width {self.width}, cosine < {self.settings.tau}: {nearest}; "
            f"{self.accepted_share:.1%} of {self.tried} candidates kept"
        )


def vectors_hash(vectors: NDArray[np.float32]) -> str:
    """The sha256 of float32 vectors, little-endian, row by row."""
    digest = hashlib.sha256()
    for start in range(0, len(vectors), _ROWS):
        digest.update(np.ascontiguousarray(vectors[start : start + _ROWS], dtype="<f4").tobytes())
    return digest.hexdigest()


def certify(
    separated: Separated, sampler: Sampler, settings: SeparationSettings, seed: int
) -> Certificate:
    """The certificate of what `separate` gave for these arguments."""
    largest = separated.largest
    n, width = separated.vectors.shape
    return Certificate(
        settings=settings,
        n=n,
        width=width,
        tried=separated.tried,
        max_cosine=None if largest is None else largest.value,
        pair=None if largest is None else (largest.first, largest.second),
        sampler=sampler.facts(),
        seed=seed,
        sha256=vectors_hash(separated.vectors),
    )


def write_identities(folder: Path, vectors: NDArray[np.float32], certificate: Certificate) -> None:
    """Write vectors and certificate, each atomically, the certificate last.

    Raises:
        MasqueradeError: the disk is full or the folder cannot be written.
    """

    def write(path: Path) -> None:
        with path.open("wb") as handle:
            np.save(handle, vectors.astype("<f4", copy=False))

    write_file(Path(folder) / IDENTITIES, write)
    text = canonical_json(certificate.to_dict())
    write_text(Path(folder) / CERTIFICATE, f"{text}\n")


def read_identities(folder: Path) -> NDArray[np.float32]:
    """The identity vectors (n, d) of a folder, mapped, not read.

    Raises:
        DataError: missing, damaged, or not float32 of two dimensions.
    """
    path = Path(folder) / IDENTITIES
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} is no readable .npy file: {error}", "make the set again"
        ) from error
    if vectors.ndim != 2 or vectors.dtype != np.dtype("<f4"):
        raise DataError(
            f"{path}: expected float32 of shape (identities, width), "
            f"got {vectors.dtype} of shape {vectors.shape}",
            "make the set again",
        )
    return vectors


def read_certificate(folder: Path) -> Certificate:
    """The certificate of a folder.

    Raises:
        DataError: missing or damaged.
    """
    path = Path(folder) / CERTIFICATE
    try:
        return build(Certificate, json.loads(path.read_text("utf-8")), str(path))
    except (OSError, ValueError, TypeError, MasqueradeError) as error:
        raise DataError(f"{path} is no certificate: {error}", "make the set again") from error


def verify_certificate(folder: Path) -> Certificate:
    """The certificate of a folder, after its claim was computed again from the vectors alone.

    Every pair is looked at. A few float32 copies of the vectors must fit the memory.

    Raises:
        DataError: a file is missing or damaged.
        ValidationError: the vectors are not those certified, or break the claim.
    """
    claim, vectors = read_certificate(folder), np.asarray(read_identities(folder))
    where = Path(folder) / CERTIFICATE
    largest = max_cosine(vectors) if len(vectors) > 1 else None
    found: dict[str, Any] = {
        "n": len(vectors),
        "width": vectors.shape[1],
        "sha256": vectors_hash(vectors),
        "max_cosine": None if largest is None else largest.value,
        "pair": None if largest is None else (largest.first, largest.second),
    }
    for name, value in found.items():
        if getattr(claim, name) != value:
            raise ValidationError(
                f"{where}: {name} is {getattr(claim, name)}, the vectors give {value}",
                "the vectors or the certificate were changed: make the set again",
            )
    if largest is not None and largest.value >= claim.settings.tau:
        raise ValidationError(
            f"{where}: rows {largest.first} and {largest.second} have cosine {largest.value}, "
            f"claimed to be below {claim.settings.tau}",
            "these identities are not separated: make the set again",
        )
    return claim
