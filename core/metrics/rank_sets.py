"""Ranks with their uncertainty: between which ranks a subject may lie.

A subject's rank set is [1 + how many are better beyond doubt, S - how many are worse]. It holds the
true rank with at least 95 % when all S - 1 comparisons with the subject hold together (Mogstad,
Romano, Shaikh and Wilhelm, 2024), so each is made at the level that Šidák's rule gives.

Subjects scored on the same items are compared by their differences, item by item; others, or those
with too few items, by their intervals, stretched to the same level: they differ where these do not
meet.
"""

# S subjects, M of them that share items, B of a block; N items, G owners.

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import ValidationError
from .intervals import LEVEL, MIN_BOOTSTRAP_ITEMS, MIN_OUTCOMES, MIN_SEEDS, effective_number

_MIN_DIFFERENT_SEEDS = 2
_ROUNDING = 1e-12  # relative
_BLOCK = 1 << 22  # comparisons held at once: 32 MB a matrix


@dataclass(frozen=True, eq=False)
class RankSets:
    """Between which ranks each subject lies.

    Attributes:
        best: (S,) 1 + how many are better beyond doubt.
        worst: (S,) S - how many are worse beyond doubt.
        tied: (S,) whether another subject has the same `best`.
        paired: (S,) whether it was compared with all others over the same items.
    """

    best: NDArray[np.int64]
    worst: NDArray[np.int64]
    tied: NDArray[np.bool_]
    paired: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SharedItems:
    """What several subjects did on the same items, as far as it moves their values.

    An item pulls a subject's value by its weight times what its score differs from the mean of its
    kind. The difference of two values is held against the standard error that the pulls give,
    those of one owner taken as one draw, and Student's t of as many owners. An item with two owners
    (a pair of people's pictures) hangs together with all items of either (Fafchamps and Gubert,
    2007). That can be said from 30 owners on (5 where the items are seeds) of whom at least ten
    (two) tell the two subjects apart, for the same reasons as in `intervals`. How many do is an
    effective number, (Σ d²)² / Σ d⁴ over the owners' differences d: m where m differ equally.

    Attributes:
        rows: (M,) places of the subjects.
        scores: (M, N), of which higher ones raise the value.
        weights: (N,) positive; of the items of a mean they sum to 1.
        kinds: (N,) whole numbers: strata whose shares stay as they are.
        owners: (N,) or (N, 2) whole numbers from 0: whose item it is; equal ones count once.
        seeds: the items are repeats and not things of the world.
        chosen: a threshold was chosen on these items; then the own variance of an item with two
            owners is not taken off once, which makes up for the choice (see `pair_intervals`).
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    kinds: NDArray[np.int64]
    owners: NDArray[np.int64]
    seeds: bool = False
    chosen: bool = False

    def __post_init__(self) -> None:
        n = self.scores.shape[-1]
        lengths = {len(self.weights), len(self.kinds), len(self.owners)}
        if self.scores.shape != (len(self.rows), n) or lengths != {n}:
            raise ValidationError(
                "shared items: expected scores (M, N), weights, kinds and owners of N items, got "
                f"{self.scores.shape} and {sorted(lengths)}"
            )
        if not np.isfinite(self.scores).all() or not (self.weights > 0).all():
            raise ValidationError("shared items: expected finite scores and positive weights")

    def better(
        self, values: NDArray[np.float64], part: slice, tail: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
        """Some subjects against all (B, M): whether it can be said, and 1, 0, -1 by who is better.

        Args:
            values: (M,) of the subjects.
            part: of the rows.
            tail: what a comparison may leave out at one end.
        """
        n, variance = self._n_owners, self._variance(part)
        least, apart = (
            (MIN_SEEDS, _MIN_DIFFERENT_SEEDS) if self.seeds else (MIN_BOOTSTRAP_ITEMS, MIN_OUTCOMES)
        )
        enough = n > least - _ROUNDING * least
        sayable = enough & (variance > 0) & (self._apart(part) > apart - 0.5)
        bar = stats.t.ppf(1 - tail, max(n - 1, 1)) * np.sqrt(n / max(n - 1, 1))
        gap = values[part, None] - values[None, :]
        beyond = sayable & (np.abs(gap) > bar * np.sqrt(variance))
        return sayable, np.where(beyond, np.sign(gap), 0).astype(np.int8)

    @cached_property
    def _n_owners(self) -> float:
        """The effective number of owners, by their weights."""
        sums = self._by_owner(self.weights[:, None])[:, 0]
        return effective_number(sums[sums > 0])

    @cached_property
    def _two(self) -> NDArray[np.bool_]:
        """(N,) the items of two owners."""
        if self.owners.ndim == 1:
            return np.zeros(len(self.owners), bool)
        two: NDArray[np.bool_] = self.owners[:, 0] != self.owners[:, 1]
        return two

    def _by_owner(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (G, M) of values (N, M) over each owner's items; those of two owners in both."""
        from scipy.sparse import coo_array

        first, items = self.owners.reshape(len(self.owners), -1)[:, 0], np.arange(len(self.owners))
        owners, columns = first, items
        if self._two.any():
            owners = np.concatenate([first, self.owners[self._two, 1]])
            columns = np.concatenate([items, items[self._two]])
        shape = int(owners.max()) + 1, len(items)
        sums: NDArray[np.float64] = (
            coo_array((np.ones(len(owners)), (owners, columns)), shape) @ values
        )
        return sums

    @cached_property
    def _pulls(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What each owner, and each item of two owners, pulls the values by; the own variances."""
        pulls = self.scores.copy()
        for kind in np.unique(self.kinds):
            own = self.kinds == kind
            share = self.weights[own] / self.weights[own].sum()
            pulls[:, own] -= (pulls[:, own] @ share)[:, None]
        pulls = (pulls * self.weights).T
        sums = self._by_owner(pulls)
        # an item of two owners stands in the sums of both
        twice = pulls[self._two & (not self.chosen)]
        return sums, twice, (sums**2).sum(axis=0) - (twice**2).sum(axis=0)

    def _variance(self, part: slice) -> NDArray[np.float64]:
        """(B, M) squared standard errors of the differences; 0 for equal subjects."""
        sums, twice, own = self._pulls
        covariance = sums[:, part].T @ sums - twice[:, part].T @ twice
        size = own[part, None] + own[None, :]
        variance = size - 2 * covariance
        return np.where(variance > _ROUNDING * size, variance, 0.0)

    @cached_property
    def _powers(self) -> tuple[NDArray[np.float64], ...]:
        one = self._by_owner((self.scores * self.weights).T)
        return one, one**2, one**3, (one**2).sum(axis=0), (one**4).sum(axis=0)

    def _apart(self, part: slice) -> NDArray[np.float64]:
        """(B, M) the effective number of owners that tell two subjects apart."""
        one, two, three, squares, fourths = self._powers
        size = squares[part, None] + squares[None, :]
        second = size - 2 * one[:, part].T @ one
        mixed = three[:, part].T @ one + one[:, part].T @ three
        fourth = fourths[part, None] + fourths[None, :] - 4 * mixed + 6 * two[:, part].T @ two
        # rounding may leave nothing of the fourth powers where few differ: then few differ
        some = (second > _ROUNDING * size) & (fourth > 0)
        return np.where(some, second**2 / np.where(some, fourth, 1.0), 0.0)


def rank_sets(
    values: ArrayLike, lows: ArrayLike, highs: ArrayLike, shared: Sequence[SharedItems] = ()
) -> RankSets:
    """The rank sets of scores whose higher ones are better.

    Args:
        values: (S,).
        lows: (S,) lower ends of the 95 % intervals; NaN where there is none, which leaves
            everything in doubt.
        highs: (S,) upper ends.
        shared: the items that some have in common; a subject is in one group at most.

    Example:
        >>> found = rank_sets([0.9, 0.85, 0.2], [0.8, 0.75, 0.1], [1.0, 0.95, 0.3])
        >>> found.best.tolist(), found.worst.tolist(), found.tied.tolist()
        ([1, 1, 3], [2, 2, 3], [True, True, False])
    """
    value = np.asarray(values, np.float64)
    n, tail = len(value), _tail(len(value))
    low, high = _stretched(value, np.asarray(lows, float), np.asarray(highs, float), tail)
    better = n - np.searchsorted(np.sort(low), high, side="right")  # how many lie above
    worse = np.searchsorted(np.sort(high), low, side="left")
    paired = np.zeros(n, np.int64)
    for group in shared:
        rows = group.rows
        step = max(1, _BLOCK // max(1, len(rows)))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            own = rows[part]
            sayable, sign = group.better(value[rows], part, tail)
            apart = (low[own, None] > high[rows]).astype(np.int8)
            apart -= (high[own, None] < low[rows]).astype(np.int8)
            apart[~sayable] = 0
            better[own] += (sign < 0).sum(axis=1) - (apart < 0).sum(axis=1)
            worse[own] += (sign > 0).sum(axis=1) - (apart > 0).sum(axis=1)
            paired[own] = sayable.sum(axis=1)
    best = 1 + better
    counts = np.bincount(best, minlength=n + 2)
    return RankSets(best, n - worse, counts[best] > 1, paired == n - 1)


def _tail(n_subjects: int) -> float:
    """What each of S - 1 two-sided comparisons may leave out at one end (Šidák, 1967)."""
    return float((1 - LEVEL ** (1 / max(n_subjects - 1, 1))) / 2)


def _stretched(
    value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], tail: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % intervals about their values, as wide as the level of one comparison asks."""
    by = stats.norm.ppf(1 - tail) / stats.norm.ppf((1 + LEVEL) / 2)
    none = np.isnan(low) | np.isnan(high)
    below = np.where(none, -np.inf, value - by * (value - low))
    above = np.where(none, np.inf, value + by * (high - value))
    return below, above
