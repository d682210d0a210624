"""Greedy separation: of a stream of candidates, those that resemble none kept before.

A candidate is kept when its cosine with *every* kept vector is below τ (Wu et al., 2025). The order
of candidates alone decides; blocks and tiles change nothing but the speed. Cosines are float32
products whose rounding is bounded, and pairs near τ are decided in float64 (core/metrics/cosines),
so the guarantee is exact. Nothing approximate (an index, a hash) is used: the work is one product
of every kept pair, and a candidate once rejected takes part in no further one.
"""

# B candidates of a block, A of them alive, K kept, d width.

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...core.config import Config
from ...core.errors import UsageError, ValidationError
from ...core.metrics.cosines import (
    NOTHING,
    MaxCosine,
    max_from_largest,
    reaches,
    rounding_margin,
    unit_rows,
)
from .sampling import Sampler

BLOCK = 1024  # candidates at a time; with TILE, one product's result stays in the cache
TILE = 1024  # kept vectors at a time

Progress = Callable[[int, int], None]  # (kept, wanted)


class SeparationSettings(Config):
    """How far apart identities must be, and when to give up."""

    tau: float = Field(default=0.4, gt=0, le=1)  # τ; the author's sampler 0.4, the paper 0.3
    patience: int = Field(default=50_000, ge=1)  # candidates in a row that may be rejected
    max_tries_per_identity: int = Field(default=200, ge=1)


@dataclass(frozen=True)
class Separated:
    """Vectors of which no two have a cosine >= τ.

    Attributes:
        vectors: (n, d) float32 as drawn, not normalised.
        candidates: (n,) int64, the number of each among the candidates.
        tried: how many candidates were looked at, up to the last one kept.
        largest: their largest cosine, exactly, and the pair; None where there is one vector.
    """

    vectors: NDArray[np.float32]
    candidates: NDArray[np.int64]
    tried: int
    largest: MaxCosine | None


