"""95 % intervals of pair scores: people are resampled, not pairs.

A person stands in many pairs, so pairs are not independent. Each resample draws as many people
as there are, with replacement; a genuine pair counts as often as its person was drawn, an impostor
pair as often as the product of its two people's draws (the vertex bootstrap of Snijders and
Borgatti, 1999). The shares of genuine and impostor pairs stay as they are.

With few people a bootstrap is too narrow: its percentiles are moved outwards as far as a t
interval of as many values is wider than a normal one (the expanded percentile interval of
Hesterberg, 2015, section 5). Where few errors were made it is too narrow as well (empty where none
was made), so an interval is never narrower than the exact binomial one of independent pairs.
"""

# N pairs, K groups, R resamples of a chunk.

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import ValidationError
from .checks import check_same_length, checked_labels, checked_values
from .intervals import LEVEL, Interval, exact_interval
from .verification import checked_pairs

N_RESAMPLES = 2000
_CHUNK = 1 << 22  # weights held at once: 32 MB


@dataclass(frozen=True, eq=False)
class PairGroups:
    """Whose pictures a pair compares.

    Attributes:
        first: (N,) int64 group of the first side, from 0.
        second: (N,) of the second side; equal to the first in genuine pairs.
        n: how many groups there are.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n: int

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike) -> "PairGroups":
        """The groups under any whole numbers >= 0, counted anew from 0.

        Raises:
            ValidationError: bad rows, or lengths that differ.
        """
        one, other = checked_labels(first, "first"), checked_labels(second, "second")
        check_same_length(one, other, "first and second")
        names, places = np.unique(np.concatenate([one, other]), return_inverse=True)
        return cls(places[: len(one)], places[len(one) :], len(names))

    def take(self, rows: NDArray[np.bool_]) -> "PairGroups":
        """The groups of some pairs; the others stay in the draw."""
        return PairGroups(self.first[rows], self.second[rows], self.n)

    def weights(self, seed: int) -> Iterator[NDArray[np.float64]]:
        """How often each pair counts in each resample, in chunks (R, N).

        Built on the raw Philox words, whose stream NumPy guarantees.
        """
        bits = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))
        rows = max(1, min(N_RESAMPLES, _CHUNK // max(self.n, len(self.first))))
        one_group = self.first == self.second
        for start in range(0, N_RESAMPLES, rows):
            r = min(rows, N_RESAMPLES - start)
            words = bits.random_raw(r * self.n) >> np.uint64(32)
            drawn = ((words * np.uint64(self.n)) >> np.uint64(32)).astype(np.int64)
            cells = drawn + np.repeat(np.arange(r) * self.n, self.n)
            counts = np.bincount(cells, minlength=r * self.n).reshape(r, self.n).astype(np.float64)
            yield counts[:, self.first] * np.where(one_group, 1.0, counts[:, self.second])


def connected_groups(n: int, first: ArrayLike, second: ArrayLike) -> NDArray[np.int64]:
    """The group (n,) of each of n pictures: those joined by links, directly or through others.

    Args:
        n: pictures.
        first: (L,) one end of each link, such as a genuine pair.
        second: (L,) the other end.

    Example:
        >>> connected_groups(5, [0, 1], [1, 4]).tolist()
        [0, 0, 1, 2, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.asarray(first, np.int64), np.asarray(second, np.int64)
    links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def rate_interval(
    hits: ArrayLike,
    groups: PairGroups,
    *,
    value: float,
    strata: ArrayLike | None = None,
    parts: ArrayLike | None = None,
    seed: int = 0,
) -> Interval:
    """The interval of a mean of pair outcomes.

    Args:
        hits: (N,) 1 where the outcome counts, else 0.
        groups: of the pairs.
        value: the mean itself.
        strata: (N,) kind of each pair, whose share of the mean stays fixed; None = one kind.
        parts: (N,) fold of each pair where the value is a mean of fold means; None = one.
        seed: of the resampling; the same seed, the same interval.

    Raises:
        ValidationError: bad rows, or lengths that differ.
    """
    outcomes = checked_values(hits, "hits")
    n = len(outcomes)
    kinds = np.zeros(n, np.int64) if strata is None else checked_labels(strata, "strata")
    folds = np.zeros(n, np.int64) if parts is None else checked_labels(parts, "parts")
    check_same_length(outcomes, kinds, "hits and strata")
    check_same_length(outcomes, folds, "hits and parts")
    check_same_length(outcomes, groups.first, "hits and groups")
    base = 1 / np.bincount(folds)[folds]
    means = []
    for weights in groups.weights(seed):
        mean = np.zeros(len(weights))
        for kind in np.unique(kinds):
            rows = kinds == kind
            drawn = weights[:, rows] * base[rows]
            with np.errstate(invalid="ignore"):  # a resample without any pair of this kind
                mean += drawn @ outcomes[rows] / drawn.sum(axis=1) * base[rows].sum() / base.sum()
        means.append(mean)
    return _hull(np.concatenate(means), value, n, groups.n)


def eer_interval(
    scores: ArrayLike, same: ArrayLike, groups: PairGroups, *, value: float, seed: int = 0
) -> Interval:
    """The interval of an equal error rate; each resample has its own threshold.

    Args:
        scores: (N,), higher = more alike.
        same: (N,) True where the pair is genuine.
        groups: of the pairs.
        value: the equal error rate itself.
        seed: of the resampling.

    Raises:
        ValidationError: bad rows, or one kind of pair is missing.
    """
    values, genuine = checked_pairs(scores, same)
    check_same_length(values, groups.first, "scores and groups")
    order = np.argsort(-values, kind="stable")
    falling, kinds = values[order], genuine[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    rates = []
    for weights in groups.weights(seed):
        drawn = weights[:, order]
        with np.errstate(invalid="ignore"):
            tar, far = (_rising(drawn * rows, ends) for rows in (kinds, ~kinds))
        gap = np.abs(far - (1 - tar))
        best = np.where(np.isfinite(gap), gap, np.inf).argmin(axis=1)
        chosen = np.arange(len(gap)), best
        rates.append((far[chosen] + 1 - tar[chosen]) / 2)
    n_fewest = int(min(genuine.sum(), (~genuine).sum()))
    return _hull(np.concatenate(rates), value, n_fewest, groups.n)


def expanded_tail(n_groups: int) -> float:
    """The percentile at which an interval over so many groups ends: below 2.5 %.

    Example:
        >>> [round(100 * expanded_tail(n), 2) for n in (9, 61, 10_000)]
        [0.72, 2.19, 2.5]
    """
    degrees = max(n_groups - 1, 1)
    width = stats.t.ppf((1 + LEVEL) / 2, degrees) * np.sqrt((degrees + 1) / degrees)
    return float(stats.norm.cdf(-width))


def _rising(drawn: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """The accepted share (R, T) at each threshold, from accepting nothing on."""
    total = np.cumsum(drawn, axis=1)
    shares = total[:, ends] / total[:, -1:]
    return np.concatenate([np.zeros((len(drawn), 1)), shares], axis=1)


def _hull(resampled: NDArray[np.float64], value: float, n: int, n_groups: int) -> Interval:
    """The expanded percentile interval, widened to the exact binomial one of n pairs."""
    # resamples that drew no pair of a kind say nothing
    said = resampled[np.isfinite(resampled)]
    if not len(said):
        raise ValidationError("no resample holds both kinds of pairs", "give more identities")
    tail = expanded_tail(n_groups)
    low, high = np.quantile(said, [tail, 1 - tail])
    # 1e-9: sums of thirds and sevenths must not miss a whole number
    least, most = exact_interval(float(np.round(value * n, 9)), n)
    return min(float(low), least), max(float(high), most)
