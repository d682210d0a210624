"""The identity vectors of a data set: sampled apart or given, perhaps improved, always proven."""

# n identities, d width, R rows looked at.

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UsageError
from ...core.hashing import sha256_bytes
from ...core.metrics.cosines import (
    MaxCosine,
    exact_cosine,
    max_cosine,
    rounding_margin,
    unit_rows,
)
from ..generator import Progress
from .frame import Frame
from .sampling import GaussianSampler, PcaGaussianSampler, Sampler, read_centres
from .separation import Separated, separate
from .settings import Vec2FaceSynthesis

_ROWS = 1024
_LOOKED_AT = 4096  # vectors whose norms tell whether all of them can be vectors of a frame


@dataclass(frozen=True)
class GivenVectors:
    """A file's vectors as candidates by number.

    Attributes:
        vectors: (n, d) float32 in the frame's units.
        sha256: of these.
    """

    vectors: NDArray[np.float32]
    sha256: str

    @property
    def width(self) -> int:
        """Values of a vector, d."""
        return self.vectors.shape[1]

    def draw(self, seed: int, start: int, stop: int) -> NDArray[np.float32]:  # noqa: ARG002
        """Rows start … stop - 1: (n, d), whatever the seed."""
        return self.vectors[start:stop]

    def facts(self) -> dict[str, Any]:
        """Kind, width, and which vectors they are."""
        return {
            "kind": "given", "width": self.width, "n_given": len(self.vectors),
            "sha256": self.sha256,
        }  # fmt: skip


def find_identities(
    n: int,
    settings: Vec2FaceSynthesis,
    frame: Frame,
    training_centres: NDArray[np.float32],
    *,
    seed: int,
    progress: Progress,
) -> tuple[Separated, Sampler]:
    """Identity vectors with every cosine below τ, and where they come from.

    Args:
        n: how many.
        settings: the sampler, or the file that holds the vectors.
        frame: of the vectors.
        training_centres: (C, d) that the weights carry, in the frame.
        seed: of the candidates.
        progress: called with what is found and wanted.

    Raises:
        UsageError: τ cannot be met, centres are needed and absent, or vectors are of another width.
        DataError: a named file is damaged, or its numbers are not finite.
    """
    if settings.vectors:
        given = _given(Path(settings.vectors), frame)
        return _first_apart(given, n, settings), given
    sampler = _sampler(settings, frame, training_centres)
    if not settings.centres:
        frame.check(sampler.draw(seed, 0, min(n, _LOOKED_AT)), "identity vectors")
    found = separate(sampler, n, settings.separation, seed=seed, progress=progress)
    return found, sampler


def _sampler(
    settings: Vec2FaceSynthesis, frame: Frame, training_centres: NDArray[np.float32]
) -> Sampler:
    if settings.sampler == "gaussian":
        return GaussianSampler(width=frame.width, std=settings.std)
    if settings.centres:
        return PcaGaussianSampler.fit(_in_frame(Path(settings.centres), frame))
    if len(training_centres) < 2:
        raise UsageError(
            "these weights carry no class centres, from which identities are sampled",
            "give real ones with --set centres=FILE.npy (or .parquet of `masquerade embed`), "
            "or take --set sampler=gaussian",
        )
    return PcaGaussianSampler.fit(training_centres)


def _in_frame(path: Path, frame: Frame) -> NDArray[np.float32]:
    """A file's raw vectors in the frame's units, looked at."""
    raw = read_centres(path)
    if raw.shape[1] != frame.width:
        raise UsageError(
            f"{path}: expected vectors of width {frame.width}, got shape {raw.shape}",
            "use vectors of the recognition net that the weights were trained with",
        )
    vectors = frame.to_frame(raw).astype(np.float32, copy=False)
    frame.check(vectors[:_LOOKED_AT], str(path))
    return vectors


def _given(path: Path, frame: Frame) -> GivenVectors:
    vectors = _in_frame(path, frame)
    return GivenVectors(vectors, sha256_bytes(np.ascontiguousarray(vectors, "<f4").tobytes()))


def _first_apart(given: GivenVectors, n: int, settings: Vec2FaceSynthesis) -> Separated:
    """The first n given vectors, which must be apart as they are."""
    if len(given.vectors) < n:
        raise UsageError(
            f"{settings.vectors} holds {len(given.vectors)} vectors, {n} identities are asked for",
            f"ask for at most {len(given.vectors)} identities",
        )
    chosen = given.vectors[:n]
    largest = max_cosine(chosen) if n > 1 else None
    tau = settings.separation.tau
    if largest is not None and largest.value >= tau:
        raise UsageError(
            f"{settings.vectors}: rows {largest.first} and {largest.second} have cosine "
            f"{largest.value:.6g}, expected less than tau {tau}",
            "leave one of them out, or raise tau with --set separation.tau=VALUE",
        )
    return Separated(chosen, np.arange(n), n, largest)


def apart(
    drawn: NDArray[np.float32], moved: NDArray[np.float32], tau: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_], MaxCosine | None]:
    """`moved` vectors (n, d), with those that reach `tau` put back to where they were `drawn`.

    Both vectors of such a pair go back; those put back may reach others that moved, which then go
    back as well. Drawn vectors are apart from each other, so this ends, at worst with all of them
    put back. Decided exactly; every pair is looked at once, and again for each vector put back.

    Returns:
        The vectors; which of them were put back (n,); and their largest cosine (None for one).
    """
    kept, back = moved.copy(), np.zeros(len(moved), dtype=bool)
    if len(kept) < 2:
        return kept, back, None
    unit = unit_rows(kept, "moved identities")
    changed = np.arange(len(kept))
    while len(changed):
        near = np.zeros(len(kept), dtype=bool)
        for row, other in _reaching(kept, unit, changed, tau):
            near[row] = near[other] = True
        changed = np.flatnonzero(near & ~back)
        back[changed] = True
        kept[changed] = drawn[changed]
        unit[changed] = unit_rows(kept[changed], "drawn identities")
    return kept, back, max_cosine(kept)


def _reaching(
    vectors: NDArray[np.float32], unit: NDArray[np.float32], rows: NDArray[np.int64], tau: float
) -> Iterator[tuple[int, int]]:
    """The pairs of one of `rows` (R,) and any other vector whose cosine is tau or more."""
    margin = rounding_margin(vectors.shape[1])
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        for first in range(0, len(unit), _ROWS):
            products = unit[some] @ unit[first : first + _ROWS].T
            for i, j in np.argwhere(products >= tau - margin):
                row, other = int(some[i]), first + int(j)
                if row == other:
                    continue
                sure = products[i, j] >= tau + margin
                if sure or exact_cosine(vectors[row], vectors[other]) >= tau:
                    yield row, other