class _Kept:
    """The vectors kept so far, as drawn and as unit rows, in memory taken once."""

    def __init__(self, wanted: int, width: int, settings: SeparationSettings) -> None:
        self.vectors = np.empty((wanted, width), dtype=np.float32)
        self.unit = np.empty((wanted, width), dtype=np.float32)
        self.candidates = np.empty(wanted, dtype=np.int64)
        self.largest = np.full(wanted, NOTHING, dtype=np.float32)  # with any kept before
        self.count = 0
        self.settings = settings
        self._margin = rounding_margin(width)

    def add(self, vectors: NDArray[np.float32], first: int) -> None:
        """Keep what may be kept of a block whose first row is candidate `first`."""
        unit = unit_rows(vectors, f"candidates from {first} on,")
        rows, largest = self._against_kept(vectors, unit)
        accepted, within = self._among(vectors[rows], unit[rows])
        rows, largest = rows[accepted], np.maximum(largest[accepted], within)
        rows, largest = self._patient(rows, largest, first)
        rows, largest = rows[: len(self.unit) - self.count], largest[: len(self.unit) - self.count]
        new = slice(self.count, self.count + len(rows))
        self.vectors[new], self.unit[new] = vectors[rows], unit[rows]
        self.candidates[new], self.largest[new] = first + rows, largest
        self.count = new.stop

    def _against_kept(
        self, vectors: NDArray[np.float32], unit: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The rows that no kept vector rejects, and their largest products with these."""
        rows = np.arange(len(unit))
        largest = np.full(len(unit), NOTHING, dtype=np.float32)
        alive = unit
        for start in range(0, self.count, TILE):
            tile = slice(start, min(start + TILE, self.count))
            products = alive @ self.unit[tile].T
            high = products.max(axis=1)
            keep = high < self.settings.tau - self._margin
            for row in np.flatnonzero(~keep & (high < self.settings.tau + self._margin)):
                keep[row] = not reaches(
                    vectors[rows[row]], self.vectors[tile], products[row], self.settings.tau
                )
            np.maximum(largest, high, out=largest)
            if not keep.all():
                rows, largest, alive = rows[keep], largest[keep], alive[keep]
        return rows, largest

    def _among(
        self, vectors: NDArray[np.float32], unit: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The rows kept of one block by its own order, and their largest products inside it."""
        products = unit @ unit.T
        np.copyto(products, NOTHING, where=np.triu(np.ones(products.shape, dtype=bool)))
        near = products >= self.settings.tau - self._margin
        keep: NDArray[np.bool_] = np.logical_not(near.any(axis=1))
        for row in np.flatnonzero(~keep):
            others = np.flatnonzero(near[row] & keep)
            keep[row] = not reaches(
                vectors[row], vectors[others], products[row, others], self.settings.tau
            )
        accepted = np.flatnonzero(keep)
        inside = products[np.ix_(accepted, accepted)]
        return accepted, inside.max(axis=1, initial=NOTHING)

    def _patient(
        self, rows: NDArray[np.int64], largest: NDArray[np.float32], first: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Only the rows before a run of rejected candidates longer than the settings allow."""
        before = np.concatenate([[self.last], first + rows])
        late = np.flatnonzero(np.diff(before) > self.settings.patience)
        end = int(late[0]) if len(late) else len(rows)
        return rows[:end], largest[:end]

    @property
    def last(self) -> int:
        """The number of the last candidate kept; -1 at the start."""
        return int(self.candidates[self.count - 1]) if self.count else -1


def separate(
    sampler: Sampler,
    count: int,
    settings: SeparationSettings,
    *,
    seed: int,
    progress: Progress | None = None,
    block: int = BLOCK,
) -> Separated:
    """`count` vectors, each pair's cosine below τ: greedy, in the order of the candidates.

    Memory: two float32 copies of the result and a few blocks. Work: `count` x tried x d
    multiplications and additions at most; see `separation_cost`.

    Args:
        sampler: gives candidates by number.
        count: how many vectors.
        settings: τ, and when to give up.
        seed: of the candidates.
        progress: called with (kept, wanted) after each block.
        block: candidates at a time; the result does not depend on it.

    Raises:
        UsageError: τ cannot be met; says how many were found and what to change.
        ValidationError: the sampler gave NaN or a zero vector.

    Example:
        >>> from .sampling import GaussianSampler
        >>> found = separate(GaussianSampler(width=64), 9, SeparationSettings(tau=0.3), seed=0)
        >>> len(found.vectors), found.largest.value < 0.3
        (9, True)
    """
    if count < 1:
        raise UsageError(f"identities: expected at least 1, got {count}")
    kept = _Kept(count, sampler.width, settings)
    most = max(settings.patience, settings.max_tries_per_identity * count)
    seen = 0
    while kept.count < count:
        if seen >= most or seen - 1 - kept.last >= settings.patience:
            raise _cannot_be_met(kept, count, settings, most)
        stop = min(seen + block, most)
        kept.add(_drawn(sampler, seed, seen, stop), seen)
        seen = stop
        if progress is not None:
            progress(kept.count, count)
    largest = max_from_largest(kept.vectors, kept.unit, kept.largest) if count > 1 else None
    _prove(largest, settings.tau)
    return Separated(kept.vectors, kept.candidates, kept.last + 1, largest)


def _drawn(sampler: Sampler, seed: int, start: int, stop: int) -> NDArray[np.float32]:
    vectors = sampler.draw(seed, start, stop)
    if vectors.shape != (stop - start, sampler.width) or vectors.dtype != np.float32:
        raise ValidationError(
            f"sampler: expected float32 of shape {(stop - start, sampler.width)}, "
            f"got {vectors.dtype} of shape {vectors.shape}"
        )
    return vectors


def _prove(largest: MaxCosine | None, tau: float) -> None:
    """The guarantee, checked on the pair that comes nearest to breaking it."""
    if largest is not None and largest.value >= tau:
        raise ValidationError(
            f"separation: vectors {largest.first} and {largest.second} have cosine "
            f"{largest.value}, expected less than {tau}",
            "float32 products of this machine break their error bound: run `masquerade doctor`",
        )


def _cannot_be_met(kept: _Kept, count: int, settings: SeparationSettings, most: int) -> UsageError:
    """The refusal: the same words for any block size."""
    tried = min(kept.last + 1 + settings.patience, most)
    return UsageError(
        f"tau {settings.tau} cannot be met for {count} identities: {kept.count} found among "
        f"{tried} candidates, none among the last {tried - kept.last - 1}",
        f"ask for at most {kept.count} identities, raise tau, or take another sampler "
        "(centres of more people, or vectors with their mean removed)",
    )
